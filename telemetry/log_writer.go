package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// logRoom is the most that one write holds, unless a single line is longer.
	// Linux never mixes two writes of up to 4096 bytes (PIPE_BUF) to one pipe, so
	// that lines of processes that share a pipe stay whole; more would save little,
	// for a dozen lines share a write already.
	logRoom = 4 << 10
	// logDelay is the longest that a line waits.
	logDelay = 100 * time.Millisecond
)

// A logWriter gathers whole lines, each handed over by one Write, and writes
// several of them at once. It never fails: its memory is bounded, and what
// cannot be written is lost and counted. A slow writer holds up who logs.
//
// It is safe for concurrent use. Its timer runs only while a line waits.
type logWriter struct {
	to     io.Writer
	delay  time.Duration // the longest that a line waits
	format func(io.Writer) slog.Handler

	mu      sync.Mutex
	waiting []byte
	timer   *time.Timer
	ended   bool  // nothing waits any more
	torn    bool  // the last write broke off inside a line
	lost    int   // lines not written, and not yet reported
	fault   error // why the last of them was not
}

func newLogWriter(to io.Writer, delay time.Duration, format func(io.Writer) slog.Handler) *logWriter {
	w := &logWriter{to: to, delay: delay, format: format, waiting: make([]byte, 0, logRoom)}
	w.mu.Lock() // the timer may go off before it is known here
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(delay, w.flush)
	w.timer.Stop()
	return w
}

// Write takes one line, with its newline.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting)+len(line) > logRoom {
		w.put()
	}
	if len(w.waiting) == 0 && !w.ended {
		w.timer.Reset(w.delay)
	}
	w.waiting = append(w.waiting, line...)
	if w.ended || len(w.waiting) > logRoom {
		w.put()
	}
	return len(line), nil
}

// flush writes what waits.
func (w *logWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put()
}

// end writes what waits, and lets nothing wait any more.
func (w *logWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.put()
}

// put writes what waits, and before it how many lines were lost.
func (w *logWriter) put() {
	w.timer.Stop()
	if w.lost > 0 && w.write(w.loss()) > 0 {
		w.lost += countLines(w.waiting)
	} else {
		w.lost = w.write(w.waiting)
	}
	w.waiting = w.waiting[:0]
	if cap(w.waiting) > 2*logRoom {
		w.waiting = make([]byte, 0, logRoom) // a long line is no reason to stay large
	}
}

// write returns how many of the lines were not written to their end.
func (w *logWriter) write(lines []byte) (lost int) {
	if len(lines) == 0 {
		return 0
	}
	n, err := w.to.Write(lines)
	if n > 0 {
		w.torn = lines[n-1] != '\n'
	}
	if err != nil {
		w.fault = err
	}
	return countLines(lines[n:])
}

func countLines(lines []byte) int { return bytes.Count(lines, []byte("\n")) }

// loss is a line about the lines that were lost.
func (w *logWriter) loss() []byte {
	var line bytes.Buffer
	if w.torn {
		line.WriteByte('\n') // ends what stands there
	}
	r := slog.NewRecord(time.Now(), slog.LevelError, "log lines could not be written and are lost", 0)
	r.AddAttrs(slog.Int(FieldCount, w.lost), slog.Any(FieldError, w.fault))
	_ = w.format(&line).Handle(context.Background(), r) // a buffer takes everything
	return line.Bytes()
}
