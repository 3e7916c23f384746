package usage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/usage/journal"
)

// spoil changes a byte of the entry that holds a text, in the newest segment that does.
func spoil(t *testing.T, dir, text string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := strings.LastIndex(string(raw), text); at >= 0 {
			file, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteAt([]byte("x"), int64(at))
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q stands nowhere", text)
}

// Damage that comes up while Tollgate runs holds back what is behind it, and nothing else.
func TestWhatStandsBeforeADamageIsShipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStorage{}
		b := openBooks(t, smallBooks(t.TempDir(), newLedger(s)))
		const requests = 10
		for n := range requests {
			mustSettle(t, b, settle(n))
		}
		spoil(t, b.dir, settle(requests-2).RequestID) // before any of it was read
		if err := b.Ship(t.Context()); !errors.Is(err, journal.ErrDamaged) {
			t.Errorf("ship: %v", err)
		}
		if got := s.all(); len(got) != requests-2 || got[len(got)-1].RequestID != settle(requests-3).RequestID {
			t.Errorf("the ledger has %d records", len(got))
		}
		if behind := b.Behind(); behind != 2 {
			t.Errorf("it is behind by %d", behind)
		}
	})
}

// Regression title: "the journal's lag does not grow behind a damage". Its alert asks for more than a few seconds.
func TestLagGrowsBehindADamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBooks(t, smallBooks(t.TempDir(), newLedger(&fakeStorage{})))
		mustSettle(t, b, settle(1))
		mustShip(t, b)
		if stats := b.Stats(); stats.Unshipped != 0 || stats.Lag != 0 {
			t.Errorf("before: %+v", stats)
		}
		began := time.Now()
		for n := range 3 {
			r := settle(2 + n)
			r.AcceptedAt, r.FirstByteAt, r.EndedAt = began, time.Time{}, began
			mustSettle(t, b, r)
		}
		spoil(t, b.dir, settle(3).RequestID) // before any of it was read
		for _, waited := range [...]time.Duration{time.Minute, 10 * time.Minute} {
			time.Sleep(waited - time.Since(began))
			if stats := b.Stats(); stats.Unshipped != 2 || stats.Lag != waited {
				t.Errorf("after %s: %d are not shipped, the lag is %s", waited, stats.Unshipped, stats.Lag)
			}
		}
	})
}

// What is pruned while everything is given once more is no damage.
func TestReshipWhileSegmentsArePruned(t *testing.T) {
	s := &fakeStorage{}
	o := smallBooks(t.TempDir(), newLedger(s))
	o.Config.Sync, o.Config.KeepShipped = SyncRelaxed, 0
	b := openBooks(t, o)
	mustIntend(t, b, intent(0)) // it holds everything
	const requests = 3000
	for n := 1; n <= requests; n++ {
		r := settle(n)
		for tries := 0; b.Settle(t.Context(), &r) != nil; tries++ { // the next segment is being made
			if tries == 1000 {
				t.Fatal("it is never taken")
			}
			time.Sleep(time.Millisecond)
		}
	}
	mustShip(t, b)
	before := b.journal.Stats().Segments
	var given atomic.Bool
	s.before = func([]Record) error {
		if !given.Swap(true) {
			b.journal.Prune(b.journal.Durable())
		}
		return nil
	}
	records, err := b.Reship(t.Context())
	if err != nil || records < shipBatch || records >= requests || b.journal.Stats().Segments >= before {
		t.Errorf("%d of %d records, %v; %d of %d segments are left", records, requests, err, b.journal.Stats().Segments, before)
	}
	if got := s.all(); got[len(got)-1].RequestID != settle(requests).RequestID {
		t.Errorf("the last one was %s", got[len(got)-1].RequestID)
	}
	spoil(t, b.dir, settle(requests).RequestID)
	if _, err := b.Reship(t.Context()); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("a damage is passed over: %v", err)
	}
}

// Whoever asks the ledger is told how much it lacks.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, gate := atomic.Bool{}, make(chan struct{})
		s := &fakeStorage{before: func([]Record) error {
			if down.Load() {
				return errLedgerDown
			}
			<-gate
			return nil
		}}
		b := openBooks(t, smallBooks(t.TempDir(), newLedger(s)))
		asked := func(want uint64) {
			t.Helper()
			if _, err := b.Sum(t.Context(), Query{}); err != nil {
				t.Fatal(err)
			}
			if got := b.Behind(); got != want {
				t.Errorf("it is behind by %d, want %d", got, want)
			}
		}
		asked(0)
		mustSettle(t, b, settle(1))
		asked(1) // it hangs
		close(gate)
		asked(0)
		down.Store(true)
		mustSettle(t, b, settle(2))
		mustSettle(t, b, settle(3))
		asked(2) // it fails
		asked(2)
		down.Store(false)
		time.Sleep(lastBackoff + time.Second)
		asked(0)
		mustSettle(t, b, settle(4))
		asked(0)
	})
}
