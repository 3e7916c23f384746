package ratelimit

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// allLimits are all six, too large to be met.
func allLimits() (key, tenant Account) {
	l := Limits{RequestsPerMinute: maxRequests, TokensPerMinute: maxTokens, Concurrent: maxConcurrent}
	return Account{ID: "key_000000000001", Limits: l}, Account{ID: "acme", Limits: l}
}

// pass is a request from its beginning to its end, and tells whether it was allowed.
func pass(l *Limiter, p *Permit, r *Request, used int64) bool {
	l.Take(context.Background(), p, *r)
	p.End(used)
	return p.Answer.Allowed()
}

func wantNoAllocation(t *testing.T, what string, call func()) {
	t.Helper()
	call()
	if n := testing.AllocsPerRun(1000, call); n != 0 {
		t.Errorf("%s: %v allocations, want 0", what, n)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	l := New(Options{})
	var p Permit
	var a Answer
	f := func(what string, key, tenant Account, tokens int64) {
		t.Helper()
		r := Request{Key: key, Tenant: tenant, Tokens: tokens}
		wantNoAllocation(t, what, func() { pass(l, &p, &r, tokens/2) })
		wantNoAllocation(t, what+", peek", func() { l.Peek(&a, r) })
	}
	key, tenant := allLimits()
	f("all limits", key, tenant, 1000)
	f("no model", key, tenant, 0)
	f("refused", of("few", 1, 0), Account{ID: "acme"}, 0)
	f("refused by the tenant", of("many", 1_000_000, 0), of("small", 1, 0), 0)
	f("unlimited", Account{ID: "free"}, Account{ID: "acme"}, 1000)
	f("in shadow", Account{ID: "shadow", Limits: Limits{RequestsPerMinute: 1, Concurrent: 1}, Shadow: true}, tenant, 1000)
	changing := Request{Key: of("changing", 1_000_000, 0), Tenant: tenant}
	wantNoAllocation(t, "changed limit", func() { changing.Key.RequestsPerMinute ^= 1; pass(l, &p, &changing, 0) })
}

// sharedLimiter is one of a fleet whose bank always answers.
func sharedLimiter(tb testing.TB) *Limiter {
	tb.Helper()
	bank := newModelBank(func() int64 { return time.Now().UnixMicro() })
	l := New(Options{Bank: bank, Replica: "a"})
	tb.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// With leases in hand a request asks the bank for nothing.
func TestTakeWithLeasesDoesNotAllocate(t *testing.T) {
	l := sharedLimiter(t)
	var p Permit
	key, tenant := allLimits()
	r := Request{Key: key, Tenant: tenant, Tokens: 1000}
	wantNoAllocation(t, "all limits", func() {
		if !pass(l, &p, &r, 1000) {
			t.Fatal("refused")
		}
	})
	none := Request{Key: of("few", 1, 0), Tenant: tenant, Tokens: 1000}
	pass(l, &p, &none, 1000)
	wantNoAllocation(t, "refused", func() { pass(l, &p, &none, 0) })
}

func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 1000} {
		ids := make([]string, keys)
		for n := range ids {
			ids[n] = fmt.Sprintf("key_%012d", n)
		}
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			l := New(Options{Config: Config{Default: Limits{RequestsPerMinute: 600}}})
			var turn atomic.Uint64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				var p Permit
				for n := turn.Add(7919); pb.Next(); n++ {
					pass(l, &p, &Request{Key: Account{ID: ids[n%uint64(keys)]}, Tenant: Account{ID: "acme"}}, 0)
				}
			})
		})
	}
	key, tenant := allLimits()
	all := Request{Key: key, Tenant: tenant, Tokens: 1000}
	b.Run("all limits", func(b *testing.B) {
		l := New(Options{})
		var p Permit
		b.ReportAllocs()
		for b.Loop() {
			pass(l, &p, &all, 900)
		}
	})
	b.Run("leases in hand", func(b *testing.B) {
		l := sharedLimiter(b)
		var p Permit
		pass(l, &p, &all, 900)
		before := l.Stats().Answered
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			pass(l, &p, &all, 900)
			n++
		}
		b.ReportMetric(float64(l.Stats().Answered-before)/float64(n), "orders/op")
	})
	b.Run("all busy", func(b *testing.B) {
		l := New(Options{Config: Config{Default: Limits{RequestsPerMinute: 1}}})
		ids := make([]string, 2*defaultMaxKeys)
		for n := range ids {
			ids[n] = fmt.Sprintf("key_%012d", n)
			take(l, ids[n], 0)
		}
		b.ReportAllocs()
		b.ResetTimer()
		var p Permit
		for n := 0; b.Loop(); n++ {
			pass(l, &p, &Request{Key: Account{ID: ids[n%len(ids)]}, Tenant: Account{ID: "acme"}}, 0)
		}
	})
}
