package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own: one process-wide clock for the Date header, and a cleaner
		// that sleeps up to 10 s before it sees that its server has stopped.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// patience bounds every wait of a test; it is used up only when something hangs.
const patience = 20 * time.Second

// outcome is what a shell gets back from a command.
type outcome struct {
	code           int
	stdout, stderr string
}

// tollgate runs a command line as main does, in an environment that says
// nothing about another gateway.
func tollgate(t *testing.T, args ...string) outcome {
	t.Helper()
	t.Setenv("TOLLGATE_ADMIN_URL", "")
	t.Setenv("TOLLGATE_ADMIN_TOKEN", "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code := exitCode(run(ctx, args, &stdout, &stderr), &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// wantOutput runs a command that must succeed and print exactly this.
func wantOutput(t *testing.T, want string, args ...string) {
	t.Helper()
	got := tollgate(t, args...)
	if got.code != exitDone || got.stderr != "" {
		t.Fatalf("tollgate %s: exit code %d: %s", strings.Join(args, " "), got.code, got.stderr)
	}
	if got.stdout != want {
		t.Errorf("tollgate %s printed\n%s\nwant\n%s", strings.Join(args, " "), got.stdout, want)
	}
}

// background is a command that serves until it is stopped.
type background struct {
	stdout, stderr lockedBuffer
	stop           func() outcome
}

// serveInBackground starts a command that serves. At the end of the test it is
// stopped, and must have gone well.
func serveInBackground(t *testing.T, args ...string) *background {
	t.Helper()
	b := &background{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, args, &b.stdout, &b.stderr) }()
	b.stop = sync.OnceValue(func() outcome {
		cancel()
		select {
		case err := <-ended:
			return outcome{exitCode(err, &b.stderr), b.stdout.String(), b.stderr.String()}
		case <-time.After(patience):
			t.Error("the command does not end")
			return outcome{code: -1}
		}
	})
	t.Cleanup(func() {
		if got := b.stop(); got.code != exitDone {
			t.Errorf("tollgate %s: exit code %d: %s", strings.Join(args, " "), got.code, got.stderr)
		}
	})
	return b
}

// lockedBuffer is an output that a command writes while a test reads it.
type lockedBuffer struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{} // holds a value after a write that await has not seen
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	defer b.notify()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *lockedBuffer) signal() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written == nil {
		b.written = make(chan struct{}, 1)
	}
	return b.written
}

func (b *lockedBuffer) notify() {
	select {
	case b.signal() <- struct{}{}:
	default:
	}
}

// await waits for the first line that holds mark, and returns it.
func (b *lockedBuffer) await(t *testing.T, mark string) string {
	t.Helper()
	bound := time.After(patience)
	for {
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, mark) {
				return line
			}
		}
		select {
		case <-b.signal():
		case <-bound:
			t.Fatalf("waited in vain for %q in\n%s", mark, b.String())
		}
	}
}

// served is a gateway that a test has started, and how to operate it.
type served struct {
	url     string
	operate []string // the flags that every operator's command needs
}

// serveGateway runs `tollgate serve` with this configuration.
func serveGateway(t *testing.T, text string) served {
	t.Helper()
	data := t.TempDir()
	text = strings.ReplaceAll(text, "DATA_DIR", data)
	b := serveInBackground(t, "serve", "-c", writeFile(t, text))
	var line struct{ Listen, Admin string }
	if err := json.Unmarshal([]byte(b.stderr.await(t, `"msg":"serving"`)), &line); err != nil {
		t.Fatal(err)
	}
	return served{"http://" + line.Listen, []string{"--admin", "http://" + line.Admin, "--data-dir", data}}
}

func (s served) args(args ...string) []string { return append(args, s.operate...) }

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// steady makes what differs from run to run the same, at the same width.
func steady(text string) string {
	for _, r := range []struct{ pattern, with string }{
		{`\d{4}-\d\d-\d\d \d\d:\d\dZ`, "2026-01-02 03:04Z"},
		{`\d{4}-\d\d-\d\d`, "2026-01-02"},
		{`key_[0-9A-Za-z]{12}`, "key_AAAAAAAAAAAA"},
		{`tg_[0-9A-Za-z]{38}`, "tg_" + strings.Repeat("B", 38)},
		{`\.\.\.[0-9A-Za-z]{4}`, "...BBBB"},
		{`127\.0\.0\.1:\d{5}`, "127.0.0.1:40000"},
		{`BEGAN +TOOK +`, "BEGAN  TOOK  "},
		{`after \S+ +\d+m?s +`, "after   time  "},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}
