package upstream

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestBudget(t *testing.T) {
	spendAll := func(b *budget) (spent int) {
		for b.spend() {
			spent++
		}
		return spent
	}
	f := func(name string, want int, do func(b *budget)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			b := newBudget()
			do(b)
			if got := spendAll(b); got != want {
				t.Errorf("%d retries are left, want %d", got, want)
			}
		})
	}
	times := func(n int, do func()) {
		for range n {
			do()
		}
	}
	f("is full at first", 10, func(*budget) {})
	f("is never more than full", 10, func(b *budget) { times(1000, b.earn) })
	f("nine requests earn nothing yet", 0, func(b *budget) { spendAll(b); times(9, b.earn) })
	f("ten requests earn a retry", 1, func(b *budget) { spendAll(b); times(10, b.earn) })
	f("55 requests earn five", 5, func(b *budget) { spendAll(b); times(55, b.earn) })
	f("a retry that was not made", 1, func(b *budget) { spendAll(b); b.refund() })
	f("nor is it more than full then", 10, func(b *budget) { b.spend(); times(5, b.earn); b.refund() })
}

func TestBudgetOfManyGoroutines(t *testing.T) {
	b := newBudget()
	var spent atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10_000 {
				b.earn()
				if b.spend() {
					spent.Add(1)
				}
				if b.tenths.Load() < 0 {
					t.Error("it is overdrawn")
				}
			}
		})
	}
	all.Wait()
	if got, most := spent.Load(), int64(10+80_000/10); got > most || got < most/2 {
		t.Errorf("80,000 requests make %d retries, want at most %d", got, most)
	}
}

// TestRetryBudget has every request need a retry.
func TestRetryBudget(t *testing.T) {
	outage := func(t *testing.T, m *Model, requests int) (retries int) {
		t.Helper()
		for range requests {
			route, err := m.Route(&Needs{}, RouteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for a, err := onward(&route); ; a, err = onward(&route) {
				if err != nil && !errors.Is(err, ErrRetryBudget) {
					t.Fatalf("Next = %v, want the budget empty", err)
				}
				if err != nil {
					break
				}
				finish(a, OutcomeClientGone) // so that no breaker opens
				retries++
			}
			retries-- // the first was none
		}
		return retries
	}
	t.Run("a tenth of all requests, and ten", func(t *testing.T) {
		m := several(t, 8, "max_attempts: 10,")
		m.thrift.budget.tenths.Store(9)
		if got := outage(t, m, 1000); got != 100 {
			t.Errorf("1000 requests make %d retries, want 100", got)
		}
	})
	t.Run("of each model for itself", func(t *testing.T) {
		table := seeded(t, shared)
		x, _ := table.Model("x")
		y, _ := table.Model("y")
		x.thrift.budget.tenths.Store(0)
		route, _ := y.Route(&Needs{}, RouteOptions{})
		a, _ := onward(&route)
		finish(a, OutcomeTimeout)
		if _, err := onward(&route); err != nil {
			t.Errorf("the budget of x is empty, and y gets %v", err)
		}
	})
	in(t, "a retry that another request makes impossible costs nothing", func(t *testing.T) {
		m := several(t, 2, "max_attempts: 2,")
		route, _ := m.Route(&Needs{}, RouteOptions{})
		a, _ := onward(&route)
		finish(a, OutcomeTimeout)
		before := m.thrift.budget.tenths.Load()
		m.policy = robber{}
		if _, err := onward(&route); !errors.Is(err, ErrExhausted) {
			t.Errorf("Next = %v, want it exhausted", err)
		}
		if after := m.thrift.budget.tenths.Load(); after != before {
			t.Errorf("%d tenths of a retry are gone", before-after)
		}
	})
}

// robber is a policy that puts whom it picks into quarantine, as another request
// may between the look at who is available and the attempt to ask one.
type robber struct{ p2c }

func (robber) pick(p pool) int {
	p.model.candidates[p.set.first()].lane.account.quarantine.strike(p.now, false)
	return p.set.first()
}
