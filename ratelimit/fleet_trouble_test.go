package ratelimit

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// standing is what the bank knows of an account, as a replica hears it.
func (f *fleet) standing(replica int, r Request) (a Answer) {
	f.replica(replica).Standing(f.t.Context(), &a, r)
	return a
}

// take makes one request, whose permit is still to be ended.
func (f *fleet) take(replica int, r Request) *Permit {
	var p Permit
	f.replica(replica).Take(f.t.Context(), &p, r)
	return &p
}

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

// A limit may be removed while a request that came with it waits: that one is still decided by it, and nobody takes the
// bank for lost.
func TestLimitIsRemovedWhileARequestWaits(t *testing.T) {
	for name, state := range map[string]int32{"the bank answers": up, "the bank is lost": down} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 1, Config{})
				defer f.close()
				ask := func(key Account) {
					f.open.Go(func() { f.call(0, Request{Key: key, Tenant: Account{ID: "acme"}}, 0, 0) })
					time.Sleep(40 * time.Microsecond) // an order is under way for 300 at least
				}
				ask(perMinute("another", 60))
				ask(perMinute("key", 60)) // waits for its turn
				ask(perMinute("key", 0))
				f.open.Go(func() { f.standing(0, Request{Key: perMinute("watched", 60), Tenant: Account{ID: "acme"}}) }) // waits, too
				time.Sleep(40 * time.Microsecond)
				ask(perMinute("watched", 0))
				failed := uint64(0)
				if state == down {
					f.wires[0].become(down)
					failed = 1
				}
				if got := f.result(); got.admitted != 4 {
					t.Errorf("%d of 4 were admitted", got.admitted)
				}
				if got := f.replicas[0].Stats(); got.Failed != failed {
					t.Errorf("%+v, want %d orders that failed", got, failed)
				}
			})
		})
	}
}

// An order was carried out, its answer was lost, and the request was refused alone: the slot that the bank believes it
// has is given back at once.
func TestLostAnswerKeepsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		key := Account{ID: "key", Limits: Limits{RequestsPerMinute: 6, Burst: 2, Concurrent: 1}}
		if !f.call(0, Request{Key: key, Tenant: Account{ID: "acme"}}, 0, 0) {
			t.Fatal("a full bucket has refused")
		}
		f.wires[0].become(swallow)
		if f.call(0, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 1}, 0, 0) {
			t.Fatal("the share of one request was spent, and another was admitted")
		}
		f.wires[0].become(up)
		lost := time.Now()
		for !f.call(1, Request{Key: slotsOf("key", 1), Tenant: Account{ID: "acme"}, Tokens: 1}, 0, 0) {
			if time.Since(lost) > time.Minute {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if took := time.Since(lost); took > time.Second {
			t.Errorf("nobody had the only slot, and it was taken for %s", took)
		}
	})
}

// What was used beyond a reservation is a debt of several bursts: a replica that ends tells all of it.
func TestCloseTellsAllDebts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		r := Request{Key: tokensOf("key", 1000), Tenant: Account{ID: "acme"}, Tokens: 100}
		f.call(0, r, 0, 6000)
		if err := f.replicas[0].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.standing(1, r)[KeyTokens].Reset.Round(time.Second); got != 6*time.Minute {
			t.Errorf("the bucket is full after %s, want 6m0s", got)
		}
	})
}

// However small the burst is, who asks again and again is admitted nearly as often as by one bucket in memory. That one
// takes no time: an order takes half a millisecond, in which 1000 a second and a burst of 1 lose half a request.
func TestSmallBursts(t *testing.T) {
	for _, c := range []struct {
		perSecond, burst, replicas int
		least                      float64 // of what one bucket admits
	}{
		{10, 1, 1, 0.98},
		{10, 1, 4, 0.98},
		{10, 3, 4, 0.98},
		{100, 1, 1, 0.9},
		{100, 1, 4, 0.9},
		{100, 3, 4, 0.98},
		{1000, 1, 1, 0.6},
		{1000, 1, 4, 0.7},
		{1000, 3, 1, 0.85},
		{1000, 3, 4, 0.97},
	} {
		t.Run(fmt.Sprintf("%d a second, burst %d, %d replicas", c.perSecond, c.burst, c.replicas), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, c.replicas, Config{})
				defer f.close()
				r := Request{Key: Account{ID: "key", Limits: Limits{RequestsPerMinute: 60 * c.perSecond, Burst: c.burst}}, Tenant: Account{ID: "acme"}}
				one := New(Options{})
				var ideal atomic.Int64
				load := slices.Repeat([]float64{4 * float64(c.perSecond) / float64(c.replicas)}, c.replicas)
				f.offer(load, 10*time.Second, func(replica int) {
					if answer := takeOf(one, r.Key, r.Tenant); answer.Allowed() {
						ideal.Add(1)
					}
					f.call(replica, r, 0, 0)
				})
				share := float64(f.result().admitted) / float64(ideal.Load())
				t.Logf("%.3f of %d", share, ideal.Load())
				if share < c.least || share > 1.01 {
					t.Errorf("%.3f of what one bucket admits, want %.2f to 1.01", share, c.least)
				}
			})
		})
	}
}

// A replica has no work with slots of which others hold some.
func TestOthersSlotsAreTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		r := Request{Key: slotsOf("key", 5), Tenant: Account{ID: "acme"}, Tokens: 1}
		p := f.take(0, r)
		f.call(1, r, 0, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, found := range unrest(f.replicas[1]) {
			t.Error(found)
		}
		p.End(1)
	})
}

// Slots are drawn in blocks, and kept at hand for a moment: the bank is seldom asked.
func TestSlotsAreKeptAtHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, Config{})
		defer f.close()
		r := Request{Key: slotsOf("key", 6400), Tenant: Account{ID: "acme"}, Tokens: 1}
		f.offer([]float64{2000}, 10*time.Second, func(replica int) { f.call(replica, r, 100*time.Millisecond, 1) })
		got := f.result()
		t.Logf("%+v", got)
		if got.admitted != got.asked || got.calls > 0.0023 {
			t.Errorf("%d of %d were admitted, with %.4f calls for each, want 0.0017", got.admitted, got.asked, got.calls)
		}
	})
}
