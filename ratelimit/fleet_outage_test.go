package ratelimit

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// ask offers a load of requests to one key, at 100 a second with a burst of 100.
func (f *fleet) ask(perSecondAt []float64, until time.Duration) {
	f.offer(perSecondAt, until, func(replica int) {
		f.call(replica, Request{Key: perSecond(100), Tenant: Account{ID: "acme"}}, 0, 0)
	})
}

// A minute without the bank: each replica grants its share. When it is back nobody catches up, and nobody starves.
func TestFleetWithoutBank(t *testing.T) {
	for name, state := range map[string]int32{"down": down, "silent": silent, "answers lost": swallow} {
		for _, load := range []float64{0.8, 4} {
			t.Run(fmt.Sprintf("%s, load %.1f", name, load), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, 4, Config{})
					defer f.close()
					go func() {
						time.Sleep(20 * time.Second)
						f.become(state)
						time.Sleep(time.Minute)
						f.become(up)
					}()
					f.ask(even(100*load), 100*time.Second)
					got := f.result()
					t.Logf("%+v", got)
					if ideal := 100 + 100*100; float64(got.admitted) > 1.05*float64(ideal) {
						t.Errorf("%d were admitted, want %d at most", got.admitted, ideal)
					}
					if got.worst > 250 {
						t.Errorf("%d were admitted in one second", got.worst)
					}
					if got.longest > tradeTimeout+5*time.Millisecond {
						t.Errorf("a request has waited for %s", got.longest)
					}
					if n := f.between(80*time.Second, 81*time.Second); n > 130 {
						t.Errorf("%d were admitted in the second after its return: they have caught up", n)
					}
					least := min(100, 100*load)
					for _, phase := range []struct {
						name     string
						from, to time.Duration
						share    float64
					}{
						{"while all is well", 5 * time.Second, 20 * time.Second, 0.95},
						{"without the bank", 22 * time.Second, 80 * time.Second, 0.9},
						{"after its return", 81 * time.Second, 100 * time.Second, 0.9},
					} {
						n := f.between(phase.from, phase.to)
						if rate := float64(n) / (phase.to - phase.from).Seconds(); rate < phase.share*least || rate > 1.05*100 {
							t.Errorf("%s: %.1f a second were admitted, want %.1f", phase.name, rate, least)
						}
					}
				})
			})
		}
	}
}

// A bank that takes long, but answers: nobody turns to its share, and what may pass does.
func TestSlowBank(t *testing.T) {
	for _, load := range []float64{0.8, 4} {
		t.Run(fmt.Sprintf("load %.1f", load), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{})
				defer f.close()
				for _, w := range f.wires {
					w.slow.Store(int64(40 * time.Millisecond))
				}
				f.ask(skewed(100*load), time.Minute)
				got := f.result()
				t.Logf("%+v", got)
				if n, least := float64(got.admitted), min(0.95*6100, float64(got.asked)); n > 1.01*6100 || n < least {
					t.Errorf("%d of %d were admitted, want %.0f to 6161", got.admitted, got.asked, least)
				}
			})
		})
	}
}

// One replica that alone does not reach the bank has its share, and the others have what there is.
func TestReplicaWithoutBank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		go func() {
			time.Sleep(20 * time.Second)
			f.wires[0].become(down)
			time.Sleep(20 * time.Second)
			f.wires[0].become(up)
		}()
		f.ask(even(400), time.Minute)
		got := f.result()
		t.Logf("%+v", got)
		if most := 100 + 60*100 + 20*25 + 25; got.admitted > most+most/100 {
			t.Errorf("%d were admitted, want %d at most", got.admitted, most)
		}
		if n := f.between(45*time.Second, time.Minute); n < 1350 || n > 1550 {
			t.Errorf("%d were admitted in the last 15 s, want 1500", n)
		}
	})
}

// A fail-over that loses all that the bank knew costs a burst.
func TestFleetAfterLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		go func() {
			time.Sleep(30 * time.Second)
			f.bank.forget()
		}()
		f.ask(even(400), time.Minute)
		got := f.result()
		t.Logf("%+v", got)
		if most := 100 + 60*100 + 100; got.admitted > most+most/100 || got.admitted < most-most/20 {
			t.Errorf("%d were admitted, want %d", got.admitted, most)
		}
	})
}

// Now and then an answer is lost, and what it was about is said again: it counts once.
func TestFleetWithLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		go func() {
			for f.now() < 58*time.Second {
				time.Sleep(900 * time.Millisecond)
				f.become(swallow)
				time.Sleep(100 * time.Millisecond)
				f.become(up)
			}
		}()
		f.ask(even(400), time.Minute)
		got := f.result()
		t.Logf("%+v", got)
		if most := 100 + 60*100; got.admitted > most+most/20 {
			t.Errorf("%d were admitted, want %d at most", got.admitted, most)
		}
		if got.admitted < 4000 {
			t.Errorf("%d were admitted, want most of 6100", got.admitted)
		}
	})
}

