package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// sane tells what no answer may be, whatever is known of the bank.
func sane(d Decision, burst int64) error {
	switch {
	case d.Limit == 0 && d != (Decision{Allowed: true, Shadow: d.Shadow}):
		return fmt.Errorf("figures without a limit: %+v", d)
	case d.Remaining < 0 || d.Remaining > burst:
		return fmt.Errorf("%d remain of %d: %+v", d.Remaining, burst, d)
	case d.Reset < 0 || d.Reset%time.Millisecond != 0 || d.RetryAfter%time.Millisecond != 0:
		return fmt.Errorf("times: %+v", d)
	case d.Allowed != (d.RetryAfter == 0) || d.RetryAfter < 0:
		return fmt.Errorf("allowed and told to wait, or refused and not: %+v", d)
	}
	return nil
}

// Under a load that is refused most of the time, each answer is possible; and who waits as it was told passes, where
// nobody else comes, at once or after one more wait.
func TestFleetAnswersAreTrue(t *testing.T) {
	for _, limits := range []Limits{
		{RequestsPerMinute: 6, Burst: 3},
		{RequestsPerMinute: 600, Burst: 30},
		{RequestsPerMinute: 6000, Burst: 100},
		{RequestsPerMinute: 60_000, Burst: 1000},
		{TokensPerMinute: 6000},
		{TokensPerMinute: 1_000_000},
		{RequestsPerMinute: 3000, TokensPerMinute: 100_000},
	} {
		t.Run(fmt.Sprintf("%+v", limits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{})
				defer f.close()
				r := Request{Key: Account{ID: "key", Limits: limits}, Tenant: Account{ID: "acme"}, Tokens: 100}
				try := func(replica int) Answer {
					var p Permit
					f.replicas[replica].Take(t.Context(), &p, r)
					p.End(100)
					for i := range p.Answer {
						if err := sane(p.Answer[i], int64(max(limits.RequestsPerMinute, limits.TokensPerMinute))); err != nil {
							t.Errorf("%s: %v", Limit(i), err)
						}
					}
					return p.Answer
				}
				for round := range 30 {
					f.offer(even(3000), f.now()+time.Second, func(replica int) { try(replica) })
					f.open.Wait()
					time.Sleep(time.Duration(freshFor) * time.Microsecond) // what one knows of the others' spending may be as old
					a, began := try(round%4), time.Now()
					for a.Allowed() {
						a, began = try(round%4), time.Now()
					}
					told := a[a.Strictest()].RetryAfter
					for waits := 0; !a.Allowed(); waits++ {
						if waits == 2 {
							t.Fatalf("round %d: told to wait %s, and not admitted after %s", round, told, time.Since(began))
						}
						time.Sleep(a[a.Strictest()].RetryAfter)
						a = try(round % 4)
					}
					if late := time.Since(began) - told; late > time.Second {
						t.Errorf("round %d: told to wait %s, and admitted %s later", round, told, late)
					}
				}
			})
		})
	}
}

// Limits in shadow refuse nobody, on any replica; they are counted all the same, and as they are out of shadow again they
// are as they would be had nothing more been asked of them than they had.
func TestFleetInShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{Shadow: true})
		defer f.close()
		key := Account{ID: "key", Limits: Limits{RequestsPerMinute: 6000, Burst: 100, Concurrent: 5}}
		r := Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 1}
		f.offer(even(400), 20*time.Second, func(replica int) { f.call(replica, r, rand.N(50*time.Millisecond), 1) })
		got := f.result()
		t.Logf("%+v", got)
		if got.admitted != got.asked {
			t.Errorf("%d of %d were admitted in shadow", got.admitted, got.asked)
		}
		for _, l := range f.replicas {
			l.Follow(Config{})
		}
		r.Key.Concurrent = 0
		f.offer(even(400), 40*time.Second, func(replica int) { f.call(replica, r, 0, 1) })
		if n := f.between(21*time.Second, 40*time.Second); n < 1850 || n > 1950 {
			t.Errorf("%d were admitted in 19 s out of shadow, want 1900", n)
		}
	})
}

// Keys that come and go leave nothing behind: neither in a replica, nor work for it.
func TestFleetForgetsTheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, Config{MaxKeys: 50, Default: Limits{RequestsPerMinute: 6000, TokensPerMinute: 1_000_000, Concurrent: 100}})
		defer f.close()
		f.offer([]float64{500, 500}, 10*time.Second, func(replica int) {
			n := rand.N(2000)
			r := Request{Key: Account{ID: strconv.Itoa(n)}, Tenant: Account{ID: strconv.Itoa(n % 100), Limits: Limits{RequestsPerMinute: 60_000}}, Tokens: 100}
			if !f.call(replica, r, rand.N(100*time.Millisecond), 50) {
				t.Error("refused")
			}
		})
		got := f.result()
		t.Logf("%+v", got)
		time.Sleep(2 * time.Second)
		f.begin()
		var p Permit // of a slot that one replica holds all the time
		f.replicas[0].Take(t.Context(), &p, Request{Key: Account{ID: "long"}, Tenant: Account{ID: "acme"}, Tokens: 100})
		f.call(1, Request{Key: Account{ID: "long"}, Tenant: Account{ID: "acme"}, Tokens: 100}, 0, 100)
		time.Sleep(time.Minute)
		p.End(100)
		for i, most := range []int64{10, 3} { // to say again what it holds; to ask, and to give back
			if n := f.wires[i].calls.Load(); n > most {
				t.Errorf("replica %d has made %d orders in an idle minute, want %d at most", i, n, most)
			}
		}
		for i := range f.replicas {
			f.call(i, Request{Key: Account{ID: "one more"}, Tenant: Account{ID: "acme"}}, 0, 0)
			if keys, tenants := held(f.replicas[i]); keys > 51 || tenants > 51 {
				t.Errorf("replica %d holds %d keys and %d tenants", i, keys, tenants)
			}
		}
	})
}
