package ratelimit

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func slotsOf(id string, n int) Account { return Account{ID: id, Limits: Limits{Concurrent: n}} }

// enter takes a slot of a key and of its tenant; the permit is still to be ended.
func enter(l *Limiter, key, tenant Account) *Permit {
	var p Permit
	l.Take(context.Background(), &p, Request{Key: key, Tenant: tenant, Tokens: 1})
	return &p
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		k := slotsOf("k", 2)
		first := enter(l, k, Account{})
		want(t, first.Answer[KeyConcurrent], "allowed limit=2 remaining=1 reset=0s retry=0s")
		second := enter(l, k, Account{})
		want(t, second.Answer[KeyConcurrent], "allowed limit=2 remaining=0 reset=0s retry=0s")
		for range 100 {
			third := enter(l, k, Account{})
			want(t, third.Answer[KeyConcurrent], "refused limit=2 remaining=0 reset=0s retry=1s")
			third.End(0) // has none to give back
		}
		want(t, enter(l, slotsOf("another", 2), Account{}).Answer[KeyConcurrent], "allowed limit=2 remaining=1 reset=0s retry=0s")
		if held := l.Stats().Held; held != 3 {
			t.Errorf("%d slots are held, want 3", held)
		}
		time.Sleep(time.Hour) // time gives nothing back
		want(t, enter(l, k, Account{}).Answer[KeyConcurrent], "refused limit=2 remaining=0 reset=0s retry=1s")
		first.End(0)
		first.End(0)
		third := enter(l, k, Account{})
		want(t, third.Answer[KeyConcurrent], "allowed limit=2 remaining=0 reset=0s retry=0s")
		third.End(0)
		second.End(0)
		if held := l.Stats().Held; held != 1 {
			t.Errorf("%d slots are held, want the other key's", held)
		}
	})
}

// A slot that is given back in the moment after it was asked for is had.
func TestSlotIsLookedForTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		k := slotsOf("k", 1)
		first := enter(l, k, Account{})
		began := time.Now()
		go func() {
			time.Sleep(time.Millisecond)
			first.End(0)
		}()
		want(t, enter(l, k, Account{}).Answer[KeyConcurrent], "allowed limit=1 remaining=0 reset=0s retry=0s")
		want(t, enter(l, k, Account{}).Answer[KeyConcurrent], "refused limit=1 remaining=0 reset=0s retry=1s")
		if took := time.Since(began); took > 20*time.Millisecond {
			t.Errorf("two requests have waited for %s", took)
		}
		// Who lacks something else, too, waits for nothing, and neither does who has left.
		began = time.Now()
		k.RequestsPerMinute = 1
		takeOf(l, k, Account{})
		enter(l, k, Account{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var p Permit
		l.Take(ctx, &p, Request{Key: slotsOf("k", 1), Tokens: 1})
		if took := time.Since(began); took != 0 || p.Answer.Allowed() {
			t.Errorf("allowed: %v, after %s", p.Answer.Allowed(), took)
		}
	})
}

func TestSlotsOfTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		a, b, tenant := slotsOf("a", 2), slotsOf("b", 9), slotsOf("t", 3)
		tenant.RequestsPerMinute = 60
		enter(l, a, tenant)
		held := enter(l, a, tenant)
		refused := enter(l, a, tenant).Answer
		want(t, refused[KeyConcurrent], "refused limit=2 remaining=0 reset=0s retry=1s")
		want(t, refused[TenantConcurrent], "allowed limit=3 remaining=1 reset=0s retry=0s")
		want(t, refused[TenantRequests], "allowed limit=60 remaining=58 reset=1.995s retry=0s") // it has looked twice
		if got := refused.Strictest(); got != KeyConcurrent {
			t.Errorf("the strictest is %s", got)
		}
		enter(l, b, tenant)
		refused = enter(l, b, tenant).Answer
		want(t, refused[KeyConcurrent], "allowed limit=9 remaining=8 reset=0s retry=0s")
		want(t, refused[TenantConcurrent], "refused limit=3 remaining=0 reset=0s retry=1s")
		if got := refused.Strictest(); got != TenantConcurrent {
			t.Errorf("the strictest is %s", got)
		}
		held.End(0)
		want(t, enter(l, b, tenant).Answer[TenantConcurrent], "allowed limit=3 remaining=0 reset=0s retry=0s")
	})
}