// The bank's clock is the one that counts: what a replica takes for the time changes nothing.
func TestClocksAreOff(t *testing.T) {
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{})
				defer f.close()
				f.replicas[0].now = func() time.Time { return time.Now().Add(off) }
				f.ask(even(400), time.Minute)
				got := f.result()
				t.Logf("%+v", got)
				if n := float64(got.admitted); n > 1.01*6100 || n < 0.97*6100 {
					t.Errorf("%d were admitted, want 6100", got.admitted)
				}
				if first := f.between(0, time.Minute); first != got.admitted || got.worst > 250 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// What a replica has drawn and not spent is there for the others when it has ended, and so are its slots.
func TestCloseGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		key := Account{ID: "key", Limits: Limits{RequestsPerMinute: 60_000, Burst: 1000, TokensPerMinute: 60_000_000, Concurrent: 100}}
		tenant := Account{ID: "acme", Limits: Limits{RequestsPerMinute: 60_000, Burst: 1000, Concurrent: 100}}
		for n := range 330 { // of leases of a hundred
			if !f.call(n%4, Request{Key: key, Tenant: tenant, Tokens: 100}, 0, 100) {
				t.Errorf("request %d was refused", n)
			}
		}
		f.close()
		now := time.Now().UnixMicro()
		for _, limit := range []Limit{KeyRequests, TenantRequests} {
			account := map[Limit]string{KeyRequests: "key"}[limit]
			bucket := f.bank.buckets[modelKey{"acme", account, limit}]
			bucket.fill(now, bucket.capacity)
			spent := 330*time.Millisecond - f.now()
			if missing := time.Duration(bucket.missing); missing < spent-time.Millisecond || missing > spent+time.Millisecond {
				t.Errorf("%s: %s are missing in the end, want %s", limit, missing, spent)
			}
		}
		for key, held := range f.bank.slots {
			for replica, h := range held {
				if h.count != 0 {
					t.Errorf("%v: %s holds %d in the end", key, replica, h.count)
				}
			}
		}
		if len(f.bank.replicas) != 0 {
			t.Errorf("the bank takes %d replicas for alive", len(f.bank.replicas))
		}
		if err := f.replicas[0].Close(context.Background()); err != nil {
			t.Errorf("closed again: %v", err)
		}
		if !f.call(0, Request{Key: key, Tenant: tenant, Tokens: 100}, 0, 100) {
			t.Error("a request that came after the end was refused")
		}
	})
}

// An order whose answer was lost is sent again: what it has posted counts once.
func TestPostingCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		key, tenant := tokensOf("key", 60_000), tokensOf("acme", 60_000)
		if !f.call(0, Request{Key: key, Tenant: tenant, Tokens: 100}, 50*time.Millisecond, 30_000) {
			t.Fatal("a full bucket has refused")
		}
		f.wires[0].become(swallow)
		time.Sleep(2 * time.Second)
		f.wires[0].become(up)
		time.Sleep(time.Second)
		spent := 30*time.Second - f.now().Truncate(time.Millisecond)
		var a Answer
		f.replicas[1].Standing(t.Context(), &a, Request{Key: key, Tenant: tenant})
		for _, limit := range []Limit{KeyTokens, TenantTokens} {
			if missing := a[limit].Reset; missing < spent-100*time.Millisecond || missing > spent+100*time.Millisecond {
				t.Errorf("%s: %s are missing, want %s", limit, missing, spent)
			}
		}
	})
}

// A request whose order fails holds what it had at hand only once, and gives it back.
func TestFailedOrderLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{})
		defer f.close()
		r := Request{
			Key:    Account{ID: "key", Limits: Limits{RequestsPerMinute: 60, TokensPerMinute: 600_000, Concurrent: 1000}},
			Tenant: Account{ID: "acme", Limits: Limits{Concurrent: 1000}}, Tokens: 10,
		}
		for range 20 {
			if !f.call(0, r, 0, 10) { // which leaves slots and tokens at hand
				t.Fatal("refused")
			}
			f.wires[0].become(silent)
			f.call(0, r, time.Millisecond, 10)
			f.wires[0].become(up)
			time.Sleep(2 * time.Second)
		}
		var a Answer
		f.replicas[1].Standing(t.Context(), &a, r)
		want(t, a[KeyConcurrent], "allowed limit=1000 remaining=1000 reset=0s retry=0s")
		want(t, a[TenantConcurrent], "allowed limit=1000 remaining=1000 reset=0s retry=0s")
		want(t, a[KeyTokens], "allowed limit=600000 remaining=600000 reset=0s retry=0s")
	})
}
