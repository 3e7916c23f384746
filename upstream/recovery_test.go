package upstream

import (
	"math"
	"testing"
	"time"
)

// TestRamp counts whom 3,000 requests ask that come at the same moment, so long
// after one of two has recovered.
func TestRamp(t *testing.T) {
	f := func(name string, recover func(m *Model, c *Candidate)) {
		t.Helper()
		in(t, name, func(t *testing.T) {
			for _, policy := range []string{"weighted", "least_pending", "p2c"} {
				m := several(t, 2, "policy: "+policy+",")
				recover(m, m.candidates[0])
				recovered := time.Now()
				for _, at := range []struct {
					seconds time.Duration
					percent float64 // of its half
				}{{0, 5}, {1, 5}, {3, 10}, {15, 50}, {27, 90}, {30, 100}, {31, 100}} {
					time.Sleep(time.Until(recovered.Add(at.seconds * time.Second)))
					const n = 3000
					asked := 0
					for range n {
						a := must(t, m)
						if a.Candidate == m.candidates[0] {
							asked++
						}
						finish(a, OutcomeClientGone)
					}
					if got := 100 * float64(asked) / (n / 2); math.Abs(got-at.percent) > 6 {
						t.Errorf("%s: after %ds it gets %.1f %% of its share, want %.0f %%", policy, at.seconds, got, at.percent)
					}
				}
			}
		})
	}
	f("after its breaker closed", func(m *Model, c *Candidate) {
		trip(t, c)
		time.Sleep(probeDue)
		for range breakerProbes {
			var p permit
			c.lane.breaker.admit(&p, m.clock.now(), onTime)
			settled(&p, effectSuccess)
		}
	})
	f("after its address's breaker closed", func(m *Model, c *Candidate) {
		c.lane.address.failing.Store(math.MaxUint64)
		force(t, c, c.lane.address.breaker, 5)
		time.Sleep(probeDue)
		for range breakerProbes {
			var p permit
			c.lane.address.breaker.admit(&p, m.clock.now(), onTime)
			settled(&p, effectSuccess)
		}
	})
	f("after its quarantine", func(m *Model, c *Candidate) {
		c.lane.account.quarantine.strike(m.clock.now(), false)
		c.lane.account.quarantine.clear(m.clock.now())
	})
}

// TestRampAcrossTiers counts whom 3,000 requests ask of two tiers, so long after the
// only one of the first has recovered.
func TestRampAcrossTiers(t *testing.T) {
	in(t, "and the other tier takes the rest", func(t *testing.T) {
		m := model(t, seeded(t, `
providers: {a: {`+oneKey+`}, b: {`+oneKey+`}}
models: {m: {targets: [{provider: a}, {provider: b, tier: 2}]}}`))
		m.candidates[0].lane.account.quarantine.strike(m.clock.now(), false)
		m.candidates[0].lane.account.quarantine.clear(m.clock.now())
		recovered := time.Now()
		for _, at := range []struct {
			after    time.Duration
			from, to int // of 3,000
		}{{0, 100, 200}, {999 * time.Millisecond, 100, 300}, {15 * time.Second, 1400, 1600}, {30 * time.Second, 3000, 3000}} {
			time.Sleep(time.Until(recovered.Add(at.after)))
			asked := 0
			for range 3000 {
				a := must(t, m)
				if a.Tier == 1 {
					asked++
				}
				finish(a, OutcomeClientGone)
			}
			if asked < at.from || asked > at.to {
				t.Errorf("after %s the first tier gets %d of 3,000, want %d to %d", at.after, asked, at.from, at.to)
			}
		}
	})
	in(t, "and not where nobody else is able", func(t *testing.T) {
		m := single(t, nil)
		trip(t, m.candidates[0])
		time.Sleep(probeDue)
		report(t, m, 3, OutcomeOK)
		burst(t, m, 3000, OutcomeClientGone)
	})
	in(t, "and a second attempt passes by whom the first did not have to", func(t *testing.T) {
		m := several(t, 3, "")
		m.candidates[1].lane.account.quarantine.strike(m.clock.now(), false)
		m.candidates[1].lane.account.quarantine.clear(m.clock.now())
		m.random = func(n uint64) uint64 { return n - 1 } // whoever may be passed by is
		route, _ := m.Route(&Needs{}, RouteOptions{})
		for i := range 3 {
			a, err := onward(&route)
			if err != nil || (a.Provider.Name == "b") != (i == 2) {
				t.Fatalf("attempt %d asks %v, %v", i+1, a, err)
			}
			finish(a, OutcomeThrottled)
		}
	})
}

