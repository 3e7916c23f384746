package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// rejectedLines is what was put aside in a folder.
func rejectedLines(t *testing.T, dir string) (all []reject) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, rejectedFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var one reject
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// Regression title: "a settle that cannot be kept holds its room for ever". Its request
// has ended: what it says is put aside, and nothing waits for it.
func TestBillThatIsNoRecordEndsItsRequest(t *testing.T) {
	f := func(spoil func(r *Record), want func(r *Record)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s, log := &fakeStorage{}, &lines{}
			o := smallBooks(t.TempDir(), newLedger(s))
			o.Log = log.logger()
			b := openBooks(t, o)
			mustIntend(t, b, intent(1))
			bad := remarkable(1)
			spoil(&bad)
			if err := b.Settle(t.Context(), &bad); !errors.Is(err, ErrBadRecord) {
				t.Errorf("got %v", err)
			}
			time.Sleep(2 * saveEvery)
			if stats := b.Stats(); stats.Open != 0 || stats.Journal.Promised != 0 || stats.Rejected != 1 || stats.Unshipped != 0 {
				t.Errorf("afterwards: %+v", stats)
			}
			if at := readCursor(b.dir, nil); at.OldestOpen != 0 {
				t.Errorf("the journal is held from %d on", at.OldestOpen)
			}
			bare := settle(1)
			bare.Source, bare.Tokens, bare.Delivered, bare.Charge, bare.ChargePrice, bare.Cost, bare.CostPrice = SourceNone, Tokens{}, 0, 0, "", 0, ""
			bare.MaxCompletion, bare.FirstByteAt, bare.UpstreamID, bare.Rejected, bare.Trail = 0, time.Time{}, "", "", ""
			want(&bare)
			same(t, []Record{bare}, s.all())
			aside := rejectedLines(t, b.dir)
			if len(aside) != 1 || !strings.Contains(aside[0].Error, "is not valid") || aside[0].Record.RequestID != bad.RequestID || aside[0].Record.Cached != bad.Cached {
				t.Errorf("put aside: %+v", aside)
			}
			if log.count(`\"cost_nanousd\":605120`) != 1 {
				t.Errorf("the log says\n%s", log.text.String())
			}
		})
	}
	same := func(*Record) {}
	f(func(r *Record) { r.Cached = r.Prompt + 1 }, same)
	f(func(r *Record) { r.Charge = -1 }, same)
	f(func(r *Record) { r.FirstByteAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) }, same)
	f(func(r *Record) { r.EndedAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) }, func(r *Record) { r.EndedAt = time.Time{} })
	f(func(r *Record) { r.Provider = "a\x00b" }, func(r *Record) {
		*r = Record{RequestID: r.RequestID, Kind: KindSettle, EndReason: r.EndReason, Source: SourceNone, AcceptedAt: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
	})
}

// Regression title: "a rejected bill that rejected.jsonl cannot take counts as shipped".
func TestRejectedRecordIsTriedAgainUntilItIsPutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStorage{before: func(batch []Record) error {
			for i, r := range batch {
				if r.RequestID == settle(1).RequestID {
					return &rejection{i, fmt.Errorf("%w: %w", ErrBadRecord, ErrOverflow)}
				}
			}
			return nil
		}}
		o := smallBooks(t.TempDir(), newLedger(s))
		b := openBooks(t, o)
		path := filepath.Join(b.dir, rejectedFile)
		if err := os.Mkdir(path, 0o700); err != nil { // it cannot be written
			t.Fatal(err)
		}
		mustIntend(t, b, intent(1))
		mustSettle(t, b, settle(1))
		if err := b.Ship(t.Context()); err == nil || b.Stats().Unshipped != 1 || b.Stats().Rejected != 0 {
			t.Errorf("ship: %v, %+v", err, b.Stats())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lastBackoff + time.Second)
		if aside := rejectedLines(t, b.dir); b.Stats().Unshipped != 0 || b.Stats().Rejected != 1 || len(aside) != 1 || aside[0].Record.Charge != settle(1).Charge {
			t.Errorf("afterwards: %+v, %+v", b.Stats(), aside)
		}
	})
}

// An amount beyond all bounds does not take the other one with it.
func TestRecoveredBillSaysWhateverCanBeComputed(t *testing.T) {
	book, err := NewPriceBook(Config{
		Journal: DefaultConfig().Journal,
		Costs:   []CostConfig{{Provider: "starmagic", Model: "gemini-2.5-flash-lite", Input: "0.05", Output: "0.20"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	book.prices[priced{model: "gemini-flash"}] = []entry{{tariff: tariff{math.MaxInt64, math.MaxInt64, math.MaxInt64}}}
	one := begun{intent: intent(1), checkpoint: checkpoint(1, 2_000_000, 280)}
	one.intent.MaxCompletion = 2_000_000
	r, err := one.settle(book)
	if !errors.Is(err, ErrOverflow) || r.Charge != 0 || r.Cost != 20*50+2_000_000*200 {
		t.Errorf("got %+v, %v", r, err)
	}
}