// A cap that is lowered below what is in use is reached from above; one that is taken away leaves nothing behind.
func TestChangedSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		var permits []*Permit
		for range 3 {
			permits = append(permits, enter(l, slotsOf("k", 3), Account{}))
		}
		want(t, enter(l, slotsOf("k", 1), Account{}).Answer[KeyConcurrent], "refused limit=1 remaining=0 reset=0s retry=1s")
		permits[0].End(0)
		permits[1].End(0)
		want(t, enter(l, slotsOf("k", 1), Account{}).Answer[KeyConcurrent], "refused limit=1 remaining=0 reset=0s retry=1s")
		want(t, enter(l, slotsOf("k", 0), Account{}).Answer[KeyConcurrent], "allowed limit=0 remaining=0 reset=0s retry=0s")
		permits[2].End(0)
		want(t, enter(l, slotsOf("k", 1), Account{}).Answer[KeyConcurrent], "allowed limit=1 remaining=0 reset=0s retry=0s")
	})
}

// Under contention there are never more in progress than the cap, and in the end there is none.
func TestConcurrentSlots(t *testing.T) {
	l := New(Options{})
	var busy [2]atomic.Int64
	var admitted atomic.Int64
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for n := range 300 {
				key := (worker + n) % 2
				p := enter(l, slotsOf(strconv.Itoa(key), 3), slotsOf("t", 5))
				if p.Answer.Allowed() {
					admitted.Add(1)
					if now := busy[key].Add(1); now > 3 {
						t.Errorf("%d are in progress", now)
					}
					if now := busy[0].Load() + busy[1].Load(); now > 6 { // one may end between the two looks
						t.Errorf("%d are in progress", now)
					}
					busy[key].Add(-1)
				}
				p.End(1)
			}
		})
	}
	group.Wait()
	if held := l.Stats().Held; held != 0 || admitted.Load() < 100 {
		t.Errorf("%d are held in the end, %d were admitted", held, admitted.Load())
	}
}

func TestShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		all := Limits{RequestsPerMinute: 1, TokensPerMinute: 60, Concurrent: 1}
		key, tenant := Account{ID: "k", Limits: all, Shadow: true}, Account{ID: "t", Limits: Limits{RequestsPerMinute: 2}}
		ask := func() *Permit {
			var p Permit
			l.Take(context.Background(), &p, Request{Key: key, Tenant: tenant, Tokens: 60})
			return &p
		}
		first := ask()
		want(t, first.Answer[KeyRequests], "allowed in shadow limit=1 remaining=0 reset=1m0s retry=0s")
		want(t, first.Answer[KeyTokens], "allowed in shadow limit=60 remaining=0 reset=1m0s retry=0s")
		want(t, first.Answer[KeyConcurrent], "allowed in shadow limit=1 remaining=0 reset=0s retry=0s")
		second := ask()
		want(t, second.Answer[KeyRequests], "refused in shadow limit=1 remaining=0 reset=1m0s retry=1m0s")
		want(t, second.Answer[KeyTokens], "refused in shadow limit=60 remaining=0 reset=1m0s retry=1m0s")
		want(t, second.Answer[KeyConcurrent], "refused in shadow limit=1 remaining=0 reset=0s retry=1s")
		want(t, second.Answer[TenantRequests], "allowed limit=2 remaining=0 reset=1m0s retry=0s")
		if !second.Answer.Allowed() {
			t.Error("a limit in shadow has refused")
		}
		third := ask()
		want(t, third.Answer[TenantRequests], "refused limit=2 remaining=0 reset=1m0s retry=30s")
		if third.Answer.Allowed() || third.Answer.Strictest() != TenantRequests {
			t.Errorf("allowed: %v, the strictest is %s", third.Answer.Allowed(), third.Answer.Strictest())
		}
		third.End(1000)

		// Who had nothing of them gives nothing back, and owes nothing.
		second.End(1000)
		time.Sleep(time.Minute)
		fourth := ask()
		want(t, fourth.Answer[KeyRequests], "allowed in shadow limit=1 remaining=0 reset=1m0s retry=0s")
		want(t, fourth.Answer[KeyTokens], "allowed in shadow limit=60 remaining=0 reset=1m0s retry=0s")
		want(t, fourth.Answer[KeyConcurrent], "refused in shadow limit=1 remaining=0 reset=0s retry=1s")
		first.End(60)
		fourth.End(60)
		if held := l.Stats().Held; held != 0 {
			t.Errorf("%d slots are held", held)
		}

		// Out of shadow, the buckets are as the shadow has left them.
		key.Shadow, tenant = false, Account{ID: "t"}
		want(t, ask().Answer[KeyRequests], "refused limit=1 remaining=0 reset=1m0s retry=1m0s")
		l.Follow(Config{Shadow: true})
		p := ask()
		want(t, p.Answer[KeyRequests], "refused in shadow limit=1 remaining=0 reset=1m0s retry=1m0s")
		if !p.Answer.Allowed() {
			t.Error("all limits are in shadow, and one has refused")
		}
	})
}
