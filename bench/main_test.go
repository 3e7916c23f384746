package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestQuick runs every scenario in its small form. It asserts that all of them
// ran and that nothing is left behind, and no figure.
func TestQuick(t *testing.T) {
	noteSources(t)
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-quick"}, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	for _, s := range scenarios() {
		for _, row := range s.rows {
			if !strings.Contains(stdout.String(), "| "+row.what+" ") || !strings.Contains(stdout.String(), "| "+row.unit+" ") {
				t.Errorf("the table has no row %q in %q", row.what, row.unit)
			}
		}
		if !strings.Contains(stderr.String(), s.name) {
			t.Errorf("nobody was told of %s", s.name)
		}
	}
	for _, want := range []string{"Machine: ", "Disk: 1 KiB appended", "nginx 1.", "The journal, at 100 requests/s", "Ledger: Tollgate served ", "its figures mean nothing"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the report does not hold %q", want)
		}
	}
	nothingLeft(t)
	t.Logf("\n%s", stdout.String())
}

// An earlier Tollgate is built from its commit and measured with the others.
func TestBefore(t *testing.T) {
	noteSources(t)
	if _, err := output(t.Context(), ".", "git", "rev-parse", "HEAD"); err != nil {
		t.Skip("not a checkout: ", err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-only", "journal", "-before", "HEAD"}, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	report := strings.Join(strings.Fields(stdout.String()), " ")
	for _, want := range []string{"Before is Tollgate ", "| before |", "| over before (min..max) |", "<= 0.2 over before"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not hold %q:\n%s", want, stdout.String())
		}
	}
	if strings.Contains(stdout.String(), "| scenario") {
		t.Errorf("a table without rows:\n%s", stdout.String())
	}
	nothingLeft(t)
}

// TestInterrupted ends a run in the middle of a load.
func TestInterrupted(t *testing.T) {
	noteSources(t)
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stderr := &trigger{mark: "nginx     about", run: func() {
		time.AfterFunc(time.Second, func() { cancel(fmt.Errorf("enough")) })
	}}
	err := run(ctx, []string{"-only", "plain-300", "-duration", "1m"}, &bytes.Buffer{}, stderr)
	if err == nil || !strings.Contains(err.Error(), "plain-300: ") || !strings.Contains(err.Error(), "enough") {
		t.Errorf("got %v", err)
	}
	nothingLeft(t)
}

// trigger runs something once when a mark is written.
type trigger struct {
	mark string
	run  func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if w.run != nil && bytes.Contains(p, []byte(w.mark)) {
		w.run()
		w.run = nil
	}
	return len(p), nil
}

// nothingLeft: no process and no file.
func nothingLeft(t *testing.T) {
	t.Helper()
	children, err := family(os.Getpid())
	if err != nil || len(children) != 1 {
		t.Errorf("processes %v are left, error %v", children[1:], err)
	}
	files, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil {
		t.Error(err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "tollgate-bench-") {
			t.Errorf("%s is left", f.Name())
		}
	}
}

func TestOptions(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), strings.Fields(line), &stdout, &stderr)
		if err == nil || err.Error() != want || stdout.Len() > 0 {
			t.Errorf("bench %s: %v, printed %q; want %q", line, err, stdout.String(), want)
		}
	}
	f("fast", `unexpected argument "fast": there are only flags, see -help`)
	f("-rounds 0", "-rounds: must be 1 to 100, got 0")
	f("-duration 1ms", "-duration: must be 100ms to 1m, got 1ms")
	f("-only idle,speed", `-only: there is no scenario "speed"; there are plain-300, plain-100k, plain-1m, sse-saturated, sse-paced, ttfb, journal, memory, idle`)
	f("-before --help", `-before: must be a commit, got "--help"`)
	f("-speed", "flag provided but not defined: -speed")
}
