package ratelimit

import (
	"context"
	"math"
	"testing"
	"time"
)

// tokensOf is a key with a limit of tokens; 600 a minute are ten a second.
func tokensOf(id string, perMinute int) Account {
	return Account{ID: id, Limits: Limits{TokensPerMinute: perMinute}}
}

// reserve takes so many tokens of a key; the permit is still to be ended.
func reserve(l *Limiter, key Account, tokens int64) (Decision, *Permit) {
	var p Permit
	l.Take(context.Background(), &p, Request{Key: key, Tenant: Account{ID: "t"}, Tokens: tokens})
	return p.Answer[KeyTokens], &p
}

// seeTokens is how a request of so many tokens would fare.
func seeTokens(l *Limiter, key Account, tokens int64) Decision {
	var a Answer
	l.Peek(&a, Request{Key: key, Tenant: Account{ID: "t"}, Tokens: tokens})
	return a[KeyTokens]
}

func TestTokens(t *testing.T) {
	l, clock := newLimiter(Config{})
	k := tokensOf("k", 600)
	d, first := reserve(l, k, 100)
	want(t, d, "allowed limit=600 remaining=500 reset=10s retry=0s")
	d, second := reserve(l, k, 500)
	want(t, d, "allowed limit=600 remaining=0 reset=1m0s retry=0s")
	d, refused := reserve(l, k, 1)
	want(t, d, "refused limit=600 remaining=0 reset=1m0s retry=100ms")
	refused.End(1000)
	want(t, seeTokens(l, k, 0), "allowed limit=600 remaining=0 reset=1m0s retry=0s")

	first.End(40) // 60 come back
	want(t, seeTokens(l, k, 60), "allowed limit=600 remaining=60 reset=54s retry=0s")
	want(t, seeTokens(l, k, 61), "refused limit=600 remaining=60 reset=54s retry=100ms")
	first.End(0)
	first.End(1000)
	want(t, seeTokens(l, k, 60), "allowed limit=600 remaining=60 reset=54s retry=0s")

	second.End(710) // 210 more than were reserved: 150 are owed
	want(t, seeTokens(l, k, 1), "refused limit=600 remaining=0 reset=1m15s retry=15.1s")
	clock.advance(15 * time.Second)
	d, _ = reserve(l, k, 1)
	want(t, d, "refused limit=600 remaining=0 reset=1m0s retry=100ms")
	clock.advance(100 * time.Millisecond)
	d, third := reserve(l, k, 1)
	want(t, d, "allowed limit=600 remaining=0 reset=1m0s retry=0s")
	third.End(1)
	want(t, seeTokens(l, k, 0), "allowed limit=600 remaining=0 reset=1m0s retry=0s")
}

// More than a bucket holds is never reserved: such a request waits for a full one, and pays afterwards.
func TestReservationIsClamped(t *testing.T) {
	l, clock := newLimiter(Config{})
	k := tokensOf("k", 600)
	d, p := reserve(l, k, math.MaxInt64)
	want(t, d, "allowed limit=600 remaining=0 reset=1m0s retry=0s")
	p.End(6000) // of ten minutes
	want(t, seeTokens(l, k, 600), "refused limit=600 remaining=0 reset=10m0s retry=10m0s")
	want(t, seeTokens(l, k, 1), "refused limit=600 remaining=0 reset=10m0s retry=9m0.1s")
	clock.advance(10*time.Minute - time.Millisecond)
	d, _ = reserve(l, k, 1_000_000)
	want(t, d, "refused limit=600 remaining=599 reset=1ms retry=1ms")
	clock.advance(time.Millisecond)
	d, p = reserve(l, k, 1_000_000)
	want(t, d, "allowed limit=600 remaining=0 reset=1m0s retry=0s")
	p.End(-5) // none were used
	want(t, seeTokens(l, k, 600), "allowed limit=600 remaining=600 reset=0s retry=0s")

	d, p = reserve(l, k, 10)
	want(t, d, "allowed limit=600 remaining=590 reset=1s retry=0s")
	p.End(math.MaxInt64)
	if d := seeTokens(l, k, 1); d.Allowed || d.RetryAfter > time.Duration(maxSpan) || d.RetryAfter < time.Duration(maxSpan)/2 {
		t.Errorf("after an answer of 2^63 tokens: %+v", d)
	}
}

