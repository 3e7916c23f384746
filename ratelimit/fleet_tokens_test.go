package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// However far what is reserved is from what a request costs in truth, what is spent in the long run is the limit.
func TestFleetKeepsTokens(t *testing.T) {
	for _, estimate := range []int64{20, 100, 2000} {
		for name, spread := range map[string]func(float64) []float64{"even": even, "skewed": skewed} {
			t.Run(fmt.Sprintf("%d tokens, %s", estimate, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, 4, Config{})
					defer f.close()
					key := tokensOf("key", 60_000)
					var spent atomic.Int64
					f.offer(spread(2.5*1000/1.6/float64(estimate)), 10*time.Minute, func(replica int) {
						used := int64(float64(estimate) * (0.2 + 2.8*rand.Float64()))
						if f.call(replica, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: estimate}, rand.N(2*time.Second), used) {
							spent.Add(used)
						}
					})
					got, ideal := f.result(), 11*60_000.0
					t.Logf("%+v, %d tokens: %+.2f %%", got, spent.Load(), 100*float64(spent.Load())/ideal-100)
					if n := float64(spent.Load()); n > 1.02*ideal || n < 0.98*ideal {
						t.Errorf("%d tokens were spent, want %.0f", spent.Load(), ideal)
					}
				})
			})
		}
	}
}

// What a request has cost beyond its reservation is paid by those that follow, before any of them passes: here by one
// replica for what the other has spent.
func TestDebtIsPaidFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		key := tokensOf("key", 6000) // 100 a second
		if !f.call(0, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 100}, time.Millisecond, 16_000) {
			t.Fatal("a full bucket has refused")
		}
		time.Sleep(time.Second)
		began := time.Now()
		for !f.call(1, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 100}, 0, 100) {
			if time.Since(began) > 5*time.Minute {
				t.Fatal("the debt is never paid")
			}
			time.Sleep(50 * time.Millisecond)
		}
		// 16,100 are gone when it has passed, of 6,000 and 100 for each second.
		if got := f.now(); got < 101*time.Second || got > 102*time.Second {
			t.Errorf("passed after %s, want 1m41s", got)
		}
	})
}

// What is given back by one replica is there for the others at once.
func TestRefundIsSharedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		key := tokensOf("key", 600)
		if !f.call(0, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 600}, time.Second, 0) {
			t.Fatal("a full bucket has refused")
		}
		time.Sleep(500 * time.Millisecond)
		if !f.call(1, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 600}, 0, 600) {
			t.Error("what was given back half a second ago is not there")
		}
	})
}

// Tokens that were reserved with the bank and settled without it, or the other way round, count once.
func TestFleetKeepsTokensWithoutBank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		key := tokensOf("key", 60_000)
		go func() {
			for range 4 {
				time.Sleep(time.Minute)
				f.become(silent)
				time.Sleep(time.Minute)
				f.become(up)
			}
		}()
		var spent atomic.Int64
		f.offer(even(25), 10*time.Minute, func(replica int) {
			used := int64(100 * (0.2 + 2.8*rand.Float64()))
			if f.call(replica, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 100}, rand.N(5*time.Second), used) {
				spent.Add(used)
			}
		})
		f.open.Wait()
		ideal := 11 * 60_000.0
		t.Logf("%d tokens: %+.2f %%", spent.Load(), 100*float64(spent.Load())/ideal-100)
		if n := float64(spent.Load()); n > 1.05*ideal || n < 0.95*ideal {
			t.Errorf("%d tokens were spent, want %.0f", spent.Load(), ideal)
		}
	})
}
