package usage

import (
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// load is requests that begin and end all the time, and what their callers were told.
type load struct {
	mu             sync.Mutex
	begun, settled map[string]bool
}

func (l *load) note(into map[string]bool, requestID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	into[requestID] = true
}

// told is what had been told up to now.
func (l *load) told() (begun, settled map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.begun), maps.Clone(l.settled)
}

// run has a client make requests until stop is closed.
func (l *load) run(t *testing.T, b *Books, first int, stop <-chan struct{}) {
	random := rand.New(rand.NewPCG(uint64(first), 1))
	for n := first; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		r := intent(n)
		if err := b.Intend(&r); err != nil {
			continue // for a moment, there is no room
		}
		l.note(l.begun, r.RequestID)
		if random.IntN(4) == 0 {
			note(b, failed(n, 0))
			r.Attempt = 1
			for b.Intend(&r) != nil { // for a moment, there is no room
				time.Sleep(time.Millisecond)
			}
		}
		for range random.IntN(3) {
			note(b, checkpoint(n, 10, 5))
		}
		time.Sleep(time.Duration(random.IntN(20_000)) * time.Microsecond)
		r = settle(n)
		if err := b.Settle(t.Context(), &r); err != nil {
			t.Error(err)
		}
		l.note(l.settled, r.RequestID)
	}
}

// copied is a copy of a journal's folder: what a process that is killed now leaves behind.
func copied(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	copyJournal(t, dir, to, func() {})
	return to
}

// copyJournal copies a folder that is written to. What is copied first is the oldest:
// the cursor, whatever the caller copies then, and the segments, from the last one on.
func copyJournal(t testing.TB, dir, to string, then func()) {
	t.Helper()
	copyFile := func(name string) {
		from, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return // it is not there yet
		}
		defer from.Close()
		file, err := os.Create(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := io.Copy(file, from); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(cursorFile)
	then()
	segments, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(segments)
	for _, path := range slices.Backward(segments) {
		copyFile(filepath.Base(path))
	}
}

// Killed at any moment, a request that was told to be settled has its bill, a request
// that had begun has one, and none has two: with the ledger as it was, and with an
// empty one that is filled from the journal.
func TestKilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	ledger, db := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	o := smallBooks(dir, ledger)
	o.Config.MaxJournal = 128 << 20
	b := openBooks(t, o)
	l := &load{begun: map[string]bool{}, settled: map[string]bool{}}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for client := range 16 {
		clients.Go(func() { l.run(t, b, client*1_000_000, stop) })
	}
	random := rand.New(rand.NewPCG(1, 2))
	for kill := range 12 {
		time.Sleep(time.Duration(20+random.IntN(150)) * time.Millisecond)
		begun, settled := l.told()
		journal, file := t.TempDir(), filepath.Join(t.TempDir(), "ledger.db")
		copyJournal(t, dir, journal, func() {
			if err := db.View(func(tx *bolt.Tx) error { return tx.CopyFile(file, 0o600) }); err != nil {
				t.Fatal(err)
			}
		})
		if kill%3 == 2 { // the ledger is lost
			for _, path := range []string{file, filepath.Join(journal, cursorFile)} {
				if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
		}
		checkAfterKill(t, journal, file, begun, settled)
	}
	close(stop)
	clients.Wait()
}

func checkAfterKill(t *testing.T, journal, file string, begun, settled map[string]bool) {
	t.Helper()
	ledger, db := openFile(t, file)
	defer db.Close()
	o := smallBooks(journal, ledger)
	o.Config.MaxJournal = 128 << 20
	b, err := OpenBooks(o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	mustShip(t, b)
	var want totals
	bills := map[string]Record{}
	err = db.View(func(tx *bolt.Tx) error {
		records, _ := buckets(tx)
		return records.ForEach(func(_, value []byte) error {
			r, err := decodeRecord(value)
			if err != nil {
				return err
			}
			if _, twice := bills[r.RequestID]; twice && r.Kind == KindSettle {
				t.Errorf("request %s has two bills", r.RequestID)
			}
			if r.Kind == KindSettle {
				bills[r.RequestID] = r
			}
			return want.add(r.totals())
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range settled {
		if bills[id].EndReason != EndCompleted {
			t.Errorf("request %s was settled, and its bill says %q", id, bills[id].EndReason)
		}
	}
	for id := range begun {
		if bills[id].RequestID == "" {
			t.Errorf("request %s had begun and has no bill", id)
		}
	}
	row := mustSum(t, ledger, Query{})[0]
	if row.Requests != int64(len(bills)) || row.Requests != want.Requests || int64(row.Charge) != want.Charge || int64(row.Cost) != want.Cost {
		t.Errorf("the totals say %+v, the records %+v of %d requests", row, want, len(bills))
	}
}

// Whatever happens in whatever order, with a death after any of it: each request that
// has begun has one bill in the end, the one that its caller was told of.
func TestAnyHistoryEndsWithOneBillPerRequest(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := filepath.Join(t.TempDir(), "journal")
		storage := &fakeStorage{}
		b := openBooks(t, smallBooks(dir, newLedger(storage)))
		begun, bills := map[int]bool{}, map[int]Record{}
		for range rapid.IntRange(1, 20).Draw(r, "steps") {
			n := rapid.IntRange(0, 5).Draw(r, "request")
			_, ended := bills[n]
			switch rapid.SampledFrom([]string{"intend", "note", "settle", "settle", "ship", "die"}).Draw(r, "step") {
			case "intend":
				if !ended {
					mustIntend(t, b, intent(n))
					begun[n] = true
				}
			case "note":
				if begun[n] && !ended {
					note(b, failed(n, 0))
					note(b, checkpoint(n, 20, 10))
				}
			case "settle":
				if begun[n] && !ended {
					mustSettle(t, b, settle(n))
					bills[n] = settle(n)
				}
			case "ship":
				mustShip(t, b)
			case "die":
				dir = copied(t, dir)
				if err := b.Close(); err != nil { // what it still does, nobody sees
					t.Fatal(err)
				}
				b = openBooks(t, smallBooks(dir, newLedger(storage)))
				for n := range begun {
					if _, ended := bills[n]; !ended {
						bills[n] = Record{RequestID: settle(n).RequestID, EndReason: EndRecovered}
					}
				}
			}
		}
		mustShip(t, b)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		got := map[string]EndReason{}
		for _, one := range storage.all() {
			if one.Kind != KindSettle {
				continue
			}
			if was, again := got[one.RequestID]; again && was != one.EndReason {
				r.Fatalf("request %s has the bills %s and %s", one.RequestID, was, one.EndReason)
			}
			got[one.RequestID] = one.EndReason
		}
		for n, bill := range bills {
			if got[settle(n).RequestID] != bill.EndReason {
				r.Fatalf("request %d: %q, want %q", n, got[settle(n).RequestID], bill.EndReason)
			}
		}
		if len(got) != len(bills) {
			r.Fatalf("bills of others: %v", got)
		}
	})
}
