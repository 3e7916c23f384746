package usage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollgate/usage/journal"
)

// halfPrices are 0.10 and 0.40 dollars for a million tokens; starmagic takes half of that.
func halfPrices(t testing.TB) *PriceBook {
	t.Helper()
	book, err := NewPriceBook(Config{
		Journal: DefaultConfig().Journal,
		Prices:  []PriceConfig{{Model: "gemini-flash", From: "2026-01-01", Input: "0.10", Output: "0.40"}},
		Costs:   []CostConfig{{Provider: "starmagic", Model: "gemini-2.5-flash-lite", Input: "0.05", Output: "0.20"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// killed is the folder of books that were killed when that had happened.
func killed(t testing.TB, happened ...Record) (dir string) {
	t.Helper()
	b := openBooks(t, smallBooks(filepath.Join(t.TempDir(), "journal"), newLedger(&fakeStorage{})))
	for _, r := range happened {
		switch r.Kind {
		case KindIntent:
			mustIntend(t, b, r)
		case KindSettle:
			mustSettle(t, b, r)
		default:
			note(b, r)
		}
	}
	return copied(t, b.dir)
}

// A request that a crash has left open has a bill at the next start: what was
// delivered, by its last checkpoint, and what the provider may charge at most.
func TestWhatACrashHasLeftOpenIsSettled(t *testing.T) {
	second := intent(1)
	second.Attempt, second.Provider, second.Endpoint = 1, "evolink", "https://api.evolink.ai/v1"
	uncosted := intent(1)
	uncosted.Provider, uncosted.Model, uncosted.UpstreamModel = "gone", "gone", "gone"
	image, unseen, untimed := checkpoint(1, 0, 0), checkpoint(1, 5, 0), checkpoint(1, 300, 280)
	unseen.FirstByteAt, untimed.FirstByteAt = time.Time{}, time.Time{}
	later := checkpoint(1, 300, 280)
	later.EndedAt, later.UpstreamID = later.AcceptedAt.Add(5*time.Second), "chatcmpl-9"

	f := func(change func(r *Record), happened ...Record) {
		t.Helper()
		s, log := &fakeStorage{}, &lines{}
		o := smallBooks(killed(t, happened...), newLedger(s))
		o.Prices, o.Log = halfPrices(t), log.logger()
		b := openBooks(t, o)
		mustShip(t, b)
		// Nothing was delivered: the tenant pays nothing, and the provider may want its worst case.
		want := intent(1)
		want.Kind, want.EndReason, want.Source = KindSettle, EndRecovered, SourceRecovered
		want.EndedAt = want.AcceptedAt
		want.Tokens, want.Cost, want.CostPrice = Tokens{}, 20*50+2000*200, "starmagic/gemini-2.5-flash-lite@always"
		change(&want)
		got := s.all()
		same(t, want, got[len(got)-1])
		if stats := b.Stats(); stats.Recovered != 1 || stats.Unshipped != 0 || stats.Journal.Promised != 0 {
			t.Errorf("got %+v", stats)
		}
		if log.count(`msg="requests that a crash had left open are settled" count=1`) != 1 {
			t.Errorf("the log says\n%s", log.text.String())
		}
	}
	delivered := func(r *Record) {
		r.Tokens, r.Delivered = Tokens{Prompt: 20, Completion: 300}, 280
		r.Charge, r.ChargePrice = 20*100+300*400, "gemini-flash@2026-01-01"
		r.FirstByteAt, r.EndedAt, r.UpstreamID = later.FirstByteAt, later.EndedAt, "chatcmpl-9"
	}
	// Content that is no text counts nothing, and is content: its prompt is paid, as after a cut.
	noText := func(r *Record) {
		r.Tokens, r.Charge, r.ChargePrice = Tokens{Prompt: 20}, 20*100, "gemini-flash@2026-01-01"
		r.FirstByteAt, r.EndedAt = image.FirstByteAt, image.EndedAt
	}
	notDelivered := func(r *Record) { r.EndedAt = unseen.EndedAt }
	elsewhere := func(r *Record) {
		r.Attempt, r.Provider, r.Endpoint = 1, "evolink", "https://api.evolink.ai/v1"
		r.Cost, r.CostPrice, r.EndedAt = 0, "", r.AcceptedAt.Add(time.Second)
	}
	f(func(*Record) {}, intent(1))
	f(delivered, intent(1), checkpoint(1, 256, 250), later)
	f(func(r *Record) {
		delivered(r)
		r.FirstByteAt, r.EndedAt, r.UpstreamID = time.Time{}, untimed.EndedAt, ""
	}, intent(1), untimed)
	f(noText, intent(1), image)
	f(notDelivered, intent(1), unseen)
	f(elsewhere, intent(1), failed(1, 0), second)
	f(func(r *Record) { elsewhere(r); r.EndedAt = r.AcceptedAt.Add(3 * time.Second) }, intent(1), unseen, failed(1, 0), second)
	f(func(r *Record) { elsewhere(r); noText(r) }, intent(1), image, failed(1, 0), second)
	// An attempt that is known to have failed has its cost in its own record.
	f(func(r *Record) { r.Cost, r.EndedAt = 0, r.AcceptedAt.Add(time.Second) }, intent(1), failed(1, 0))
	f(func(r *Record) {
		r.Provider, r.Model, r.UpstreamModel = "gone", "gone", "gone"
		r.Cost, r.CostPrice = 0, ""
	}, uncosted)
	// Others were settled.
	f(func(*Record) {}, intent(2), settle(2), intent(1), intent(3), checkpoint(3, 1, 1), settle(3))
}

func TestWhatWasSettledIsNotSettledAgain(t *testing.T) {
	s := &fakeStorage{}
	b := openBooks(t, smallBooks(killed(t, intent(1), checkpoint(1, 5, 5), settle(1)), newLedger(s)))
	mustShip(t, b)
	if stats := b.Stats(); stats.Recovered != 0 || stats.Journal.Next != 4 {
		t.Errorf("got %+v", stats)
	}
}

// A start may die in the middle of settling, again and again: there is one bill in the end.
func TestRecoveryThatDiesIsGoneOnWith(t *testing.T) {
	const requests = 20
	var happened []Record
	for n := range requests {
		happened = append(happened, intent(n))
	}
	dir := killed(t, happened...)
	for done := range requests / 4 {
		// What a start leaves that has settled four requests and dies: the rest is still open.
		at := readCursor(dir, nil)
		log, found, err := openJournal(smallBooks(dir, nil), at)
		if err != nil {
			t.Fatal(err)
		}
		if len(found.open) != requests-4*done {
			t.Fatalf("%d requests are open, want %d", len(found.open), requests-4*done)
		}
		b := &Books{journal: log, log: (&lines{}).logger(), shipper: &shipper{}}
		settled := 0
		for _, one := range found.open {
			if settled++; settled <= 4 && b.settleOpen(one, &PriceBook{}) == 0 {
				t.Fatal("not settled")
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := &fakeStorage{}
	b := openBooks(t, smallBooks(dir, newLedger(s)))
	mustShip(t, b)
	bills := map[string]int{}
	for _, r := range s.all() {
		bills[r.RequestID]++
	}
	if len(bills) != requests || len(s.all()) != requests || b.Stats().Recovered != 0 {
		t.Errorf("%d requests have %d bills", len(bills), len(s.all()))
	}
}

// The oldest open request is found at the next start, however much was shipped since.
func TestOpenRequestIsFoundBehindTheCursor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	l, _ := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	o := smallBooks(dir, l)
	o.Config.KeepShipped, o.Config.Sync = 0, SyncRelaxed
	b := openBooks(t, o)
	mustIntend(t, b, intent(0))
	const requests = 2000 // some segments
	for n := 1; n < requests; n++ {
		mustIntend(t, b, intent(n))
		mustSettle(t, b, settle(n))
	}
	mustShip(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	at := readCursor(dir, nil)
	if at.OldestOpen != 1 || at.Shipped != 2*requests-1 {
		t.Errorf("the cursor says %+v", at)
	}
	o.Prices = halfPrices(t)
	for start := range 2 {
		b = openBooks(t, o)
		found, err := b.ByRequest(t.Context(), settle(0).RequestID)
		if err != nil || len(found) != 1 || found[0].EndReason != EndRecovered || b.Stats().Recovered != uint64(1-start) {
			t.Errorf("start %d: got %+v, %v, %+v", start, found, err, b.Stats())
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if rows := mustSum(t, l, Query{}); rows[0].Requests != requests {
		t.Errorf("%d requests, want %d", rows[0].Requests, requests)
	}
}

// Segments are given back when nobody needs them any more.
func TestSegmentsAreGivenBackWhenTheyAreShipped(t *testing.T) {
	dir := t.TempDir()
	o := smallBooks(dir, newLedger(&fakeStorage{}))
	o.Config.KeepShipped, o.Config.Sync = 0, SyncRelaxed
	b := openBooks(t, o)
	mustIntend(t, b, intent(0))
	fill := func(from int) {
		for n := from; n < from+3000; n++ {
			mustIntend(t, b, intent(n))
			mustSettle(t, b, settle(n))
		}
		mustShip(t, b)
	}
	segments := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "*.segment"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	fill(1)
	time.Sleep(saveEvery + 3*shipEvery)
	if got := segments(); got < 4 {
		t.Errorf("%d segments are left although the first request is open", got)
	}
	mustSettle(t, b, settle(0))
	for tries := 0; segments() > 3; tries++ {
		if tries == 500 {
			t.Fatalf("%d segments are left", segments())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestStartOnADiskThatFailsLosesNothing(t *testing.T) {
	dir := killed(t, intent(1), intent(2))
	disk, s, log := newBadDisk(), &fakeStorage{}, &lines{}
	o := smallBooks(dir, newLedger(s))
	o.create, o.Log = disk.create, log.logger()
	disk.failing.Store(true)
	if _, err := OpenBooks(o); err == nil {
		t.Fatal("a disk that takes nothing is taken")
	}
	disk.failing.Store(false)
	openBooks(t, o)
	for tries := 0; len(s.all()) < 2; tries++ {
		if tries == 300 {
			t.Fatalf("the ledger has %d bills", len(s.all()))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestDamagedJournalStopsTheStart(t *testing.T) {
	var happened []Record
	for n := range 50 {
		happened = append(happened, intent(n), settle(n))
	}
	dir := killed(t, happened...)
	_ = os.Remove(filepath.Join(dir, cursorFile))
	names, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[strings.Index(string(raw), settle(20).RequestID)]++
	if err := os.WriteFile(names[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBooks(smallBooks(dir, newLedger(&fakeStorage{}))); !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "tollgate journal repair") {
		t.Errorf("got %v", err)
	}
}

func TestEntryThatIsNoRecordDoesNotStopTheStart(t *testing.T) {
	b := openBooks(t, smallBooks(t.TempDir(), newLedger(&fakeStorage{before: func([]Record) error { return errLedgerDown }})))
	for _, kind := range []journal.Kind{journal.Intent, journal.Attempt, journal.Checkpoint, journal.Settle, journal.Adjust} {
		if _, err := b.journal.Append(kind, journal.Room{Class: journal.Owed}, []byte("nonsense")); err != nil {
			t.Fatal(err)
		}
	}
	mustIntend(t, b, intent(1))
	s, log := &fakeStorage{}, &lines{}
	o := smallBooks(copied(t, b.dir), newLedger(s))
	o.Log = log.logger()
	b = openBooks(t, o)
	mustShip(t, b)
	if got := s.all(); len(got) != 1 || got[0].RequestID != intent(1).RequestID || b.Stats().Unshipped != 0 || b.Stats().Rejected != 3 {
		t.Errorf("got %+v, %+v", got, b.Stats())
	}
	if log.count("entries that are no usage records") != 1 {
		t.Errorf("the log says\n%s", log.text.String())
	}
}

// Regression title: "a recovered bill is beyond max_tokens". A checkpoint's count goes by
// the answer's beginning, and is held against what the client allowed as that of a cut is.
func TestRecoveredBillIsWithinWhatWasAllowed(t *testing.T) {
	f := func(worst, allowed, counted, completion, cost int64) {
		t.Helper()
		begun, come := intent(1), checkpoint(1, counted, counted)
		begun.MaxCompletion, come.MaxCompletion = worst, allowed
		s := &fakeStorage{}
		o := smallBooks(killed(t, begun, come), newLedger(s))
		o.Prices = halfPrices(t)
		mustShip(t, openBooks(t, o))
		want := come
		want.Kind, want.EndReason, want.Source = KindSettle, EndRecovered, SourceRecovered
		want.Completion, want.MaxCompletion = completion, max(worst, allowed)
		want.Charge, want.ChargePrice = NanoUSD(20*100+completion*400), "gemini-flash@2026-01-01"
		want.Cost, want.CostPrice = NanoUSD(20*50+cost*200), "starmagic/gemini-2.5-flash-lite@always"
		same(t, []Record{want}, s.all())
		cut := Decide(Answer{End: EndUpstreamCut, Delivered: true, MaxCompletion: want.MaxCompletion, WorstCompletion: worst, Estimate: func() Tokens { return come.Tokens }})
		if cut.Tokens != want.Tokens || cut.Cost != (Tokens{Prompt: 20, Completion: cost}) {
			t.Errorf("of %d counted, a cut is billed %+v", counted, cut)
		}
	}
	f(500, 500, 499, 499, 500)
	f(500, 500, 534, 500, 500)
	// What the client got may be more than the worst case reckons with.
	f(2000, 5000, 1000, 1000, 2000)
	f(2000, 5000, 3000, 3000, 3000)
	f(2000, 5000, 5001, 5000, 5000)
	// No limit was named.
	f(0, 0, 3000, 3000, 3000)
	// A checkpoint that does not say what was allowed: no less than the intent says.
	f(500, 0, 534, 500, 500)
}
