package ratelimit

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// unrest tells what of a replica is not at rest, where nothing is in progress and nobody moves.
func unrest(l *Limiter) (found []string) {
	for i := range l.groups.shards {
		for _, g := range l.groups.shards[i].groups {
			if len(g.busy) > 0 || g.agendum || g.trading || g.alone || len(g.waiting) > 0 {
				found = append(found, fmt.Sprintf("tenant %s: %d accounts are looked after; alone: %v, an order is under way: %v, %d wait",
					g.tenant, len(g.busy), g.alone, g.trading, len(g.waiting)))
			}
			for _, c := range g.keys {
				if _, idle := c.restsIn(l.micros()); !idle {
					found = append(found, fmt.Sprintf("key %s: %d hold something, slots %+v", c.id, c.open, c.slots))
				}
			}
			if g.own.open != 0 || !g.own.slots.rests() {
				found = append(found, fmt.Sprintf("tenant %s: %d hold something, slots %+v", g.tenant, g.own.open, g.own.slots))
			}
		}
	}
	return found
}

// A limit that was lowered while tokens are reserved makes no debt of what was reserved; what is used beyond that is one.
func TestLimitIsLoweredWhileTokensAreReserved(t *testing.T) {
	for _, c := range []struct {
		used int64
		want string
	}{
		{0, "allowed limit=60 remaining=60 reset=0s retry=0s"},
		{30, "allowed limit=60 remaining=57 reset=3s retry=0s"},
		{300, "allowed limit=60 remaining=30 reset=30s retry=0s"},
		{360, "allowed limit=60 remaining=24 reset=36s retry=0s"},
		{900, "allowed limit=60 remaining=0 reset=1m30s retry=0s"},
	} {
		l, _ := newLimiter(Config{})
		_, p := reserve(l, tokensOf("k", 600), 300)
		want(t, seeTokens(l, tokensOf("k", 60), 0), "allowed limit=60 remaining=30 reset=30s retry=0s")
		p.End(c.used)
		want(t, seeTokens(l, tokensOf("k", 60), 0), c.want)
	}
}

// An idle tenant keeps nothing of the requests that it has had: each is part of something large.
func TestIdleTenantKeepsNoRequests(t *testing.T) {
	bank := &wire{bank: newModelBank(func() int64 { return time.Now().UnixMicro() })}
	l := New(Options{Bank: bank, Replica: "only"})
	defer func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var open sync.WaitGroup
	permits := make([]weak.Pointer[Permit], 8)
	for i := range permits {
		open.Go(func() { // the first asks the bank, and the others wait
			p := new(Permit)
			permits[i] = weak.Make(p)
			l.Take(context.Background(), p, Request{Key: perMinute("key", 60), Tenant: Account{ID: "acme"}, Tokens: 1})
			p.End(1)
		})
	}
	open.Wait()
	kept := len(permits)
	for tries := 0; kept > 0 && tries < 100; tries++ {
		time.Sleep(5 * time.Millisecond)
		runtime.GC()
		kept = 0
		for _, p := range permits {
			if p.Value() != nil {
				kept++
			}
		}
	}
	if kept > 0 {
		t.Errorf("%d of 8 permits are still in memory", kept)
	}
	runtime.KeepAlive(l)
}

// Without the bank nothing may be forgotten that it has still to hear of. Whoever asks does not pay for that, unless it
// is new; and when the bank has heard, no more are held than may be.
func TestMoreKeysThanMayBeHeldWithoutBank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, Config{MaxKeys: 50})
		defer f.close()
		l := f.replicas[0]
		ask := func(n int) {
			t.Helper()
			key, tenant := perMinute(strconv.Itoa(n), 2), Account{ID: strconv.Itoa(n % 100)}
			if !f.call(0, Request{Key: key, Tenant: tenant}, 0, 0) {
				t.Errorf("key %d was refused", n)
			}
		}
		f.become(down)
		for n := range 200 {
			ask(n)
		}
		looked := l.groups.hand.Load()
		for n := range 200 {
			ask(n)
		}
		if got := l.groups.hand.Load(); got != looked {
			t.Errorf("for 200 requests of known keys room was looked for %d times", got-looked)
		}
		if ask(200); l.groups.hand.Load() == looked {
			t.Error("for a key that is new no room was looked for")
		}
		if keys, tenants := held(l); keys != 201 || tenants != 100 {
			t.Errorf("%d keys of %d tenants are held, and the bank has heard of none", keys, tenants)
		}
		f.become(up)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if keys, tenants := held(l); keys > 50 || tenants > 50 {
			t.Errorf("%d keys of %d tenants are held, want 50 at most", keys, tenants)
		}
	})
}

// A slot was taken without the bank, a probe that fails has told of it, it was given back, and the limit was removed:
// nothing of that is left.
func TestLimitIsRemovedWithoutBank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, Config{})
		defer f.close()
		r := Request{Key: Account{ID: "key", Limits: Limits{RequestsPerMinute: 60, Concurrent: 3}}, Tenant: Account{ID: "acme"}, Tokens: 1}
		f.become(down)
		p := f.take(0, r)
		time.Sleep(time.Second)
		p.End(0)
		r.Key.Limits = Limits{}
		var a Answer
		f.replicas[0].Peek(&a, r)
		f.become(up)
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, found := range unrest(f.replicas[0]) {
			t.Error(found)
		}
	})
}
