package crash_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const whole = "here 1 there 1 here 2 there 2 here 3 there 3 here 4 there 4"

// TestPoint runs a program that passes two points four times each: it dies where it
// is told to, by a signal that leaves it no last word, and nowhere else.
func TestPoint(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // nothing may be in the build cache
	t.Cleanup(cancel)
	shipped, armed := build(ctx, t), build(ctx, t, "-tags", "crashpoints")
	for name, c := range map[string]struct {
		program, at, said string
		dies              bool
	}{
		"the first time":           {armed, "dies.here:1", "", true},
		"a later time":             {armed, "dies.there:3", "here 1 there 1 here 2 there 2 here 3", true},
		"the last time":            {armed, "dies.there:4", "here 1 there 1 here 2 there 2 here 3 there 3 here 4", true},
		"no count is the first":    {armed, "dies.there", "here 1", true},
		"no number is the first":   {armed, "dies.there:many", "here 1", true},
		"zero is the first":        {armed, "dies.there:0", "here 1", true},
		"never passed so often":    {armed, "dies.here:5", whole, false},
		"another place":            {armed, "dies.her:1", whole, false},
		"nothing is said":          {armed, "", whole, false},
		"the program that we ship": {shipped, "dies.here:1", whole, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said, died := run(ctx, t, c.program, c.at)
			if said != c.said || died != c.dies {
				t.Errorf("CRASH_AT=%s: it said %q and was killed: %v\nwant       %q and %v", c.at, said, died, c.said, c.dies)
			}
		})
	}
}

func build(ctx context.Context, t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dies")
	out, err := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", path}, flags...), "./testdata/dies")...).CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// run returns what the program said, and whether SIGKILL ended it.
func run(ctx context.Context, t *testing.T, program, at string) (said string, killed bool) {
	t.Helper()
	command := exec.CommandContext(ctx, program)
	command.Env = append(os.Environ(), "CRASH_AT="+at)
	out, err := command.Output()
	said = strings.Join(strings.Fields(string(out)), " ")
	if err == nil {
		return said, false
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("it ended with %v, want SIGKILL or nothing", err)
	}
	return said, true
}
