package e2e

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is one run of the binary, with everything it has written.
type process struct {
	command        *exec.Cmd
	stdout, stderr output
	ended          chan struct{} // closed once the process is gone and its output complete
}

// environment is what a process finds in its environment, on top of the little
// that every one of them gets. Nothing of the caller's own leaks in: a
// provider's real API key least of all.
type environment map[string]string

// binaryVariable names another binary than the one that TestMain has built.
const binaryVariable = "BINARY"

// launch starts the binary. When the test ends, so does the process.
func launch(t *testing.T, env environment, args ...string) *process {
	t.Helper()
	return launchOn(t, nil, env, args...)
}

// launchOn starts the binary with this standard input; nil: it has none.
func launchOn(t *testing.T, stdin io.Reader, env environment, args ...string) *process {
	t.Helper()
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	p := &process{command: exec.Command(cmp.Or(env[binaryVariable], binary), args...), ended: make(chan struct{})}
	p.command.Stdin, p.command.Stdout, p.command.Stderr = stdin, &p.stdout, &p.stderr
	p.command.Dir = t.TempDir()
	// The race detector would sleep for a second at every exit.
	p.command.Env = []string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", "TMPDIR=" + p.command.Dir}
	for name, value := range env {
		p.command.Env = append(p.command.Env, name+"="+value)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait() // exit reads how it ended
		close(p.ended)
		_, _ = p.stderr.Write(nil) // wakes who waits for a line that will not come
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.ended
		if log := p.stderr.String(); t.Failed() && log != "" {
			t.Logf("tollgate %s wrote to standard error:\n%s", strings.Join(args, " "), log)
		}
	})
	return p
}

// terminate asks the process to end, as an orchestrator does.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// exit waits for the end of the process and returns its exit code.
func (p *process) exit(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Errorf("the process runs on after %s", within)
		_ = p.command.Process.Kill()
		<-p.ended
	}
	return p.command.ProcessState.ExitCode()
}

// output is what a process writes, while it does.
type output struct {
	deaf    atomic.Bool // what is written meanwhile is not kept
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed at the next write; nil: nobody waits
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	if o.deaf.Load() {
		return len(p), nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// change is closed at the next write after this call.
func (o *output) change() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.changed
}

// await waits until found says that the output holds what is wanted.
func (o *output) await(t *testing.T, what string, found func(text string) bool) {
	t.Helper()
	ctx := within(t, patience)
	for {
		change := o.change() // before the look, or a write between the two would be missed
		if found(o.String()) {
			return
		}
		select {
		case <-change:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s in the output:\n%s", what, o.String())
		}
	}
}

// within is a context that lasts so long, and to the end of the test at most.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// until looks again and again until it finds what it waits for, and returns how
// long that took.
func until(t *testing.T, what string, longest time.Duration, found func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !found() {
		if time.Since(began) > longest {
			t.Fatalf("waited %s in vain for %s", longest, what)
		}
		<-look.C
	}
	return time.Since(began)
}
