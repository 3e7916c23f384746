package usage

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Regression title: "a cursor of another journal is believed by the start after the next".
func TestCursorAheadIsGoneBeforeAnythingIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStorage{before: func([]Record) error { return errLedgerDown }}
		dir := t.TempDir()
		if err := (cursor{Shipped: 49}).save(dir); err != nil { // of a journal whose segments were removed
			t.Fatal(err)
		}
		b := openBooks(t, smallBooks(dir, newLedger(s)))
		const requests = 40 // 80 entries
		for n := range requests {
			mustIntend(t, b, intent(n))
			mustSettle(t, b, settle(n))
		}
		time.Sleep(3 * saveEvery)
		after := &fakeStorage{}
		mustShip(t, openBooks(t, smallBooks(copied(t, dir), newLedger(after))))
		if got := len(after.all()); got != requests {
			t.Errorf("%d of %d bills reach the ledger", got, requests)
		}
	})
}

// What a start relies on to be gone is gone, or the start is told.
func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), cursorFile)
	if err := remove(path); err != nil {
		t.Errorf("nothing is there: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := remove(path); err == nil {
		t.Error("what is still there is said to be removed")
	}
}

// Segments that were removed by hand are missed at the start: once, and without stopping it.
func TestMissingBeginningOfTheJournalIsSaid(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	s, log := &fakeStorage{}, &lines{}
	s.before = func([]Record) error {
		if down.Load() {
			return errLedgerDown
		}
		return nil
	}
	o := smallBooks(t.TempDir(), newLedger(s))
	b := openBooks(t, o)
	for n := range 600 {
		mustSettle(t, b, settle(n))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(o.Dir, "*.segment"))
	if err != nil || len(names) < 2 {
		t.Fatalf("%v, %v", names, err)
	}
	if err := os.Remove(names[0]); err != nil {
		t.Fatal(err)
	}
	down.Store(false)
	o.Log = log.logger()
	b = openBooks(t, o)
	mustShip(t, b)
	if log.count("level=ERROR") != 1 || log.count("segments are missing at the beginning of the journal") != 1 || log.count("the first entry that may be needed is 1, the first one that is kept is ") != 1 {
		t.Errorf("the log says\n%s", log.text.String())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	openBooks(t, o) // now it needs nothing of what is missing
	if log.count("segments are missing") != 1 {
		t.Errorf("the log says\n%s", log.text.String())
	}
}

// While the cursor cannot be saved, segments go as far as the saved one needs none of them.
func TestSegmentsGoWhileTheCursorCannotBeSaved(t *testing.T) {
	log := &lines{}
	o := smallBooks(t.TempDir(), newLedger(&fakeStorage{}))
	o.Config.KeepShipped, o.Config.Sync, o.Log = 3*saveEvery, SyncRelaxed, log.logger()
	b := openBooks(t, o)
	const requests = 2000
	for n := range requests {
		mustSettle(t, b, settle(n))
	}
	mustShip(t, b)
	path := filepath.Join(o.Dir, cursorFile)
	waitFor(t, func() bool { return readCursor(o.Dir, b.log).Shipped == requests })
	before := b.journal.Stats().Segments
	unfinished := filepath.Join(o.Dir, newCursorFile)
	if err := os.MkdirAll(filepath.Join(unfinished, "full"), 0o700); err != nil { // it cannot be written
		t.Fatal(err)
	}
	mustSettle(t, b, settle(requests))
	mustShip(t, b)
	waitFor(t, func() bool { return b.journal.Stats().Segments < before })
	if log.count("the journal's cursor cannot be saved") == 0 || readCursor(o.Dir, b.log).Shipped != requests {
		t.Errorf("%s was saved; the log says\n%s", path, log.text.String())
	}
}

// What a save leaves behind that failed, or that a crash has ended, goes.
func TestUnfinishedCursorDoesNotStay(t *testing.T) {
	dir := t.TempDir()
	unfinished := filepath.Join(dir, newCursorFile)
	gone := func() {
		t.Helper()
		if _, err := os.Stat(unfinished); !os.IsNotExist(err) {
			t.Errorf("it is still there: %v", err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, cursorFile, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (cursor{Shipped: 1}).save(dir); err == nil || !strings.Contains(err.Error(), cursorFile) {
		t.Errorf("got %v", err)
	}
	gone()
	if err := os.RemoveAll(filepath.Join(dir, cursorFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unfinished, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	openBooks(t, smallBooks(dir, newLedger(&fakeStorage{})))
	gone()
}

// waitFor waits for what a goroutine does once a second or so.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for tries := 0; !done(); tries++ {
		if tries == 1000 {
			t.Fatal("it does not come")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
