package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/usage/journal"
)

// What the ledger is given without anybody who asks.
func TestLedgerIsGivenWhatIsNewTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStorage{}
		b := openBooks(t, smallBooks(t.TempDir(), newLedger(s)))
		mustIntend(t, b, intent(1))
		note(b, failed(1, 0))
		note(b, checkpoint(1, 5, 5))
		mustSettle(t, b, settle(1))
		time.Sleep(2 * shipEvery)
		same(t, []Record{failed(1, 0), settle(1)}, s.all())
		time.Sleep(time.Minute)
		if len(s.batches) != 1 {
			t.Errorf("%d batches", len(s.batches))
		}
	})
}

// A ledger that fails holds up nobody but those who read it, and loses nothing.
func TestLedgerThatFailsIsTriedAgainAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, tries := atomic.Bool{}, atomic.Int64{}
		down.Store(true)
		s, log := &fakeStorage{}, &lines{}
		s.before = func([]Record) error {
			tries.Add(1)
			if down.Load() {
				return errLedgerDown
			}
			return nil
		}
		o := smallBooks(t.TempDir(), newLedger(s))
		o.Log = log.logger()
		b := openBooks(t, o)
		began := time.Now()
		const requests = 2 * shipBatch
		for n := range requests {
			mustIntend(t, b, intent(n))
			r := settle(n)
			r.AcceptedAt, r.FirstByteAt, r.EndedAt = began, time.Time{}, began
			mustSettle(t, b, r)
		}
		time.Sleep(time.Minute - time.Since(began))
		stats := b.Stats()
		if stats.Unshipped != requests || stats.Lag != time.Minute {
			t.Errorf("after a minute: %+v", stats)
		}
		if got := tries.Load(); got < 12 || got > 25 {
			t.Errorf("it was tried %d times in a minute", got)
		}
		asked := time.Now()
		if _, err := b.Sum(t.Context(), Query{}); err != nil || time.Since(asked) != 0 {
			t.Errorf("a question took %s: %v", time.Since(asked), err)
		}
		if err := b.Ship(t.Context()); !errors.Is(err, errLedgerDown) {
			t.Errorf("ship: %v", err)
		}
		down.Store(false)
		time.Sleep(lastBackoff + time.Second)
		if got := len(s.all()); got != requests {
			t.Errorf("the ledger was given %d records, want %d", got, requests)
		}
		if stats := b.Stats(); stats.Unshipped != 0 || stats.Lag != 0 {
			t.Errorf("afterwards: %+v", stats)
		}
		if log.count("cannot be given to the ledger") != 1 || log.count("are given to the ledger again") != 1 {
			t.Errorf("the log says\n%s", log.text.String())
		}
	})
}

// A ledger that hangs keeps a question waiting for a second, and no bill at all.
func TestLedgerThatHangsHoldsUpNoBill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &fakeStorage{before: func([]Record) error { <-gate; return nil }}
		b := openBooks(t, smallBooks(t.TempDir(), newLedger(s)))
		began := time.Now()
		for n := range 2 * shipBatch {
			mustIntend(t, b, intent(n))
			mustSettle(t, b, settle(n))
		}
		if took := time.Since(began); took > shipEvery {
			t.Errorf("the bills took %s", took)
		}
		began = time.Now()
		if _, err := b.ByRequest(t.Context(), settle(1).RequestID); err != nil || time.Since(began) != catchUpWithin {
			t.Errorf("a question took %s: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Ship(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ship: %v", err)
		}
		close(gate)
		mustShip(t, b)
		if got := len(s.all()); got != 2*shipBatch {
			t.Errorf("%d records", got)
		}
	})
}

func TestReadersShareRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStorage{before: func([]Record) error { time.Sleep(20 * time.Millisecond); return nil }}
		b := openBooks(t, smallBooks(t.TempDir(), newLedger(s)))
		for n := range 10 {
			mustSettle(t, b, settle(n))
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := b.Sum(t.Context(), Query{}); err != nil {
					t.Error(err)
				}
				if got := len(s.all()); got != 10 {
					t.Errorf("the ledger was asked when it had %d records", got)
				}
			})
		}
		all.Wait()
		if len(s.batches) > 2 {
			t.Errorf("%d batches", len(s.batches))
		}
	})
}

func TestRejectedRecordIsPutAsideAndTheOthersAreKept(t *testing.T) {
	dir, log := t.TempDir(), &lines{}
	l, _ := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	o := smallBooks(dir, l)
	o.Log = log.logger()
	b := openBooks(t, o)
	dear := settle(0)
	dear.Charge = math.MaxInt64
	mustSettle(t, b, dear)
	mustSettle(t, b, settle(1))
	if _, err := b.journal.Append(journal.Settle, journal.Room{Class: journal.Owed}, []byte("no record")); err != nil {
		t.Fatal(err)
	}
	b.shipper.owe()
	other := settle(2)
	other.Tenant = "other"
	mustSettle(t, b, other)
	rows, err := b.Sum(t.Context(), Query{By: []Dimension{ByTenant}})
	if err != nil || len(rows) != 2 || rows[0].Requests != 1 || rows[0].Charge != math.MaxInt64 || rows[1].Requests != 1 {
		t.Errorf("got %+v, %v", rows, err)
	}
	if stats := b.Stats(); stats.Rejected != 2 || stats.Unshipped != 0 {
		t.Errorf("got %+v", stats)
	}
	raw, err := os.ReadFile(filepath.Join(dir, rejectedFile))
	if err != nil {
		t.Fatal(err)
	}
	var got []reject
	for line := range strings.Lines(string(raw)) {
		var one reject
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		got = append(got, one)
	}
	if len(got) != 2 || string(got[1].Raw) != "no record" || !strings.HasPrefix(got[1].Error, "entry 3 of the journal: it is not a usage record") ||
		got[0].Record.RequestID != settle(1).RequestID || got[0].Error != "the usage record is not valid: the totals of 2026-03-01: the amount is beyond 9.2 billion US dollars" {
		t.Errorf("got %s", raw)
	}
	if log.count("a usage record can never be kept; it is put aside") != 1 {
		t.Errorf("the log says\n%s", log.text.String())
	}
}

