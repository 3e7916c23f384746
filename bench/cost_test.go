package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The process clock tells what getrusage tells: user and system time of all threads.
func TestCPUTime(t *testing.T) {
	own := []int{os.Getpid()}
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		_ = os.Getppid()
	}
	before, err := cpuTime(own)
	if err != nil {
		t.Fatal(err)
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	after, err := cpuTime(own)
	if err != nil {
		t.Fatal(err)
	}
	const slack = 10 * time.Millisecond // getrusage counts in microseconds, and other threads go on
	kernel := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if kernel < before-slack || kernel > after+slack {
		t.Errorf("the clock went from %s to %s, getrusage says %s", before, after, kernel)
	}
	if _, err := cpuTime([]int{1<<22 + 1}); err == nil {
		t.Error("a process that does not exist has a clock")
	}
}

func TestResident(t *testing.T) {
	bytes, err := resident([]int{os.Getpid()})
	if err != nil || bytes < 1<<20 || bytes > 1<<40 {
		t.Errorf("this process has %d bytes, %v", bytes, err)
	}
}

func TestCoreTime(t *testing.T) {
	c, err := planCores()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // the machine has been up for a tick at least
	if spent, err := coreTime(c.all); err != nil || spent <= 0 {
		t.Errorf("all cores together worked for %s, %v", spent, err)
	}
	if spent, err := coreTime(unix.CPUSet{}); err != nil || spent != 0 {
		t.Errorf("no core worked for %s, %v", spent, err)
	}
}

// A process that is not ready, or ends where it must not, is reported with what it wrote.
func TestProcess(t *testing.T) {
	c, err := planCores()
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(c.gateway, t.TempDir(), "shell", "/bin/sh", "-c", "echo so far; exec sleep 300")
	if err != nil {
		t.Fatal(err)
	}
	if line, err := p.await(t.Context(), "far"); err != nil || line != "so far" {
		t.Errorf("awaited %q, %v", line, err)
	}
	if pids, err := family(os.Getpid()); err != nil || !slices.Contains(pids, p.command.Process.Pid) {
		t.Errorf("the family %v has no %d, %v", pids, p.command.Process.Pid, err)
	}
	if err := p.alive(); err != nil {
		t.Error(err)
	}
	f := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "so far") {
			t.Errorf("got %v, want %q and the output", err, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errHangs)
	_, err = p.await(ctx, "never")
	f(err, "shell is not ready: answers stopped coming")
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if err := p.stop(); err != nil {
		t.Errorf("stop again: %v", err)
	}
	_, err = p.await(t.Context(), "never")
	f(err, "shell ended unexpectedly")
	f(p.alive(), "shell ended unexpectedly")
}
