package e2e

import (
	"bytes"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// failingDisk makes the fsyncs of a process fail, until it is told to stop.
type failingDisk struct {
	command *exec.Cmd
	log     string
}

// failDisk makes those fsyncs fail that when names, as strace understands it: 1+ is
// all of them, 3 the third of each thread.
func failDisk(t *testing.T, g *gateway, when string) *failingDisk {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("fsyncs fail by the hand of strace, which is missing: install it (on Debian: apt-get install strace)")
	}
	d := &failingDisk{log: filepath.Join(t.TempDir(), "strace")}
	d.command = exec.Command(strace, "-f", "-qq", "-o", d.log, "-p", strconv.Itoa(g.command.Process.Pid),
		"-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO:when="+when)
	var complaint output
	d.command.Stderr = &complaint
	if err := d.command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = d.command.Wait(); close(ended) }()
	t.Cleanup(func() { _ = d.command.Process.Kill(); <-ended })
	until(t, "strace to hold the gateway", patience, func() bool {
		select {
		case <-ended:
			t.Skipf("strace may not look into another process here: %s", complaint.String())
		default:
		}
		return traced(t, g)
	})
	return d
}

// traced reports whether every thread of a process has somebody who traces it.
func traced(t *testing.T, g *gateway) bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(g.command.Process.Pid), "task", "*", "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if status, err := os.ReadFile(path); err == nil && bytes.Contains(status, []byte("TracerPid:\t0\n")) {
			return false
		}
	}
	return len(paths) > 0
}

// heal lets the fsyncs succeed again.
func (d *failingDisk) heal(t *testing.T, g *gateway) {
	t.Helper()
	if err := d.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	until(t, "strace to let the gateway go", patience, func() bool { return !traced(t, g) })
}

// failures is how many fsyncs have failed.
func (d *failingDisk) failures(t *testing.T) int {
	t.Helper()
	log, err := os.ReadFile(d.log)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(log, []byte("(INJECTED)"))
}

// newTraced is a mortal gateway that lives, built as it is shipped: strace and the
// race detector together are too slow.
func newTraced(t *testing.T) *mortal {
	t.Helper()
	path, err := figuresBinary()
	if err != nil {
		t.Fatal(err)
	}
	m := newMortal(t, 3)
	m.env[binaryVariable] = path
	if !m.revive(t, "") {
		t.Fatal("the gateway does not start")
	}
	return m
}

// TestDiskFails lets every fsync fail from some moment on. Nobody is let in any more,
// nobody is told that an answer is whole whose bill is not safe, and when the disk is
// well again, all goes on without a restart, and nothing is lost.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	m := newTraced(t)
	var open sync.WaitGroup
	open.Go(func() { m.open(t.Context(), m.gateway, "a disk that fails") })
	until(t, "answers", patience, func() bool { return m.served() > 20 })
	disk := failDisk(t, m.gateway, "1+")
	began := time.Now()
	until(t, "a gateway that is not ready", patience, func() bool {
		status, _ := m.get(t, "/readyz")
		return status == http.StatusServiceUnavailable
	})
	if took := time.Since(began); proving() && took > time.Second {
		t.Errorf("/readyz was red after %s", took)
	}
	first := m.nextNumber() // of those who come from now on
	// The market's customers may all be waiting for their ends.
	late := m.gateway.bare(t).send(t.Context(), wish{secret: m.secret, body: question("gemini-2.5-flash-lite", "Too late?")})
	if late.status != http.StatusServiceUnavailable || late.code() != "journal_unavailable" || late.header.Get("Retry-After") != "1" {
		t.Errorf("while the disk fails, a new request is answered %s", late)
	}
	time.Sleep(300 * time.Millisecond) // customers come all the while
	for _, e := range m.providers.Truth() {
		if numberOf(e) >= first || strings.Contains(e.Body, "Too late?") {
			t.Errorf("a provider was asked while the gateway was not ready: %.80s", e.Body)
		}
	}
	disk.heal(t, m.gateway)
	until(t, "a gateway that is ready again", patience, func() bool { status, _ := m.get(t, "/readyz"); return status == http.StatusOK })
	served := m.served()
	until(t, "more answers", patience, func() bool { return m.served() > served+20 })
	if disk.failures(t) == 0 {
		t.Error("no fsync has failed, which proves nothing")
	}
	m.kill(t)
	open.Wait()
	m.buried(t, "a disk that fails")
	m.refusedRightly(t)
	m.evidence.unsaved = math.MaxInt // what may be lost is not written to a disk that fails
	m.judged(t)
}

// refusedRightly looks at those customers who were not let in, or whose whole answer was withheld.
func (m *mortal) refusedRightly(t *testing.T) {
	t.Helper()
	for _, c := range m.customers {
		if c.status != http.StatusServiceUnavailable {
			continue
		}
		if code := (reply{body: string(c.got)}).code(); code != "journal_unavailable" && code != "usage_not_recorded" {
			t.Errorf("refused with %s", c.got)
		}
	}
}

// TestDiskFailsOnce lets single fsyncs fail, under load: all goes on, and nothing is lost.
func TestDiskFailsOnce(t *testing.T) {
	t.Parallel()
	m := newTraced(t)
	var open sync.WaitGroup
	open.Go(func() { m.open(t.Context(), m.gateway, "a disk that failed once") })
	disk := failDisk(t, m.gateway, "5")
	until(t, "an fsync that fails", patience, func() bool { return disk.failures(t) > 0 })
	served := m.served()
	until(t, "more answers", patience, func() bool { return m.served() > served+20 })
	disk.heal(t, m.gateway)
	until(t, "a gateway that is ready", patience, func() bool { status, _ := m.get(t, "/readyz"); return status == http.StatusOK })
	m.kill(t)
	open.Wait()
	m.buried(t, "a disk that failed once")
	m.judged(t)
}
