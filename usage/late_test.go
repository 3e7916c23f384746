package usage

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/usage/journal"
)

// Regression title: "relaxed acknowledges a bill that is in memory alone": an answer
// whose bill dies with the process must not end.
func TestRelaxedBillIsNotTakenForWrittenWhileTheDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, s := newBadDisk(), &fakeStorage{}
		o := smallBooks(t.TempDir(), newLedger(s))
		o.Config.Sync, o.create = SyncRelaxed, disk.create
		b := openBooks(t, o)
		mustIntend(t, b, intent(1))
		mustIntend(t, b, intent(2))
		time.Sleep(time.Second)
		disk.unwritable.Store(true)
		r := settle(1)
		if err := b.Settle(t.Context(), &r); !errors.Is(err, journal.ErrFailing) || !strings.HasPrefix(err.Error(), "the bill of the request is not on record yet") {
			t.Errorf("got %v", err)
		}
		after := &fakeStorage{}
		mustShip(t, openBooks(t, smallBooks(copied(t, b.dir), newLedger(after))))
		if got := after.all(); len(got) != 2 || got[0].EndReason != EndRecovered {
			t.Errorf("what a death now leaves: %+v", got)
		}
		// It waits for a disk that fails for a moment only.
		disk.unwritable.Store(false)
		time.Sleep(2 * time.Second)
		disk.unwritable.Store(true)
		var one sync.WaitGroup
		one.Go(func() { mustSettle(t, b, settle(2)) })
		time.Sleep(time.Second)
		disk.unwritable.Store(false)
		one.Wait()
		mustShip(t, b)
		same(t, []Record{settle(1), settle(2)}, s.all())
	})
}

// fullBooks are books whose disk has no room for one entry more, not even promised room.
func fullBooks(t *testing.T) (b *Books, disk *badDisk, s *fakeStorage, log *lines) {
	disk, s, log = newBadDisk(), &fakeStorage{}, &lines{}
	o := smallBooks(t.TempDir(), newLedger(s))
	o.create, o.Log = disk.create, log.logger()
	b = openBooks(t, o)
	mustIntend(t, b, intent(0))
	mustIntend(t, b, intent(1))
	time.Sleep(time.Second)
	disk.full.Store(true)
	for n := 10_000; ; n++ {
		r := settle(n)
		if err := b.Settle(t.Context(), &r); err != nil {
			return b, disk, s, log
		}
	}
}

// What is dropped because too many bills wait stands in the log with all its figures,
// and its request holds nothing of the journal any more.
func TestBillThatIsOneTooManyDoesNotStayOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, disk, s, log := fullBooks(t)
		r := settle(0)
		if err := b.Settle(t.Context(), &r); !errors.Is(err, journal.ErrFull) {
			t.Fatalf("got %v", err)
		}
		for n := 1; len(b.late.records) < maxLate; n++ {
			note(b, failed(0, n))
		}
		dear := remarkable(1)
		dear.Charge = 123456789
		_ = b.Settle(t.Context(), &dear)
		stray := settle(2) // it has not begun
		_ = b.Settle(t.Context(), &stray)
		if stats := b.Stats(); stats.Dropped != 2 || stats.Open != 2 {
			t.Errorf("got %+v", stats)
		}
		if log.count(`\"charge_nanousd\":123456789,\"cost_nanousd\":605120`) != 1 || log.count("aaaa") != 0 {
			t.Errorf("the log says\n%.3000s", log.text.String())
		}
		disk.full.Store(false)
		time.Sleep(5 * time.Second)
		mustShip(t, b)
		time.Sleep(2 * saveEvery)
		if stats := b.Stats(); stats.Open != 0 || stats.Journal.Promised != 0 || stats.Unshipped != 0 {
			t.Errorf("afterwards: %+v", stats)
		}
		if at := readCursor(b.dir, nil); at.OldestOpen != 0 {
			t.Errorf("the journal is held from %d on", at.OldestOpen)
		}
		got := s.all()
		last := got[len(got)-1]
		if last.RequestID != settle(1).RequestID || last.Charge != 0 || last.Source != SourceNone || last.EndReason != EndCompleted || last.Tenant != settle(1).Tenant {
			t.Errorf("got %+v", last)
		}
	})
}

// One that the journal can never take does not hold up the others, nor is a kind changed.
func TestLateRecordsAreWrittenAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, disk, s, log := fullBooks(t)
		b.late.add(late{settle(5).RequestID, journal.Settle, make([]byte, journal.MaxPayload+1)}, maxLate)
		adjust := settle(6)
		adjust.Kind, adjust.Charge = KindAdjust, -5
		f, err := b.fill(&adjust)
		if err != nil {
			t.Fatal(err)
		}
		b.postpone(f)
		b.put(f)
		disk.full.Store(false)
		time.Sleep(5 * time.Second)
		mustShip(t, b)
		got := s.all()
		same(t, adjust, got[len(got)-1])
		kind := journal.Void
		reader := b.journal.Read(0)
		defer reader.Close()
		for e, err := reader.Next(); err == nil; e, err = reader.Next() {
			kind = e.Kind
		}
		if kind != journal.Adjust || b.Stats().Dropped != 1 || log.count("the journal can never take it") != 1 {
			t.Errorf("an entry of kind %d, %+v", kind, b.Stats())
		}
	})
}

// Nobody waits for the disk to postpone a bill.
func TestBillIsPostponedWhileOthersAreWritten(t *testing.T) {
	b := openBooks(t, smallBooks(t.TempDir(), newLedger(&fakeStorage{})))
	b.late.writing.Lock() // as for the seconds that a disk does not answer
	defer b.late.writing.Unlock()
	r := settle(7)
	f, err := b.fill(&r)
	if err != nil {
		t.Fatal(err)
	}
	b.postpone(f)
	if len(b.late.records) != 1 {
		t.Error("not postponed")
	}
}

// What comes when nobody will write it any more is counted, and stands in the log.
func TestBillAfterTheEndIsCounted(t *testing.T) {
	log := &lines{}
	o := smallBooks(t.TempDir(), newLedger(&fakeStorage{}))
	o.Log = log.logger()
	b := openBooks(t, o)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	r := settle(1)
	if err := b.Settle(t.Context(), &r); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if b.Stats().Dropped != 1 || log.count("a usage record is lost") != 1 || log.count(`\"charge_nanousd\":757700`) != 1 {
		t.Errorf("%+v, and the log says\n%s", b.Stats(), log.text.String())
	}
}
