package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestDemo starts the demo with one provider's real API key in the environment:
// that one is used for real, the others are simulated, and nothing is left.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f := func(name string, environment map[string]string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var stdout, stderr lockedBuffer
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			d := demo{listen: "127.0.0.1:0", fixed: true, stdout: &stdout, stderr: &stderr, getenv: func(name string) string { return environment[name] }}
			ended := make(chan error, 1)
			go func() { ended <- d.run(ctx) }()
			stdout.await(t, "Stop with Ctrl-C")
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Fatal("the demo does not end")
			}
			for _, w := range want {
				if !strings.Contains(stdout.String(), w) {
					t.Errorf("the text does not hold %q:\n%s", w, stdout.String())
				}
			}
			if strings.Contains(stdout.String()+stderr.String(), "a-real-key") {
				t.Errorf("the provider's key is shown:\n%s\n%s", stdout.String(), stderr.String())
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
				t.Errorf("the demo left %v behind (%v)", left, err)
			}
		})
	}
	f("simulated", nil,
		"all three providers are simulated: nothing leaves this machine",
		"models   gemini-2.0-flash  gemini-2.5-flash-lite  gemini-3-pro-preview  gemini-flash")
	f("for real", map[string]string{"THETURBO_API_KEY": "a-real-key"}, "used for real, and billed by them: theturbo")
}

// TestDemoAddress starts the demo where somebody listens already: it takes
// another address, unless that one was asked for.
func TestDemoAddress(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	first := serveInBackground(t, "simulate", "--listen", "127.0.0.1:0")
	line := first.stdout.await(t, "starmagic")
	taken := strings.TrimSuffix(line[strings.Index(line, "127.0.0.1:"):], "/starmagic/v1\n")

	got := tollgate(t, "demo", "--listen", taken)
	if got.code != exitFailed || !strings.Contains(got.stderr, taken) {
		t.Errorf("on an address in use: exit code %d: %s", got.code, got.stderr)
	}

	var stdout, stderr lockedBuffer
	ctx, cancel := context.WithCancel(t.Context())
	d := demo{listen: taken, stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	running := stdout.await(t, "Tollgate is running on http://127.0.0.1:")
	cancel()
	if err := <-ended; err != nil || strings.Contains(running, taken) {
		t.Errorf("%q on %s: %v", running, taken, err)
	}
}
