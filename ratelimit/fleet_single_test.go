package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// arrival is one request of a made-up load.
type arrival struct {
	at, lasts time.Duration
	replica   int
	key       int
	tokens    int64
	used      int64
}

// madeUp draws limits of a tenant and its three keys, some of which bind, and a load.
func madeUp(random *rand.Rand) (keys [3]Account, tenant Account, load []arrival) {
	draw := func(one, of int, least, most int) int {
		if random.IntN(of) >= one {
			return 0
		}
		return least + random.IntN(most-least)
	}
	limits := func(scale int) Limits {
		l := Limits{RequestsPerMinute: scale * draw(2, 3, 60, 3000), TokensPerMinute: scale * draw(1, 2, 10_000, 300_000), Concurrent: scale * draw(1, 2, 5, 60)}
		if l.RequestsPerMinute > 0 {
			l.Burst = draw(1, 2, 20, 200)
		}
		return l
	}
	for i := range keys {
		keys[i] = Account{ID: fmt.Sprint("key ", i), Limits: limits(1)}
	}
	tenant = Account{ID: "acme", Limits: limits(2)}
	perSecond, longest := 20+random.Float64()*200, 1+random.Int64N(int64(500*time.Millisecond))
	skew := random.IntN(2) == 0
	for at := time.Duration(0); at < 30*time.Second; at += time.Duration(random.ExpFloat64() / perSecond * float64(time.Second)) {
		a := arrival{at: at, lasts: time.Duration(random.Int64N(longest)), replica: random.IntN(4), key: random.IntN(3), tokens: 1 + random.Int64N(200)}
		a.used = int64(float64(a.tokens) * (0.2 + 1.4*random.Float64()))
		if skew && random.IntN(5) > 0 {
			a.replica = 0
		}
		load = append(load, a)
	}
	return keys, tenant, load
}

// admit plays a load, and counts what is admitted: the requests of each key, and all tokens. It watches the caps as it goes.
func admit(t *testing.T, replicas []*Limiter, keys [3]Account, tenant Account, load []arrival) (admitted [3]float64, tokens float64) {
	var mu sync.Mutex
	var busy [3]int
	watch := func(key, by int, used int64) {
		mu.Lock()
		defer mu.Unlock()
		busy[key] += by
		if most := keys[key].Concurrent; most > 0 && busy[key] > most {
			t.Errorf("%d of key %d are in progress, want %d at most", busy[key], key, most)
		}
		if most, n := tenant.Concurrent, busy[0]+busy[1]+busy[2]; most > 0 && n > most {
			t.Errorf("%d of the tenant are in progress, want %d at most", n, most)
		}
		if by > 0 {
			admitted[key]++
			tokens += float64(used)
		}
	}
	var open sync.WaitGroup
	began := time.Now()
	for _, a := range load {
		time.Sleep(a.at - time.Since(began))
		open.Go(func() {
			var p Permit
			replicas[a.replica%len(replicas)].Take(t.Context(), &p, Request{Key: keys[a.key], Tenant: tenant, Tokens: a.tokens})
			if !p.Answer.Allowed() {
				p.End(0)
				return
			}
			watch(a.key, 1, a.used)
			time.Sleep(a.lasts)
			watch(a.key, -1, 0)
			p.End(a.used)
		})
	}
	open.Wait()
	return admitted, tokens
}

// Whatever the limits and the load are: a fleet admits what a single replica would.
func TestFleetIsLikeOneReplica(t *testing.T) {
	count := uint64(12)
	if proving() {
		count = 200
	}
	for seed := range count {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keys, tenant, load := madeUp(rand.New(rand.NewPCG(seed, 11))) //nolint:gosec // no secret: it makes a load
				one, tokensOfOne := admit(t, []*Limiter{New(Options{})}, keys, tenant, load)
				f := newFleet(t, 4, Config{})
				defer f.close()
				many, tokens := admit(t, f.replicas, keys, tenant, load)
				o, m := one[0]+one[1]+one[2], many[0]+many[1]+many[2]
				t.Logf("one replica admits %.0f, with %.0f tokens; a fleet %.0f, with %.0f, %+.1f %%", one, tokensOfOne, many, tokens, tokens/tokensOfOne*100-100)
				// Where tokens are short, one replica has a little more often what a small request needs than what a large one does.
				if m < 0.85*o-10 || m > 1.05*o+5 || tokens < 0.95*tokensOfOne-500 || tokens > 1.05*tokensOfOne+500 {
					t.Errorf("of %d: %+v of %+v", len(load), keys, tenant)
				}
				for key := range keys {
					if o, m := one[key], many[key]; m < 0.85*o-10 || m > 1.15*o+10 {
						t.Errorf("key %d: one replica admits %.0f, a fleet %.0f: %+v of %+v", key, o, m, keys[key], tenant)
					}
				}
			})
		})
	}
}
