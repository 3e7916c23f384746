package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Rates so low that nothing is drawn in advance are exact: nobody is ever early, on any replica.
func TestFleetIsExactAtLowRates(t *testing.T) {
	for _, limits := range []Limits{{RequestsPerMinute: 60, Burst: 5}, {RequestsPerMinute: 1000}, {RequestsPerMinute: 60_000, Burst: 15}} {
		t.Run(fmt.Sprint(limits.RequestsPerMinute), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{})
				defer f.close()
				rate, burst := float64(limits.RequestsPerMinute)/60, float64(limits.Burst)
				if burst == 0 {
					burst = float64(limits.RequestsPerMinute)
				}
				until := minute(rate * 4)
				f.offer(even(rate*4), until, func(replica int) {
					f.call(replica, Request{Key: Account{ID: "key", Limits: limits}, Tenant: Account{ID: "acme"}}, 0, 0)
				})
				got, ideal := f.result(), burst+rate*until.Seconds()
				t.Logf("%+v of %.0f", got, ideal)
				// A request is admitted when its answer has arrived, half a millisecond after it was decided.
				if depth := deepest(f.admitted, rate); depth > burst+1e-3*rate {
					t.Errorf("a bucket of %.3f was drawn on, want %.0f", depth, burst)
				}
				if n := float64(got.admitted); n > ideal || n < 0.97*ideal {
					t.Errorf("%d were admitted, want %.0f", got.admitted, ideal)
				}
			})
		})
	}
}

// Ten thousand refused requests change nothing, and hardly ask the bank.
func TestFleetRefusalsSpendNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		key := Account{ID: "key", Limits: Limits{RequestsPerMinute: 60, Burst: 20, TokensPerMinute: 600_000, Concurrent: 1000}}
		tenant := Account{ID: "acme", Limits: Limits{RequestsPerMinute: 60_000, TokensPerMinute: 600_000, Concurrent: 1000}}
		for n := range 20 {
			if !f.call(n%4, Request{Key: key, Tenant: tenant, Tokens: 1000}, 0, 1000) {
				t.Fatalf("request %d of a burst of 20 was refused", n)
			}
		}
		spentAt := time.Now()
		f.begin()
		for n := range 10_000 {
			if f.call(n%4, Request{Key: key, Tenant: tenant, Tokens: 1000}, 0, 0) {
				t.Fatalf("request %d was admitted", n)
			}
			time.Sleep(80 * time.Microsecond)
		}
		if got := f.result(); got.calls > 0.02 {
			t.Errorf("%.3f calls for each request", got.calls)
		}
		time.Sleep(900*time.Millisecond - time.Since(spentAt))
		var p Permit
		f.replicas[0].Take(t.Context(), &p, Request{Key: key, Tenant: tenant, Tokens: 1000})
		told := p.Answer[KeyRequests]
		p.End(0)
		if p.Answer.Allowed() || told.RetryAfter > 110*time.Millisecond {
			t.Errorf("a moment before the next one comes back: %+v", told)
		}
		time.Sleep(told.RetryAfter)
		if !f.call(0, Request{Key: key, Tenant: tenant, Tokens: 1000}, 0, 1000) {
			t.Error("refused after waiting as told")
		}

		// What was drawn of the other limits has gone back, but for what the 21 that passed have spent.
		time.Sleep(time.Second)
		began := time.Since(spentAt)
		var a Answer
		f.replicas[1].Standing(t.Context(), &a, Request{Key: key, Tenant: tenant})
		if left, least := a[TenantTokens].Remaining, 600_000-21_000+int64(began.Seconds()*10_000)-100; left < min(least, 600_000) {
			t.Errorf("%d tokens of the tenant are left, want %d", left, least)
		}
		if a[TenantRequests].Remaining != 60_000 || a[KeyConcurrent].Remaining != 1000 || a[TenantConcurrent].Remaining != 1000 {
			t.Errorf("%+v", a)
		}
	})
}

// Many keys of one tenant: each has what it may, and all together no more than the tenant.
func TestManyKeys(t *testing.T) {
	const keys, ofKey = 100, 10.0
	for _, ofTenant := range []float64{500, 5000} {
		t.Run(fmt.Sprintf("a tenant of %.0f a second", ofTenant), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{Default: Limits{RequestsPerMinute: int(60 * ofKey), Burst: 20}})
				defer f.close()
				tenant := Account{ID: "acme", Limits: Limits{RequestsPerMinute: int(60 * ofTenant), Burst: int(ofTenant)}}
				var admitted [keys]atomic.Int64
				until := minute(2000)
				f.offer(even(2000), until, func(replica int) {
					key := rand.N(keys)
					if f.call(replica, Request{Key: Account{ID: strconv.Itoa(key)}, Tenant: tenant}, 0, 0) {
						admitted[key].Add(1)
					}
				})
				got := f.result()
				perKey := 20 + ofKey*until.Seconds()
				ideal := min(keys*perKey, ofTenant+ofTenant*until.Seconds())
				t.Logf("%+v of %.0f", got, ideal)
				if n := float64(got.admitted); n > 1.01*ideal || n < 0.97*ideal {
					t.Errorf("%d were admitted, want %.0f", got.admitted, ideal)
				}
				for key := range admitted {
					if n := float64(admitted[key].Load()); n > perKey+1 {
						t.Errorf("key %d: %.0f were admitted, want %.0f at most", key, n, perKey)
					}
				}
			})
		})
	}
}

