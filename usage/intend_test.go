package usage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/usage/journal"
)

var errLedgerDown = errors.New("the ledger is down")

// remarkable is a settle with as long remarks as there may be.
func remarkable(n int) Record {
	r := settle(n)
	r.Trail = JSON(`{"why":"` + strings.Repeat("a", maxTrail-10) + `"}`)
	r.Rejected = strings.Repeat("b", maxRemark)
	return r
}

// Full, the journal refuses what is to begin, and takes how everything ends that has
// begun. It takes new requests again as soon as there is room: no restart.
func TestFullJournalRefusesBeginningsAndTakesEnds(t *testing.T) {
	down := atomic.Bool{}
	down.Store(true)
	s := &fakeStorage{before: func([]Record) error {
		if down.Load() {
			return errLedgerDown
		}
		return nil
	}}
	dir := t.TempDir()
	o := smallBooks(dir, newLedger(s))
	o.Config.KeepShipped, o.Config.Sync = 0, SyncRelaxed
	b := openBooks(t, o)
	begun := 0
	for {
		r := intent(begun)
		err := b.Intend(&r)
		if err == nil {
			begun++
			continue
		}
		if strings.Contains(err.Error(), "usage.max_journal") && strings.Contains(err.Error(), "are in use") {
			want := "the usage journal takes no new requests: the journal is full: its 16 MiB (usage.max_journal) are in use: what is in it is not in the ledger yet, " +
				"or belongs to open requests: make room on the disk of " + dir + ", or raise usage.max_journal (16MiB)"
			if !errors.Is(err, ErrUnavailable) || err.Error() != want {
				t.Errorf("got\n%v, want\n%s", err, want)
			}
			break
		}
		time.Sleep(time.Millisecond) // the next segment is being made
		if begun > 20_000 {
			t.Fatal("it never gets full")
		}
	}
	if stats := b.Stats(); stats.Open != begun || stats.Refused == 0 || b.Err() == nil {
		t.Fatalf("%d begun, %+v, %v", begun, stats, b.Err())
	}
	for n := range begun {
		note(b, failed(n, 0))
		mustSettle(t, b, remarkable(n))
	}
	if stats := b.Stats(); stats.Dropped != 0 || stats.Journal.Promised != 0 || stats.Unshipped != uint64(2*begun) {
		t.Errorf("afterwards: %+v", stats)
	}
	down.Store(false)
	mustShip(t, b)
	bills := map[string]int{}
	for _, r := range s.all() {
		if r.Kind == KindSettle {
			bills[r.RequestID]++
		}
	}
	if len(bills) != begun || len(s.all()) != 2*begun {
		t.Errorf("%d bills and %d records for %d requests", len(bills), len(s.all()), begun)
	}
	for tries := 0; b.Err() != nil; tries++ {
		if tries == 6000 {
			t.Fatalf("not ready again: %v", b.Err())
		}
		time.Sleep(10 * time.Millisecond)
	}
	mustIntend(t, b, intent(begun))
	mustSettle(t, b, settle(begun))
}

// Remarks are kept while there is room that nobody was promised.
func TestRemarksAreKeptWhereThereIsRoom(t *testing.T) {
	s := &fakeStorage{}
	b := openBooks(t, smallBooks(t.TempDir(), newLedger(s)))
	mustIntend(t, b, intent(1))
	mustSettle(t, b, remarkable(1))
	mustShip(t, b)
	same(t, []Record{remarkable(1)}, s.all())
}

// What not even promised room is there for waits in memory, and its caller is told.
func TestBillThatFindsNoRoomIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, s, log := newBadDisk(), &fakeStorage{}, &lines{}
		o := smallBooks(t.TempDir(), newLedger(s))
		o.create, o.Log = disk.create, log.logger()
		b := openBooks(t, o)
		time.Sleep(time.Second)
		disk.full.Store(true)
		written := 0
		var err error
		for ; err == nil && written < 20_000; written++ { // nobody has promised them room
			r := settle(written)
			err = b.Settle(t.Context(), &r)
		}
		if !errors.Is(err, journal.ErrFull) || !strings.HasPrefix(err.Error(), "the bill of the request is not on record yet: the journal is full") {
			t.Fatalf("after %d: %v", written, err)
		}
		late := failed(written, 0)
		b.Note(&late)
		time.Sleep(time.Minute)
		mustShip(t, b)
		if got := len(s.all()); got != written-1 {
			t.Errorf("the ledger has %d records, want %d", got, written-1)
		}
		disk.full.Store(false)
		time.Sleep(2 * time.Second)
		got := s.all()
		if len(got) != written+1 || got[written-1].RequestID != settle(written-1).RequestID || got[written].Kind != KindAttempt {
			t.Errorf("the ledger has %d records, want %d", len(got), written+1)
		}
		if log.count("records that the journal could not take before are written") != 1 || b.Stats().Dropped != 0 {
			t.Errorf("%+v, and the log says\n%s", b.Stats(), log.text.String())
		}
	})
}

