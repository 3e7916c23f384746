package usage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/usage/journal"
)

// A disk that hangs does not keep the books from closing: they say that it does, and how
// much is at stake can be seen.
func TestBooksAreClosedOnADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, s := newBadDisk(), &fakeStorage{}
		o := smallBooks(t.TempDir(), newLedger(s))
		o.create = disk.create
		b := openBooks(t, o)
		mustIntend(t, b, intent(1))
		mustIntend(t, b, intent(2))
		time.Sleep(time.Second)
		disk.slow.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := settle(1)
		if err := b.Settle(ctx, &r); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		began := time.Now()
		err := b.Close()
		const want = "the disk of the journal fails: it has not answered for 3s: the journal is not closed, and stays locked until this process has ended"
		if err == nil || err.Error() != want || !errors.Is(err, journal.ErrFailing) {
			t.Errorf("Close says %v", err)
		}
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("it has taken %s, want 8 s", took)
		}
		if stats := b.Stats(); stats.Journal.Next != 4 || stats.Journal.Durable != 2 {
			t.Errorf("got %+v", stats.Journal)
		}
		// What comes late comes to a folder that nobody else has taken over.
		if _, err := OpenBooks(smallBooks(b.dir, newLedger(s))); !errors.Is(err, journal.ErrLocked) {
			t.Errorf("somebody else opens them: %v", err)
		}
		close(disk.gate)
		synctest.Wait()
		mustShip(t, openBooks(t, smallBooks(b.dir, newLedger(s))))
		if got := s.all(); len(got) != 2 || got[0].RequestID != settle(1).RequestID || got[0].EndReason != EndCompleted || got[1].EndReason != EndRecovered {
			t.Errorf("the next start finds %+v", got)
		}
	})
}

// Nor does one that takes nothing while a bill is written that was postponed: it is named.
func TestBooksAreClosedWhileALateBillIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, log := newBadDisk(), &lines{}
		s := &fakeStorage{before: func([]Record) error { <-disk.gate; return nil }}
		o := smallBooks(t.TempDir(), newLedger(s))
		o.create, o.Log = disk.create, log.logger()
		b := openBooks(t, o)
		mustIntend(t, b, intent(0))
		mustSettle(t, b, settle(0))
		time.Sleep(time.Second) // the ledger hangs, too
		disk.hanging.Store(true)
		late := settle(1)
		b.late.add(lateOf(mustFill(t, b, &late)), 1)
		wantStuck(t, b)
		if log.count(`msg="a usage record is lost" request_id=`+late.RequestID) != 1 {
			t.Errorf("the log says %s", log.text.String())
		}
		close(disk.gate)
		synctest.Wait()
		same(t, []Record{settle(0), late}, s.all())
	})
}

// Nor does a ledger that hangs: nobody else has the journal while it may still be given something.
func TestBooksAreClosedWithALedgerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &fakeStorage{before: func([]Record) error { <-gate; return nil }}
		b := openBooks(t, smallBooks(t.TempDir(), newLedger(s)))
		mustIntend(t, b, intent(1))
		mustSettle(t, b, settle(1))
		wantStuck(t, b)
		if _, err := OpenBooks(smallBooks(b.dir, newLedger(&fakeStorage{}))); !errors.Is(err, journal.ErrLocked) {
			t.Errorf("somebody else opens them: %v", err)
		}
		close(gate)
		synctest.Wait()
		same(t, []Record{settle(1)}, s.all())
		after := &fakeStorage{}
		mustShip(t, openBooks(t, smallBooks(b.dir, newLedger(after))))
		same(t, []Record(nil), after.all())
	})
}

// wantStuck closes books that cannot be closed.
func wantStuck(t *testing.T, b *Books) {
	t.Helper()
	err := b.Close()
	const want = "the disk of the journal or of the ledger has not answered for 10s: the journal is not closed, and stays locked until this process has ended"
	if err == nil || err.Error() != want {
		t.Errorf("Close says %v", err)
	}
}

// mustFill encodes a record.
func mustFill(t *testing.T, b *Books, r *Record) *form {
	t.Helper()
	f, err := b.fill(r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
