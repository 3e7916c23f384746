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
				failed := uint64(0)
				if state == down {
					f.wires[0].become(down)
					failed = 1
				}
				if got := f.result(); got.admitted != 3 {
					t.Errorf("%d of 3 were admitted", got.admitted)
				}
				if got := f.replicas[0].Stats(); got.Failed != failed {
					t.Errorf("%+v, want %d orders that failed", got, failed)
				}
			})
		})
	}
}

// Without the bank, too, requests that reserve much and use little are bounded by what they use, and no more of them
// pass than the share has tokens for.
func TestMuchIsReservedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		f.wires[0].become(down)
		r := Request{Key: tokensOf("key", 100_000), Tenant: Account{ID: "acme"}, Tokens: 65_536}
		for f.now() < 59*time.Second {
			if !f.call(0, r, 100*time.Millisecond, 5000) {
				time.Sleep(100 * time.Millisecond)
			}
		}
		// The share is 25,000, and each of them needs all of it. It is full again 12 s after 5,000 were used.
		if got := f.result(); got.admitted != 5 {
			t.Errorf("%d requests of 5000 tokens were admitted in a minute, want 5", got.admitted)
		}
	})
}

// Whatever was reserved without the bank, and whenever the request ends: the bank hears of what it has cost.
func TestBankHearsOfTokensSpentAlone(t *testing.T) {
	for _, c := range []struct {
		name           string
		reserved, used int64
		late           bool // it ends when the bank is back
		missing        time.Duration
	}{
		{"more than the share is reserved", 65_536, 5000, false, 3 * time.Second},
		{"more than the share is reserved, and it ends late", 65_536, 5000, true, 3 * time.Second},
		{"more than the share is used", 1000, 50_000, false, 30 * time.Second},
		{"more than the share is used, and it ends late", 1000, 50_000, true, 30 * time.Second},
		{"as much as is reserved", 20_000, 20_000, false, 12 * time.Second},
		{"nothing", 65_536, 0, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{})
				defer f.close()
				f.wires[0].become(down)
				r := Request{Key: tokensOf("key", 100_000), Tenant: Account{ID: "acme"}, Tokens: c.reserved}
				p := f.take(0, r)
				if !p.Answer.Allowed() {
					t.Fatal("a full share has refused")
				}
				if !c.late {
					p.End(c.used)
				}
				f.wires[0].become(up)
				time.Sleep(400 * time.Millisecond)
				if c.late {
					p.End(c.used)
					time.Sleep(150 * time.Millisecond)
				}
				if got := f.standing(1, r)[KeyTokens].Reset; got > c.missing || got < c.missing-600*time.Millisecond {
					t.Errorf("%s are missing, want %s, less what came back", got, c.missing)
				}
			})
		})
	}
}

// A replica that starts without the bank decides by the share of one of many. When it turns out to be the only one, what
// it has to tell is what was drawn.
func TestReplicasAreCountedOnReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{bank: newModelBank(func() int64 { return time.Now().UnixMicro() })}
		w.become(down)
		f := &fleet{t: t, bank: w.bank, wires: []*wire{w}}
		f.replicas = append(f.replicas, New(Options{Config: Config{MaxReplicas: 10}, Bank: w, Replica: "only"}))
		defer f.close()
		r := Request{Key: Account{ID: "key", Limits: Limits{RequestsPerMinute: 1, Burst: 600}}, Tenant: Account{ID: "acme"}}
		for range 100 {
			f.call(0, r, 0, 0)
		}
		if got := f.result(); got.admitted != 60 {
			t.Errorf("%d were admitted, want a tenth of 600", got.admitted)
		}
		w.become(up)
		time.Sleep(3 * time.Second)
		if got, live := f.standing(0, r)[KeyRequests].Remaining, f.replicas[0].Stats().Live; got != 540 || live != 1 {
			t.Errorf("of %d replicas: %d remain of 600, want 540", live, got)
		}
	})
}

// Requests come all the time while the bank comes back, those that are admitted while it is being told included.
func TestNothingIsMissedOnReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		f.wires[0].slow.Store(int64(40 * time.Millisecond))
		f.wires[0].become(down)
		r := Request{Key: Account{ID: "key", Limits: Limits{RequestsPerMinute: 1, Burst: 600, Concurrent: 1000}}, Tenant: Account{ID: "acme"}, Tokens: 1}
		var open []*Permit
		for n := range 100 { // the probe goes after 250 ms, and takes 80, as what was drawn does then
			if n == 10 {
				f.wires[0].become(up)
			}
			p := f.take(0, r)
			if !p.Answer.Allowed() {
				t.Fatalf("request %d: %+v", n, p.Answer)
			}
			open = append(open, p)
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		a := f.standing(1, r)
		if got := a[KeyRequests].Remaining; got != 500 {
			t.Errorf("%d requests remain of 600, want 500", got)
		}
		if got := a[KeyConcurrent].Remaining; got > 900 || got < 900-15 { // a block of 1000/64 may be at hand
			t.Errorf("%d slots remain of 1000, want 900", got)
		}
		for _, p := range open {
			p.End(1)
		}
	})
}

// After an outage the bank knows of all slots in use, be they of more keys than one order is about.
func TestSlotsOfManyKeysOnReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		f.wires[0].become(down)
		request := func(n int) Request {
			limits := Limits{RequestsPerMinute: 60, Concurrent: 2}
			return Request{Key: Account{ID: fmt.Sprint("key ", n), Limits: limits}, Tenant: Account{ID: "acme"}, Tokens: 1}
		}
		open := make([]*Permit, 400)
		for n := range open {
			if open[n] = f.take(0, request(n)); !open[n].Answer.Allowed() {
				t.Fatalf("key %d, alone: %+v", n, open[n].Answer)
			}
		}
		f.wires[0].become(up)
		time.Sleep(2 * time.Second)
		for n := range open {
			first, second := f.take(1, request(n)), f.take(1, request(n))
			if !first.Answer.Allowed() || second.Answer.Allowed() {
				t.Errorf("key %d, of which one of two slots is free: one more is admitted: %v, and another: %v",
					n, first.Answer.Allowed(), second.Answer.Allowed())
			}
			first.End(1)
			second.End(1)
			open[n].End(1)
		}
	})
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
