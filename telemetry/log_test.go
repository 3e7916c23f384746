package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipe keeps each write for itself. While broken it takes only its first bytes.
type pipe struct {
	mu     sync.Mutex
	writes []string
	broken bool
	takes  int
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.broken {
		p.writes = append(p.writes, string(b))
		return len(b), nil
	}
	n := min(p.takes, len(b))
	if n > 0 {
		p.writes = append(p.writes, string(b[:n]))
	}
	return n, errors.New("no space left")
}

func (p *pipe) set(broken bool, takes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken, p.takes = broken, takes
}

// messages are the messages of each write, apart by commas.
func (p *pipe) messages() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, write := range p.writes {
		var messages []string
		for line := range strings.Lines(write) {
			_, rest, _ := strings.Cut(line, `msg=`)
			messages = append(messages, strings.TrimSpace(rest))
		}
		all = append(all, strings.Join(messages, ","))
	}
	return all
}

// TestLogWaits has the lines of one moment share a write.
func TestLogWaits(t *testing.T) {
	f := func(name string, do func(log *slog.Logger), want ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			var p pipe
			log, end, err := NewLogger(&p, Config{LogLevel: "debug", LogFormat: "text"})
			if err != nil {
				t.Fatal(err)
			}
			do(log)
			synctest.Wait()
			if got := p.messages(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: written are %q, want %q", name, got, want)
			}
			end()
		})
	}
	f("at first", func(log *slog.Logger) { log.Info("a") })
	f("not for 100 ms", func(log *slog.Logger) { log.Info("a"); time.Sleep(99 * time.Millisecond) })
	f("for 100 ms", func(log *slog.Logger) { log.Info("a"); log.Debug("b"); time.Sleep(100 * time.Millisecond) }, "a,b")
	f("100 ms from the oldest", func(log *slog.Logger) {
		log.Info("a")
		time.Sleep(60 * time.Millisecond)
		log.Info("b")
		time.Sleep(40 * time.Millisecond)
	}, "a,b")
	f("100 ms each time", func(log *slog.Logger) {
		log.Info("a")
		time.Sleep(150 * time.Millisecond)
		log.Info("b")
		time.Sleep(99 * time.Millisecond)
	}, "a")
	f("a warning", func(log *slog.Logger) { log.Info("a"); log.Warn("b"); log.Info("c") }, "a,b")
	f("a warning with attributes", func(log *slog.Logger) { log.Info("a"); log.With().WithGroup("g").Warn("b") }, "a,b")
	f("100 ms after a warning", func(log *slog.Logger) {
		log.Info("a")
		time.Sleep(60 * time.Millisecond)
		log.Warn("b")
		log.Info("c")
		time.Sleep(60 * time.Millisecond)
	}, "a,b")
	long := strings.Repeat("x", 1500)
	f("as much as fits", func(log *slog.Logger) {
		log.Info("a", FieldError, long)
		log.Info("b", FieldError, long)
		log.Info("c", FieldError, long)
	}, "a error="+long+",b error="+long)
	huge := strings.Repeat("x", 5000)
	f("a line that never fits", func(log *slog.Logger) { log.Info("a"); log.Info("b", FieldError, huge); log.Info("c") }, "a", "b error="+huge)
}

func TestLogEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pipe
		log, end, _ := NewLogger(&p, Config{LogLevel: "info", LogFormat: "text"})
		log.Info("a")
		log.Info("b")
		end()
		log.Info("late")
		if got := fmt.Sprintf("%q", p.messages()); got != `["a,b" "late"]` {
			t.Errorf("written are %s", got)
		}
		end()
	})
}

// TestLogLost breaks what the log is written to.
func TestLogLost(t *testing.T) {
	const report = `"log lines could not be written and are lost" count=%d error="no space left"`
	f := func(takes int, want ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			var p pipe
			log, end, _ := NewLogger(&p, Config{LogLevel: "error", LogFormat: "text"})
			p.set(true, takes)
			log.Error("a")
			log.Error("b")
			p.set(true, 0)
			log.Error("c")
			p.set(false, 0)
			log.Error("d")
			log.Error("e")
			end()
			if got := p.messages(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%d bytes taken: written are %q, want %q", takes, got, want)
			}
		})
	}
	f(0, fmt.Sprintf(report, 3), "d", "e")
	// Half a line, then half a report: the next begins on a line of its own.
	f(10, "", ",", ","+fmt.Sprintf(report, 3), "d", "e")
}

// TestLogLostMemory logs a lot to what takes nothing.
func TestLogLostMemory(t *testing.T) {
	p := &pipe{broken: true}
	w := newLogWriter(p, logDelay, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
	defer w.end()
	log := slog.New(&logHandler{Handler: slog.NewJSONHandler(w, nil), out: w})
	for range 100 {
		log.Info("a", FieldError, strings.Repeat("x", 1000))
		log.Info("b", FieldError, strings.Repeat("x", 10_000))
	}
	if cap(w.waiting) > 2*logRoom || w.lost < 198 {
		t.Errorf("%d bytes wait after %d lines were lost", cap(w.waiting), w.lost)
	}
}

// TestLogTimerBeforeItsWriter lets the timer go off before a writer knows it.
func TestLogTimerBeforeItsWriter(t *testing.T) {
	for range 2000 {
		w := newLogWriter(new(pipe), time.Nanosecond, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
		w.end()
	}
}

// TestLogTogether has many log at once: every line is whole, each logger's in order.
func TestLogTogether(t *testing.T) {
	var p pipe
	log, end, err := NewLogger(&p, Config{LogLevel: "info", LogFormat: "json"})
	if err != nil {
		t.Fatal(err)
	}
	const loggers, lines = 8, 300
	var wg sync.WaitGroup
	for logger := range loggers {
		wg.Go(func() {
			for line := range lines {
				switch a := (Access{RequestID: fmt.Sprint(logger), Attempts: line + 1}); line % 50 {
				case 7:
					log.Warn("request", FieldRequestID, fmt.Sprint(logger), FieldAttempts, line+1)
				case 9:
					a.RequestID += "é"
					LogAccess(context.Background(), log, a)
				default:
					LogAccess(context.Background(), log, a)
				}
			}
		})
	}
	wg.Wait()
	end()
	next := map[byte]int{}
	for line := range strings.Lines(strings.Join(p.writes, "")) {
		_, id, _ := strings.Cut(line, `"request_id":"`)
		next[id[0]]++
		if want := fmt.Sprintf(`"attempts":%d`, next[id[0]]); !strings.Contains(line, want) || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("%q: want %s", line, want)
		}
	}
	for id, n := range next {
		if n != lines {
			t.Errorf("%d lines of logger %c, want %d", n, id, lines)
		}
	}
	if len(next) != loggers || len(p.writes) > loggers*lines/4 {
		t.Errorf("%d loggers in %d writes", len(next), len(p.writes))
	}
}
