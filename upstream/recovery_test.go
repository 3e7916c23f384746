package upstream

import (
	"math"
	"testing"
	"time"
)

// TestRamp counts whom 10,000 requests ask that come at the same moment, so long
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
					const n = 10_000
					asked := 0
					for range n {
						a := must(t, m)
						if a.Candidate == m.candidates[0] {
							asked++
						}
						finish(a, OutcomeClientGone)
					}
					if got := 100 * float64(asked) / (n / 2); math.Abs(got-at.percent) > 5 {
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
			p.report(effectSuccess)
		}
	})
	f("after its address's breaker closed", func(m *Model, c *Candidate) {
		c.lane.address.failing.Store(math.MaxUint64)
		force(t, c, c.lane.address.breaker, 5)
		time.Sleep(probeDue)
		for range breakerProbes {
			var p permit
			c.lane.address.breaker.admit(&p, m.clock.now(), onTime)
			p.report(effectSuccess)
		}
	})
	f("after its quarantine", func(m *Model, c *Candidate) {
		c.lane.account.refused(m.clock.now(), false)
		c.lane.account.answered(m.clock.now())
	})
}

// TestRampLeavesNobodyOut has all recover at once: somebody is asked all the same.
func TestRampLeavesNobodyOut(t *testing.T) {
	for n := 1; n <= 3; n++ {
		m := several(t, n, "")
		for _, c := range m.candidates {
			c.lane.account.refused(m.clock.now(), false)
			c.lane.account.answered(m.clock.now())
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

// TestProbesComeFirst has a breaker whose probe is due beside one that is closed.
func TestProbesComeFirst(t *testing.T) {
	in(t, "the next three requests are the probes", func(t *testing.T) {
		m := several(t, 3, "")
		trip(t, m.candidates[1])
		time.Sleep(probeDue)
		for i := range 100 {
			if a := must(t, m); (a.Provider.Name == "b") != (i < breakerProbes) {
				t.Fatalf("request %d asks %s", i, a.Provider.Name)
			}
		}
	})
}
