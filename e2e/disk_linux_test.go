package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tollgate/simulator"
)

// smallDisk mounts a file system of 64 MiB, in memory, until the test has ended.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("a disk that is full takes a file system of its own, and this user may not mount one: run the tests as root")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room that a disk has left. Its result gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, step := range []int{1 << 20, 4 << 10} { // in pages, at last
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, step))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull fills the disk that the journal is on, while streams are open. Nobody
// is let in any more, before any provider is asked; who is inside gets the whole
// answer and the right bill; and with room again, all goes on without a restart.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	d := newFullDisk(t)
	streams := map[string]<-chan *answer{}
	d.behave(simulator.Behaviour{Tokens: 1200, Gap: 15 * time.Millisecond}, simulator.StarMagic)
	for n := range 6 {
		prompt := fmt.Sprintf("Please outlast the disk, %d", n)
		streams[prompt] = d.streaming(t, d.call(t, d.secret), "gemini-2.5-flash-lite", prompt)
	}
	free := fill(t, d.dataDir)
	d.exhaust(t)
	for _, e := range d.providers.Truth() {
		if strings.Contains(e.Body, "outlast the disk") && !e.Ended.IsZero() {
			t.Errorf("a stream had ended before the disk was full, which proves nothing: %+v", e)
		}
	}
	d.refusing(t)
	ended := map[*answer]simulator.Entry{}
	for prompt, answers := range streams {
		a := receive(t, answers)
		ended[a] = d.checkText(t, a, prompt)
		d.answered = append(d.answered, a.id())
	}
	d.exhaust(t) // those who have gone leave some of the room that was promised to them
	d.refusing(t)

	free()
	until(t, "a gateway that is ready again", patience, func() bool { status, _ := d.get(t, "/readyz"); return status == http.StatusOK })
	d.ask(t, http.StatusOK)
	d.logged(t, "the ledger to have room, too", func(l logLine) bool { return l.Message == "usage records are given to the ledger again" })
	for a, e := range ended {
		d.checkBill(t, a, e)
	}
	before, sum := d.records(t, d.answered), d.ledger(t)
	d.kill(t)
	d.start(t)
	if after := d.records(t, d.answered); !maps.EqualFunc(before, after, slices.Equal) {
		t.Errorf("the records after the restart are\n%+v\nbefore they were\n%+v", after, before)
	}
	if after := d.ledger(t); after != sum {
		t.Errorf("the totals after the restart are %+v, before they were %+v", after, sum)
	}
	for id, records := range before {
		if bills := settles(records); len(bills) != 1 || bills[0].EndReason != "completed" {
			t.Errorf("the records of %s, which was answered, are %+v", id, records)
		}
	}
}

// fullDisk is a gateway on a disk that is soon to be full.
type fullDisk struct {
	*fleet
	client   bare
	secret   string
	asked    int
	answered []string // the ids of those who have a whole answer
}

func newFullDisk(t *testing.T) *fullDisk {
	t.Helper()
	d := &fullDisk{fleet: newFleet(t, environment{"DATA_DIR": smallDisk(t), "MAX_JOURNAL": "16MiB", "MAX_COMPLETION_TOKENS": unboundedCompletions, "REQUESTS_PER_MINUTE": "0"})}
	d.client, d.secret = d.bare(t), d.issue(t).Secret
	return d
}

// exhaust asks until nobody is let in any more.
func (d *fullDisk) exhaust(t *testing.T) {
	t.Helper()
	const enough = 5_000 // some MiB
	for n := range enough {
		if d.ask(t, http.StatusOK, http.StatusServiceUnavailable) == http.StatusServiceUnavailable {
			t.Logf("the disk is full after %d requests", n)
			return
		}
	}
	t.Fatalf("%d requests have found room on a disk that has none", enough)
}

// ask asks a question, whose answer must have one of these states. Who is refused is
// told why, and when to come again, and no provider was asked.
func (d *fullDisk) ask(t *testing.T, states ...int) int {
	t.Helper()
	d.asked++
	prompt := fmt.Sprintf("Is there room for question %06d?", d.asked)
	r := d.client.send(t.Context(), wish{secret: d.secret, body: question("gemini-2.0-flash", prompt)})
	asked := slices.ContainsFunc(d.providers.Truth(), func(e simulator.Entry) bool { return strings.Contains(e.Body, prompt) })
	switch {
	case r.err != nil || !slices.Contains(states, r.status):
		t.Fatalf("want one of %v, got %s", states, r)
	case r.status == http.StatusOK:
		d.answered = append(d.answered, r.header.Get("X-Request-Id"))
	case r.code() != "journal_unavailable" || r.header.Get("Retry-After") == "":
		t.Errorf("the refusal is %s, with Retry-After %q", r, r.header.Get("Retry-After"))
	case asked:
		t.Errorf("a provider was asked %q, which was refused", prompt)
	}
	return r.status
}

// refusing holds the gateway to letting nobody in, and to saying so.
func (d *fullDisk) refusing(t *testing.T) {
	t.Helper()
	took := until(t, "a gateway that is not ready", patience, func() bool {
		status, _ := d.get(t, "/readyz")
		return status == http.StatusServiceUnavailable
	})
	if proving() && took > time.Second {
		t.Errorf("/readyz was red after %s", took)
	}
	for range 20 {
		d.ask(t, http.StatusServiceUnavailable)
	}
}