// What one replica has spent, the others tell of when they are asked.
func TestStandingOfTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{Default: Limits{RequestsPerMinute: 60, TokensPerMinute: 600, Concurrent: 5}})
		defer f.close()
		key, tenant := Account{ID: "key"}, Account{ID: "acme", Limits: Limits{RequestsPerMinute: 6000}}
		var permits [3]Permit
		for i := range permits {
			f.replicas[0].Take(t.Context(), &permits[i], Request{Key: key, Tenant: tenant, Tokens: 100})
		}
		time.Sleep(1010*time.Millisecond - f.now())
		look := func() (a Answer) {
			f.replicas[1].Standing(t.Context(), &a, Request{Key: key, Tenant: tenant})
			for i := range a {
				a[i].Reset = a[i].Reset.Round(20 * time.Millisecond) // the way to the bank takes a while
			}
			return a
		}
		a := look()
		want(t, a[KeyRequests], "allowed limit=60 remaining=58 reset=2s retry=0s")
		want(t, a[TenantRequests], "allowed limit=6000 remaining=6000 reset=0s retry=0s")
		want(t, a[KeyTokens], "allowed limit=600 remaining=310 reset=29s retry=0s")
		want(t, a[KeyConcurrent], "allowed limit=5 remaining=2 reset=0s retry=0s")
		for i := range permits {
			permits[i].End(0)
		}
		time.Sleep(200 * time.Millisecond)
		a = look()
		want(t, a[KeyTokens], "allowed limit=600 remaining=600 reset=0s retry=0s")
		want(t, a[KeyConcurrent], "allowed limit=5 remaining=5 reset=0s retry=0s")
	})
}

// A client that goes away while the bank is asked takes nobody with it: what it had asked for is decided, and the others
// are decided by the bank.
func TestClientGoesWhileTheBankIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		key := Account{ID: "key", Limits: Limits{RequestsPerMinute: 600, Concurrent: 3}}
		for n := range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			f.open.Go(func() {
				var p Permit
				f.replicas[0].Take(ctx, &p, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 1})
				p.End(0)
			})
			f.open.Go(func() {
				time.Sleep(time.Duration(n%10) * 100 * time.Microsecond)
				cancel()
			})
			f.open.Go(func() { f.call(0, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 1}, 0, 0) })
			time.Sleep(10 * time.Millisecond)
		}
		if got := f.result(); got.admitted != 50 {
			t.Errorf("%d of the patient were admitted, want 50", got.admitted)
		}
	})
}

// Hundreds at once on several replicas, in real time and with everything that can be done to a limiter: for the race
// detector, and for what must be so in the end.
func TestFleetUnderContention(t *testing.T) {
	bank := newModelBank(func() int64 { return time.Now().UnixMicro() })
	var replicas []*Limiter
	for i := range 3 {
		replicas = append(replicas, New(Options{Config: Config{MaxKeys: 20}, Bank: bank, Replica: strconv.Itoa(i)}))
	}
	began := time.Now()
	var admitted [4]atomic.Int64
	var group sync.WaitGroup
	for worker := range 300 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1)) //nolint:gosec // no secret: it makes a load
			for range 100 {
				contend(replicas[random.IntN(3)], random, &admitted)
			}
		})
	}
	group.Wait()
	for key := range admitted {
		if n, most := float64(admitted[key].Load()), 750+500*time.Since(began).Seconds(); n > most {
			t.Errorf("key %d: %.0f were admitted, want %.0f at most", key, n, most)
		}
	}
	for i, l := range replicas {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if stats := l.Stats(); stats.Held != 0 {
			t.Errorf("replica %d: %+v", i, stats)
		}
	}
	for key, held := range bank.slots {
		for replica, h := range held {
			if h.count != 0 {
				t.Errorf("%v: %s holds %d in the end", key, replica, h.count)
			}
		}
	}
}

// contend does one thing to a limiter.
func contend(l *Limiter, random *rand.Rand, admitted *[4]atomic.Int64) {
	key := random.IntN(4)
	r := Request{
		Key:    Account{ID: strconv.Itoa(key), Limits: Limits{RequestsPerMinute: 500 * 60, Burst: 500, TokensPerMinute: 1e9, Concurrent: 50}},
		Tenant: Account{ID: strconv.Itoa(key % 2), Limits: Limits{RequestsPerMinute: 1e6, Concurrent: 200}},
		Tokens: 10,
	}
	switch random.IntN(10) {
	case 0:
		var a Answer
		l.Peek(&a, r)
		l.Stats()
	case 1:
		var a Answer
		l.Standing(context.Background(), &a, r)
		l.Follow(Config{Default: Limits{RequestsPerMinute: random.IntN(100)}})
	case 2: // accounts that come and go
		r.Key = Account{ID: fmt.Sprint("visitor ", random.IntN(1000)), Limits: Limits{RequestsPerMinute: 100}}
		r.Tenant.ID = fmt.Sprint("visitor ", random.IntN(100))
		pass(l, new(Permit), &r, 10)
	default:
		if pass(l, new(Permit), &r, int64(random.IntN(30))) {
			admitted[key].Add(1)
		}
	}
}