// What one limit refuses has spent nothing of another.
func TestAllOrNothing(t *testing.T) {
	l, _ := newLimiter(Config{})
	key := Account{ID: "k", Limits: Limits{RequestsPerMinute: 60, TokensPerMinute: 600, Concurrent: 10}}
	tenant := Account{ID: "t", Limits: Limits{RequestsPerMinute: 60, TokensPerMinute: 300, Concurrent: 10}}
	var p Permit
	for range 100 {
		l.Take(context.Background(), &p, Request{Key: key, Tenant: tenant, Tokens: 250})
	}
	want(t, p.Answer[KeyRequests], "allowed limit=60 remaining=59 reset=1s retry=0s")
	want(t, p.Answer[TenantRequests], "allowed limit=60 remaining=59 reset=1s retry=0s")
	want(t, p.Answer[KeyTokens], "allowed limit=600 remaining=350 reset=25s retry=0s")
	want(t, p.Answer[TenantTokens], "refused limit=300 remaining=50 reset=50s retry=40s")
	want(t, p.Answer[KeyConcurrent], "allowed limit=10 remaining=9 reset=0s retry=0s")
	want(t, p.Answer[TenantConcurrent], "allowed limit=10 remaining=9 reset=0s retry=0s")
	if got := p.Answer.Strictest(); p.Answer.Allowed() || got != TenantTokens {
		t.Errorf("allowed: %v, the strictest is %s", p.Answer.Allowed(), got)
	}
	// A request that asks no model needs requests alone.
	l.Take(context.Background(), &p, Request{Key: key, Tenant: tenant})
	want(t, p.Answer[KeyRequests], "allowed limit=60 remaining=58 reset=2s retry=0s")
	want(t, p.Answer[TenantTokens], "allowed limit=300 remaining=50 reset=50s retry=0s")
	want(t, p.Answer[KeyConcurrent], "allowed limit=10 remaining=9 reset=0s retry=0s")
	p.End(500)
	want(t, p.Answer[TenantTokens], "allowed limit=300 remaining=50 reset=50s retry=0s")
}

// A key and its tenant have rates of their own, and the same tokens.
func TestTokensOfKeyAndTenant(t *testing.T) {
	l, _ := newLimiter(Config{})
	tenant := tokensOf("t", 6000)
	both := func(p *Permit, key string, tokens int64) {
		l.Take(context.Background(), p, Request{Key: tokensOf(key, 600), Tenant: tenant, Tokens: tokens})
	}
	var p, q Permit
	both(&p, "a", 100)
	both(&q, "b", 200)
	want(t, q.Answer[KeyTokens], "allowed limit=600 remaining=400 reset=20s retry=0s")
	want(t, q.Answer[TenantTokens], "allowed limit=6000 remaining=5700 reset=3s retry=0s")
	p.End(50)
	q.End(1000)
	both(&p, "a", 0)
	want(t, p.Answer[KeyTokens], "allowed limit=600 remaining=550 reset=5s retry=0s")
	want(t, p.Answer[TenantTokens], "allowed limit=6000 remaining=4950 reset=10.5s retry=0s")
	both(&q, "b", 1)
	want(t, q.Answer[KeyTokens], "refused limit=600 remaining=0 reset=1m40s retry=40.1s")
	want(t, q.Answer[TenantTokens], "allowed limit=6000 remaining=4950 reset=10.5s retry=0s")
}

// Another rate while tokens are reserved: what they cost, and what comes back, is counted at the new one.
func TestRateChangesWhileTokensAreReserved(t *testing.T) {
	l, _ := newLimiter(Config{})
	_, p := reserve(l, tokensOf("k", 600), 300)
	want(t, seeTokens(l, tokensOf("k", 6000), 0), "allowed limit=6000 remaining=3000 reset=30s retry=0s")
	p.End(100) // a second of the new rate, of 30 that were reserved
	want(t, seeTokens(l, tokensOf("k", 6000), 0), "allowed limit=6000 remaining=5900 reset=1s retry=0s")
}