func TestRejectedFileIsBounded(t *testing.T) {
	log := &lines{}
	r := rejects{path: filepath.Join(t.TempDir(), rejectedFile), log: log.logger()}
	if err := os.WriteFile(r.path, make([]byte, maxRejected-2500), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := remarkable(2)
	secret.Rejected, secret.UpstreamID = "what others wrote", "what others wrote"
	lines := []reject{rejectRecord(settle(1), ErrBadRecord), rejectRecord(secret, ErrBadRecord), rejectEntry(7, make([]byte, 2000), ErrBadRecord)}
	if err := r.keep(lines); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(r.path)
	if err != nil || info.Size() <= maxRejected-2500 || info.Size() > maxRejected || r.count.Load() != 3 {
		t.Errorf("%v, %v, %d", info, err, r.count.Load())
	}
	// The log says what a bill is made of, and nothing that others wrote.
	if log.count("since rejected.jsonl has reached its bound") != 2 || log.count("it is put aside in rejected.jsonl") != 1 || log.count("entry 7 of the journal") != 1 ||
		log.count(`\"charge_nanousd\":757700,\"cost_nanousd\":605120,`) != 1 || log.count("what others wrote") != 0 || log.count("aaaa") != 0 {
		t.Errorf("the log says\n%.3000s", log.text.String())
	}
}

// Regression title: G3: every batch delivered three times changes no total; a ledger
// that was lost is filled again.
func TestReshipFillsALedgerThatWasLost(t *testing.T) {
	l, _ := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	dir := t.TempDir()
	b := openBooks(t, smallBooks(dir, l))
	const requests = shipBatch + 100
	for n := range requests {
		mustIntend(t, b, intent(n))
		note(b, failed(n, 0))
		r := settle(n)
		r.Attempt = 1
		mustSettle(t, b, r)
	}
	want, err := b.Sum(t.Context(), Query{By: []Dimension{ByTenant, ByDay}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n, err := b.Reship(t.Context()); err != nil || n != 2*requests {
			t.Errorf("%d records, %v", n, err)
		}
	}
	same(t, want, mustSum(t, l, Query{By: []Dimension{ByTenant, ByDay}}))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	empty, _ := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	b = openBooks(t, smallBooks(dir, empty))
	mustShip(t, b)
	same(t, []Row{{}}, mustSum(t, empty, Query{})) // all that was shipped before
	if n, err := b.Reship(t.Context()); err != nil || n != 2*requests {
		t.Errorf("%d records, %v", n, err)
	}
	same(t, want, mustSum(t, empty, Query{By: []Dimension{ByTenant, ByDay}}))
}

func TestCursor(t *testing.T) {
	dir := t.TempDir()
	open := func() (*Books, *fakeStorage, *lines) {
		s, log := &fakeStorage{}, &lines{}
		o := smallBooks(dir, newLedger(s))
		o.Log = log.logger()
		return openBooks(t, o), s, log
	}
	b, _, _ := open()
	for n := range 10 {
		mustIntend(t, b, intent(n))
		mustSettle(t, b, settle(n))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, cursorFile)
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := func(content string, again int, warning string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b, s, log := open()
		mustShip(t, b)
		if stats := b.Stats(); len(s.all()) != again || stats.Unshipped != 0 || stats.Recovered != 0 || stats.Journal.Next != 21 {
			t.Errorf("%s: %d records were shipped again, want %d: %+v", content, len(s.all()), again, stats)
		}
		if warning == "" && log.text.Len() > 0 || log.count(warning) == 0 {
			t.Errorf("%s: the log says\n%s", content, log.text.String())
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(saved) {
			t.Errorf("%s: afterwards %s, %v, want %s", content, now, err, saved)
		}
	}
	valid := func(c cursor) string {
		return fmt.Sprintf(`{"shipped":%d,"oldest_open":%d,"crc32":%d}`, c.Shipped, c.OldestOpen, c.sum())
	}
	damaged, ahead := "the journal's cursor cannot be read", "the journal's cursor is ahead of the journal"
	f(string(saved), 0, "")
	f("", 10, damaged)
	f("{}", 10, damaged)
	f(string(saved[:len(saved)/2]), 10, damaged)
	f(strings.Replace(string(saved), "20", "12", 1), 10, damaged)
	f(valid(cursor{Shipped: 12}), 4, "")
	f(valid(cursor{Shipped: 12, OldestOpen: 5}), 4, "")
	f(valid(cursor{Shipped: 21}), 10, ahead)
	f(valid(cursor{Shipped: math.MaxUint64}), 10, ahead)
}