// TestRampLeavesNobodyOut has all recover at once: somebody is asked all the same.
func TestRampLeavesNobodyOut(t *testing.T) {
	for n := 1; n <= 3; n++ {
		m := several(t, n, "")
		for _, c := range m.candidates {
			c.lane.account.quarantine.strike(m.clock.now(), false)
			c.lane.account.quarantine.clear(m.clock.now())
		}
		for range 1000 {
			finish(must(t, m), OutcomeClientGone)
		}
		for anchor := range uint64(1000) {
			a := mustOf(t, m, RouteOptions{Anchor: anchor})
			finish(a, OutcomeClientGone)
		}
	}
}

// TestWhoProbes has a breaker whose probe is due beside two that are closed.
func TestWhoProbes(t *testing.T) {
	in(t, "the next three requests that could be made again", func(t *testing.T) {
		m := several(t, 3, "")
		trip(t, m.candidates[1])
		time.Sleep(probeDue)
		for i := range 100 {
			if a := must(t, m); (a.Provider.Name == "b") != (i < breakerProbes) {
				t.Fatalf("request %d asks %s", i, a.Provider.Name)
			}
		}
	})
	in(t, "no request that has failed already, as long as somebody else is left", func(t *testing.T) {
		for range 100 {
			m := several(t, 3, "")
			trip(t, m.candidates[1])
			route, _ := m.Route(&Needs{}, RouteOptions{})
			for i := range 3 {
				a, err := onward(&route)
				if err != nil || (a.Provider.Name == "b") != (i == 2) {
					t.Fatalf("attempt %d asks %v, %v", i+1, a, err)
				}
				finish(a, OutcomeInvalidAnswer)
				time.Sleep(probeDue)
			}
		}
	})
	in(t, "a credential that was refused, by the first attempt of a request", func(t *testing.T) {
		m := several(t, 3, "")
		m.candidates[1].lane.account.quarantine.strike(m.clock.now(), false)
		time.Sleep(75 * time.Minute)
		for i := range 100 {
			if a := must(t, m); (a.Provider.Name == "b") != (i == 0) {
				t.Fatalf("request %d asks %s", i, a.Provider.Name)
			}
		}
	})
	in(t, "a credential that was refused, by a second attempt only when nobody else is left", func(t *testing.T) {
		for range 100 {
			m := several(t, 3, "")
			m.candidates[1].lane.account.quarantine.strike(m.clock.now(), false)
			route, _ := m.Route(&Needs{}, RouteOptions{})
			for i := range 3 {
				a, err := onward(&route)
				if err != nil || (a.Provider.Name == "b") != (i == 2) {
					t.Fatalf("attempt %d asks %v, %v", i+1, a, err)
				}
				finish(a, OutcomeThrottled)
				time.Sleep(75 * time.Minute)
			}
		}
	})
	in(t, "by and by, where no request may be made again", func(t *testing.T) {
		m := several(t, 2, "max_attempts: 1,")
		trip(t, m.candidates[1])
		for range 1000 {
			finish(must(t, m), OutcomeOK)
			time.Sleep(100 * time.Millisecond)
		}
		if got := standing(m.candidates[1]); got.State != StateReady || got.Why != "" {
			t.Errorf("within 100s of answers it becomes %s: %s", got.State, got.Why)
		}
	})
	in(t, "somebody, however short the retry budget is", func(t *testing.T) {
		m := several(t, 2, "")
		trip(t, m.candidates[1])
		time.Sleep(probeDue)
		m.thrift.budget.tenths.Store(0)
		for range 10 {
			finish(must(t, m), OutcomeOK)
		}
		if got := m.candidates[1].State(); got != StateReady {
			t.Errorf("ten answers leave it %s", got)
		}
	})
}
