package ratelimit

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

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

// Whatever was reserved, with the bank or without it, and whenever the request ends: the bank hears of what it has cost.
func TestBankHearsOfTokensSpentAlone(t *testing.T) {
	for _, c := range []struct {
		name           string
		reserved, used int64
		early, late    bool // it begins while the bank is still there, or ends when it is back
		missing        time.Duration
	}{
		{"more than the share is reserved", 65_536, 5000, false, false, 3 * time.Second},
		{"more than the share is reserved, and it ends late", 65_536, 5000, false, true, 3 * time.Second},
		{"more than the share is used", 1000, 50_000, false, false, 30 * time.Second},
		{"more than the share is used, and it ends late", 1000, 50_000, false, true, 30 * time.Second},
		{"as much as is reserved", 20_000, 20_000, false, false, 12 * time.Second},
		{"nothing", 65_536, 0, false, false, 0},
		{"much was reserved with the bank", 65_536, 5000, true, false, 3 * time.Second},
		{"little was reserved with the bank", 1000, 50_000, true, false, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{})
				defer f.close()
				if !c.early {
					f.wires[0].become(down)
				}
				r := Request{Key: tokensOf("key", 100_000), Tenant: Account{ID: "acme"}, Tokens: c.reserved}
				p := f.take(0, r)
				if !p.Answer.Allowed() {
					t.Fatal("a full bucket has refused")
				}
				f.wires[0].become(down)
				f.take(0, Request{Key: perMinute("another", 60), Tenant: r.Tenant}) // by which it knows
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
		slot := f.take(0, Request{Key: slotsOf("another", 100), Tenant: r.Tenant, Tokens: 1})
		want(t, slot.Answer[KeyConcurrent], "allowed limit=100 remaining=9 reset=0s retry=0s")
		slot.End(1)
		w.become(up)
		time.Sleep(150 * time.Millisecond) // it has been counted, and still decides alone
		slot = f.take(0, Request{Key: slotsOf("another", 100), Tenant: r.Tenant, Tokens: 1})
		want(t, slot.Answer[KeyConcurrent], "allowed limit=100 remaining=9 reset=0s retry=0s")
		slot.End(1)
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
			limits := Limits{Concurrent: 2}
			if n%2 == 0 {
				limits.RequestsPerMinute = 60
			}
			return Request{Key: Account{ID: fmt.Sprint("key ", n), Limits: limits}, Tenant: Account{ID: "acme"}, Tokens: 1}
		}
		open := make([]*Permit, 800)
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

// A slot is given back without the bank, and the limit is removed. Wherever it was taken, and whatever the bank has been
// told of it meanwhile: nothing of it is left as soon as the bank is back.
func TestLimitIsRemovedWithoutBank(t *testing.T) {
	for _, c := range []struct {
		name        string
		took, ended int32 // the state of the wire
	}{
		{"taken with the bank", up, down},
		{"taken alone, and no probe has told of it", down, down},
		{"taken alone, and a probe whose answer was lost has", swallow, swallow},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 2, Config{})
				defer f.close()
				r := Request{Key: Account{ID: "key", Limits: Limits{Concurrent: 3}}, Tenant: Account{ID: "acme"}, Tokens: 1}
				f.wires[0].become(c.took)
				p := f.take(0, r)
				time.Sleep(time.Second)
				f.wires[0].become(c.ended)
				f.take(0, Request{Key: perMinute("another", 60), Tenant: r.Tenant}) // by which it knows
				p.End(0)
				var a Answer
				f.replicas[0].Peek(&a, Request{Key: Account{ID: "key"}, Tenant: r.Tenant})
				time.Sleep(time.Second)
				f.wires[0].become(up)
				time.Sleep(time.Second)
				if got := f.standing(1, r)[KeyConcurrent].Remaining; got != 3 {
					t.Errorf("%d slots of 3 are free", got)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for _, found := range unrest(f.replicas[0]) {
					t.Error(found)
				}
			})
		})
	}
}
