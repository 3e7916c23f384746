package usage

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whoever answered first or last: a request is billed once, and the first bill stands.
func contractOneSettle(t *testing.T, open fleet) {
	l := open(t)
	first, second := settle(1), settle(1)
	first.Attempt, second.Attempt, second.Charge = 2, 0, 1
	mustRecord(t, l, first, second)
	if err := l.Add(t.Context(), []Record{settle(1), second, first}); err != nil {
		t.Fatal(err)
	}
	same(t, []Record{first}, mustFind(t, l, first.RequestID))
	same(t, []Row{rowOf(first)}, mustSum(t, l, Query{}))
}

func contractAttempts(t *testing.T, open fleet) {
	l := open(t)
	failed := settle(1)
	failed.Kind, failed.Provider, failed.Charge, failed.Cost, failed.Source = KindAttempt, "evolink", 0, 900, SourcePartial
	again, billed := failed, settle(1)
	again.Attempt, again.Cost, billed.Attempt = 1, 50, 2
	mustRecord(t, l, failed, again, billed, failed)
	evolink, starmagic := Row{Provider: "evolink", Cost: 950}, rowOf(billed)
	starmagic.Provider = "starmagic"
	same(t, []Row{evolink, starmagic}, mustSum(t, l, Query{By: []Dimension{ByProvider}}))
}

func contractAdjusts(t *testing.T, open fleet) {
	l := open(t)
	credit, debit := settle(1), settle(1)
	credit.Kind, credit.Charge, credit.Cost = KindAdjust, -1_000_000, -5_120
	debit.Kind, debit.Attempt, debit.Charge, debit.Cost = KindAdjust, 1, 300, 0
	mustRecord(t, l, settle(1), credit, debit, credit)
	want := rowOf(settle(1))
	want.Charge, want.Cost = 757_700-1_000_000+300, 600_000
	same(t, []Row{want}, mustSum(t, l, Query{}))

	sunk := settle(2)
	sunk.Kind, sunk.Charge = KindAdjust, math.MinInt64
	if err := add(t, l, sunk); !errors.Is(err, ErrOverflow) || !errors.Is(err, ErrBadRecord) {
		t.Errorf("a correction below all bounds: %v", err)
	}
	same(t, []Row{want}, mustSum(t, l, Query{}))
}

// Regression title: G3: no request, kind and attempt counts twice, whatever is redelivered.
func contractRedelivery(t *testing.T, open fleet) {
	l := open(t)
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		tenant := fmt.Sprintf("tenant-%d", runs)
		var batches [][]Record
		want := Row{}
		for n := range rapid.IntRange(1, 3).Draw(r, "batches") {
			var batch []Record
			for i := range rapid.IntRange(1, 5).Draw(r, "requests") {
				billed := settle(1000*runs + 10*n + i)
				billed.Tenant, billed.Attempt = tenant, rapid.IntRange(0, 2).Draw(r, "attempt")
				tried, credit := billed, billed
				tried.Kind, tried.Attempt, tried.Cost = KindAttempt, 0, NanoUSD(rapid.Int64Range(0, 1000).Draw(r, "cost"))
				credit.Kind, credit.Charge, credit.Cost = KindAdjust, -NanoUSD(rapid.Int64Range(0, 1000).Draw(r, "credit")), 0
				batch = append(batch, tried, billed, credit)
				want.Requests++
				want.Charge += USD(billed.Charge + credit.Charge)
				want.Cost += USD(billed.Cost + tried.Cost)
			}
			batches = append(batches, batch, batch, batch)
		}
		for _, batch := range rapid.Permutation(batches).Draw(r, "order") {
			if err := l.Add(t.Context(), rapid.Permutation(batch).Draw(r, "batch")); err != nil {
				r.Fatal(err)
			}
		}
		got := mustSum(t, l, Query{Tenant: tenant})[0]
		if got = (Row{Requests: got.Requests, Charge: got.Charge, Cost: got.Cost}); got != want {
			r.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func contractRejections(t *testing.T, open fleet) {
	l := open(t)
	full, nameless, over := settle(0), settle(2), settle(3)
	full.Charge, over.Charge, nameless.RequestID = math.MaxInt64, 1, ""
	batch := []Record{full, settle(1), nameless, over, settle(4)}
	batch[1].Tenant, batch[4].Tenant = "other", "other"
	before := slices.Clone(batch)
	err := l.Add(t.Context(), batch)
	var rejected *RejectedError
	if !errors.As(err, &rejected) || len(rejected.Rejections) != 2 || !errors.Is(err, ErrBadRecord) || !errors.Is(err, ErrOverflow) {
		t.Fatalf("got %v", err)
	}
	same(t, "the usage ledger can never keep 2 of the records; the first: the usage record is not valid: request_id is empty", err.Error())
	same(t, nameless, rejected.Rejections[0].Record)
	same(t, over, rejected.Rejections[1].Record)
	same(t, before, batch)
	if rows := mustSum(t, l, Query{By: []Dimension{ByTenant}}); rows[0].Requests != 1 || rows[1].Requests != 2 {
		t.Errorf("got %+v", rows)
	}
}
