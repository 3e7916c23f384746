package ratelimit

import (
	"testing"
	"testing/synctest"
	"time"
)

// A client that has read its answer goes on at another replica: what it did not use is there, and the wait that it is
// told is that of what it did use.
func TestFleetRefundsAreKnownElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		r := Request{Key: Account{ID: "key", Limits: Limits{TokensPerMinute: 500}}, Tenant: Account{ID: "acme"}, Tokens: 500}
		for round := range 20 {
			var here, there Permit
			f.replicas[round%2].Take(t.Context(), &here, r)
			if !here.Answer.Allowed() {
				t.Fatalf("round %d: refused with %+v", round, here.Answer[KeyTokens])
			}
			time.Sleep(time.Second)
			here.End(25) // 3 s of refill
			f.replicas[1-round%2].Take(t.Context(), &there, r)
			d := there.Answer[KeyTokens]
			if d.Allowed || d.RetryAfter > 3100*time.Millisecond || d.RetryAfter < 1900*time.Millisecond {
				t.Fatalf("round %d: the other replica answers %+v, want a wait of 2 to 3 s", round, d)
			}
			there.End(0)
			time.Sleep(d.RetryAfter)
		}
	})
}

// Where the bank is far away, it hears late of a slot that was given back; a sequential client is let in all the same.
func TestFleetOfADistantBank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		for _, w := range f.wires {
			w.slow.Store(int64(10 * time.Millisecond))
		}
		r := Request{Key: Account{ID: "key", Limits: Limits{Concurrent: 1}}, Tenant: Account{ID: "acme"}, Tokens: 1}
		for round := range 100 {
			var p Permit
			f.replicas[round%2].Take(t.Context(), &p, r)
			if !p.Answer.Allowed() {
				t.Fatalf("round %d: refused with %+v", round, p.Answer[KeyConcurrent])
			}
			time.Sleep(30 * time.Millisecond)
			p.End(1)
		}
	})
}