// What cannot be written until the end is counted, and is settled at the next start.
func TestBillThatIsNeverWrittenIsCountedAndRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, s, log := newBadDisk(), &fakeStorage{}, &lines{}
		o := smallBooks(t.TempDir(), newLedger(s))
		o.create, o.Log = disk.create, log.logger()
		b := openBooks(t, o)
		time.Sleep(time.Second)
		mustIntend(t, b, intent(0))
		disk.full.Store(true)
		var err error
		for n := 1; err == nil && n < 20_000; n++ {
			r := settle(n)
			err = b.Settle(t.Context(), &r)
		}
		r := settle(0)
		if err := b.Settle(t.Context(), &r); !errors.Is(err, journal.ErrFull) {
			t.Fatalf("got %v", err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if b.Stats().Dropped != 2 || log.count("usage records are lost") != 1 {
			t.Errorf("%+v, and the log says\n%s", b.Stats(), log.text.String())
		}
		disk.full.Store(false)
		b = openBooks(t, o)
		mustShip(t, b)
		got := s.all()
		if last := got[len(got)-1]; last.RequestID != r.RequestID || last.EndReason != EndRecovered {
			t.Errorf("got %+v", last)
		}
	})
}

// A disk that fails refuses what is to begin, and what ends is told that it may not be safe.
func TestFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, s := newBadDisk(), &fakeStorage{}
		dir := t.TempDir()
		o := smallBooks(dir, newLedger(s))
		o.create = disk.create
		b := openBooks(t, o)
		mustIntend(t, b, intent(1))
		time.Sleep(time.Second)
		disk.failing.Store(true)
		r := settle(1)
		if err := b.Settle(t.Context(), &r); !errors.Is(err, journal.ErrFailing) {
			t.Errorf("settle: %v", err)
		}
		r = intent(2)
		said := func(err error) bool {
			return errors.Is(err, ErrUnavailable) && strings.HasPrefix(err.Error(), "the usage journal takes no new requests: the disk of the journal fails: ") &&
				strings.HasSuffix(err.Error(), "input/output error: look after the disk of "+dir)
		}
		if err := b.Intend(&r); !said(err) || b.Stats().Refused != 1 {
			t.Errorf("intent: got %v, %+v", err, b.Stats())
		}
		if err := b.Err(); !said(err) || b.Stats().Refused != 1 {
			t.Errorf("ready: %v, %+v", err, b.Stats())
		}
		if err := b.Recordable(); !said(err) || b.Stats().Refused != 2 { // who asks so refuses a request for it
			t.Errorf("recordable: %v, %+v", err, b.Stats())
		}
		disk.failing.Store(false)
		time.Sleep(2 * time.Second)
		if err := b.Err(); err != nil {
			t.Errorf("not ready again: %v", err)
		}
		same(t, []Record{settle(1)}, s.all())
		if err := b.Recordable(); err != nil || b.Stats().Refused != 2 {
			t.Errorf("recordable: %v, %+v", err, b.Stats())
		}
		mustIntend(t, b, r)
		mustSettle(t, b, settle(2))
	})
}

func TestManyRequestsAtOnce(t *testing.T) {
	l, _ := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	o := smallBooks(t.TempDir(), l)
	o.Config.MaxJournal = 1 << 30 // there is room for all at any moment, however slow the disk is
	b := openBooks(t, o)
	const clients, each = 200, 10
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := range each {
				n := client*each + i
				r := intent(n)
				if err := b.Intend(&r); err != nil {
					t.Error(err)
				}
				note(b, checkpoint(n, 1, 1))
				if i%3 == 0 {
					note(b, failed(n, 0))
				}
				r = settle(n)
				if err := b.Settle(t.Context(), &r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	mustShip(t, b)
	rows, err := b.Sum(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	if rows[0].Requests != clients*each || rows[0].Charge != clients*each*757_700 || rows[0].Cost != clients*each*605_120+clients*4*900 {
		t.Errorf("got %+v", rows)
	}
	if stats := b.Stats(); stats.Open != 0 || stats.Journal.Promised != 0 || stats.Unshipped != 0 {
		t.Errorf("got %+v", stats)
	}
}

// BenchmarkBooks is what the books add to a request.
func BenchmarkBooks(b *testing.B) {
	for _, sync := range []Sync{SyncStrict, SyncRelaxed} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s_%d_clients", sync, clients), func(b *testing.B) { benchmarkBooks(b, sync, clients) })
		}
	}
}

func benchmarkBooks(b *testing.B, when Sync, clients int) {
	l, _ := openFile(b, filepath.Join(b.TempDir(), "ledger.db"))
	o := smallBooks(b.TempDir(), l)
	o.Config.Sync, o.Config.MaxJournal, o.Config.KeepShipped = when, 1<<30, 0
	books := openBooks(b, o)
	var n atomic.Int64
	var all sync.WaitGroup
	var ids []string
	for i := range b.N {
		ids = append(ids, settle(i).RequestID)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range clients {
		all.Go(func() {
			begins, ends := intent(0), settle(0)
			ends.Rejected = ""
			for i := n.Add(1) - 1; i < int64(b.N); i = n.Add(1) - 1 {
				begins.RequestID, ends.RequestID = ids[i], ids[i]
				if err := books.Intend(&begins); err != nil {
					b.Error(err)
				}
				if err := books.Settle(b.Context(), &ends); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
