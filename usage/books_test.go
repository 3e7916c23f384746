package usage

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/usage/journal"
)

// lines is a log that is read by tests.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how many lines hold a text.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// smallBooks are the options of books whose segments have 256 KiB.
func smallBooks(dir string, l *Ledger) BooksOptions {
	c := DefaultConfig().Journal
	c.MaxJournal = 16 << 20
	return BooksOptions{Dir: dir, Config: c, Ledger: l}
}

// openBooks opens books that are closed with the test, if they were not before.
func openBooks(t testing.TB, o BooksOptions) *Books {
	t.Helper()
	b, err := OpenBooks(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// intent is what is written before the first attempt of the n-th request.
func intent(n int) Record {
	r := settle(n)
	return Record{
		RequestID: r.RequestID, Kind: KindIntent, Tenant: r.Tenant, KeyID: r.KeyID, Model: r.Model,
		Provider: r.Provider, Endpoint: r.Endpoint, UpstreamModel: r.UpstreamModel, Stream: true,
		Tokens: Tokens{Prompt: 20}, MaxCompletion: 2000, AcceptedAt: r.AcceptedAt, TraceID: r.TraceID,
	}
}

// failed is the record of a failed attempt.
func failed(n, attempt int) Record {
	r := intent(n)
	r.Kind, r.Attempt, r.Tokens, r.MaxCompletion = KindAttempt, attempt, Tokens{}, 0
	r.EndReason, r.Source, r.Cost = EndUpstreamTimeout, SourcePartial, 900
	r.EndedAt = r.AcceptedAt.Add(time.Second)
	return r
}

// checkpoint is a stream that has come so far.
func checkpoint(n int, completion, delivered int64) Record {
	r := intent(n)
	r.Kind, r.MaxCompletion = KindCheckpoint, 0
	r.Tokens, r.Delivered = Tokens{Prompt: 20, Completion: completion}, delivered
	r.FirstByteAt, r.EndedAt = r.AcceptedAt.Add(time.Second), r.AcceptedAt.Add(3*time.Second)
	return r
}

func mustIntend(t testing.TB, b *Books, r Record) {
	t.Helper()
	if err := b.Intend(&r); err != nil {
		t.Fatal(err)
	}
}

func mustSettle(t testing.TB, b *Books, r Record) {
	t.Helper()
	if err := b.Settle(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
}

func note(b *Books, r Record) { b.Note(&r) }

func mustShip(t testing.TB, b *Books) {
	t.Helper()
	if err := b.Ship(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsSettledIsReadAtOnce(t *testing.T) {
	l, _ := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	b := openBooks(t, smallBooks(t.TempDir(), l))
	second := intent(1)
	second.Attempt = 1
	billed := settle(1)
	billed.Attempt = 1
	mustIntend(t, b, intent(1))
	note(b, failed(1, 0))
	mustIntend(t, b, second)
	note(b, checkpoint(1, 256, 200))
	if stats := b.Stats(); stats.Open != 1 || stats.Journal.Promised == 0 {
		t.Errorf("before the settle: %+v", stats)
	}
	mustSettle(t, b, billed)

	found, err := b.ByRequest(t.Context(), settle(1).RequestID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, []Record{failed(1, 0), billed}, found)
	rows, err := b.Sum(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	want := rowOf(billed)
	want.Cost += 900
	same(t, []Row{want}, rows)
	stats := b.Stats()
	if stats.Open != 0 || stats.Journal.Promised != 0 || stats.Unshipped != 0 || stats.Shipped != 2 || stats.Lag != 0 || stats.Refused+stats.Dropped+stats.Rejected+stats.Recovered != 0 {
		t.Errorf("afterwards: %+v", stats)
	}
	if err := b.Err(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// badDisk is a disk for journals that has moods.
type badDisk struct {
	slow, failing, full, unwritable atomic.Bool
	hanging                         atomic.Bool   // takes nothing
	gate                            chan struct{} // what is slow or hangs waits for it
}

func newBadDisk() *badDisk { return &badDisk{gate: make(chan struct{})} }

// create is for BooksOptions.
func (d *badDisk) create(path string) (journal.File, error) {
	if d.full.Load() {
		return nil, syscall.ENOSPC
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return badFile{file, d}, err
}

type badFile struct {
	*os.File
	disk *badDisk
}

func (f badFile) WriteAt(p []byte, off int64) (int, error) {
	if f.disk.hanging.Load() {
		<-f.disk.gate
	}
	if f.disk.unwritable.Load() {
		return 0, syscall.EIO
	}
	return f.File.WriteAt(p, off)
}

func (f badFile) Sync() error {
	if f.disk.slow.Load() {
		<-f.disk.gate
	}
	if f.disk.failing.Load() {
		return syscall.EIO
	}
	return nil
}

// The end of an answer waits for the disk with sync: strict, and not with relaxed.
func TestSettleWaitsForTheDiskIfItIsAskedTo(t *testing.T) {
	f := func(when Sync, waits bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			disk := newBadDisk()
			o := smallBooks(t.TempDir(), newLedger(&fakeStorage{}))
			o.Config.Sync, o.create = when, disk.create
			b := openBooks(t, o)
			mustIntend(t, b, intent(1))
			time.Sleep(time.Second)
			disk.slow.Store(true)
			var settled atomic.Bool
			var one sync.WaitGroup
			one.Go(func() {
				mustSettle(t, b, settle(1))
				settled.Store(true)
			})
			time.Sleep(time.Second)
			if settled.Load() == waits {
				t.Errorf("sync: %s has waited for the disk: %t", when, !waits)
			}
			close(disk.gate)
			one.Wait()
		})
	}
	f(SyncStrict, true)
	f(SyncRelaxed, false)
}

func TestSettleGivesUpWithItsContextAndTheBillIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, s := newBadDisk(), &fakeStorage{}
		o := smallBooks(t.TempDir(), newLedger(s))
		o.create = disk.create
		b := openBooks(t, o)
		mustIntend(t, b, intent(1))
		time.Sleep(time.Second)
		disk.slow.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := settle(1)
		if err := b.Settle(ctx, &r); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "the bill of the request is written and may not be safe") {
			t.Errorf("got %v", err)
		}
		if got := s.all(); len(got) != 0 {
			t.Errorf("the ledger was given what is not durable: %+v", got)
		}
		close(disk.gate)
		time.Sleep(time.Second)
		same(t, []Record{settle(1)}, s.all())
	})
}

func TestClosedBooksTakeNoMore(t *testing.T) {
	s := &fakeStorage{}
	dir := t.TempDir()
	b := openBooks(t, smallBooks(dir, newLedger(s)))
	mustIntend(t, b, intent(1))
	mustSettle(t, b, settle(1))
	note(b, failed(2, 0)) // not awaited by anybody
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	same(t, []Record{settle(1), failed(2, 0)}, s.all())
	r := intent(3)
	if err := b.Intend(&r); !errors.Is(err, ErrUnavailable) || !errors.Is(err, journal.ErrClosed) {
		t.Errorf("intent: %v", err)
	}
	r = settle(1)
	if err := b.Settle(t.Context(), &r); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("settle: %v", err)
	}
	if err := b.Err(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	if _, err := b.ByRequest(t.Context(), r.RequestID); err != nil {
		t.Errorf("reading: %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if err != nil {
		t.Fatal(err)
	}
	same(t, `{"shipped":3,"oldest_open":0,"crc32":`+"1781634773}\n", string(raw))
}

// Regression title: "int overflow turns a charge into a credit": a record that no
// ledger takes must not stand for a request that is about to be sent.
func TestIntentThatIsNoRecordIsRefused(t *testing.T) {
	b := openBooks(t, smallBooks(t.TempDir(), newLedger(&fakeStorage{})))
	r := intent(1)
	r.Prompt = -1
	if err := b.Intend(&r); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrBadRecord) {
		t.Errorf("intent: %v", err)
	}
	r = settle(1)
	r.Charge = -1
	if err := b.Settle(t.Context(), &r); !errors.Is(err, ErrBadRecord) {
		t.Errorf("settle: %v", err)
	}
	bad := failed(1, -1)
	b.Note(&bad)
	if stats := b.Stats(); stats.Refused != 1 || stats.Dropped != 1 || stats.Rejected != 1 || stats.Journal.Next != 2 {
		t.Errorf("got %+v", stats)
	}
}

func TestOneProcessKeepsTheBooks(t *testing.T) {
	dir := t.TempDir()
	openBooks(t, smallBooks(dir, newLedger(&fakeStorage{})))
	if _, err := OpenBooks(smallBooks(dir, newLedger(&fakeStorage{}))); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("got %v", err)
	}
}
