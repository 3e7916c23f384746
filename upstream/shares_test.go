package upstream

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// counted are how often each of a model's candidates was chosen.
type counted [maxCandidates]int

// compare reports every share that is further from what was counted in n choices
// than by a tolerance, and shares that are not 1 together.
func (each shares) compare(t interface{ Errorf(string, ...any) }, got counted, n int, tolerance float64) {
	total := 0.0
	for i, share := range each {
		total += share
		if real := float64(got[i]) / float64(n); math.Abs(real-share) > tolerance {
			t.Errorf("candidate %d is chosen %.1f %% of the time, and its share is %.1f %%", i, 100*real, 100*share)
		}
	}
	if math.Abs(total-1) > 1e-9 {
		t.Errorf("the shares are %v together", total)
	}
}

// checkShares compares what a policy tells of a pool with whom it picks of it.
func checkShares(t interface{ Errorf(string, ...any) }, p pool, policy policy, n int, tolerance float64) {
	var each shares
	var got counted
	policy.shares(p, 1, &each)
	for range n {
		got[policy.pick(p)]++
	}
	each.compare(t, got, n, tolerance)
}

// TestSharesOfEquals has candidates that do not differ in anything.
func TestSharesOfEquals(t *testing.T) {
	for n := 1; n <= 4; n++ {
		m := several(t, n, "")
		for _, known := range policies() {
			t.Run(fmt.Sprintf("%s of %d", known.name, n), func(t *testing.T) {
				p := pool{m, m.all(), Plain, 2}
				checkShares(t, p, known.make(), 20_000, 0.02)
				var each shares
				known.make().shares(p, 1, &each)
				for i := range n {
					if math.Abs(each[i]-1/float64(n)) > 1e-9 {
						t.Errorf("the shares are %v", each[:n])
					}
				}
			})
		}
	}
}

// TestSharesOfPolicies holds for each policy and every pool: what it tells is what it does.
func TestSharesOfPolicies(t *testing.T) {
	m := model(t, seeded(t, manyCandidates(8)))
	rapid.Check(t, func(r *rapid.T) {
		for _, c := range m.candidates {
			c.lane.pending.Store(int64(rapid.IntRange(0, 2).Draw(r, "pending")))
			c.lane.answer.word.Store(0)
			if rapid.Bool().Draw(r, "known") {
				c.lane.answer.observe(1, time.Duration(rapid.IntRange(1, 3).Draw(r, "latency"))*time.Second)
			}
			weight := rapid.Uint64Range(1, 3).Draw(r, "weight")
			c.share, c.weight = weight<<32, float64(weight)
		}
		p := pool{m, set(rapid.Uint64Range(1, 1<<8-1).Draw(r, "pool")), Plain, 2}
		for _, known := range policies() {
			checkShares(r, p, known.make(), 4000, 0.045)
		}
		route := Route{model: m, anchor: rapid.Uint64Range(1, 1<<60).Draw(r, "anchor"), kind: Plain}
		if each := route.shares(p.set, p.now); each[pickByAnchor(p, route.anchor)] != 1 {
			r.Errorf("an anchor's shares are %v", each)
		}
	})
}

// watch has n requests choose one after the other, each undone before the next, and
// returns what was foreseen at the time, in the mean, and whom they chose; false when
// probes were all that could be made, and are spent.
func watch(t interface{ Fatalf(string, ...any) }, m *Model, o RouteOptions, n int) (foreseen shares, got counted, all bool) {
	var each shares
	var open set
	for i := range n {
		route, err := m.Route(&Needs{}, o)
		if err != nil {
			t.Fatalf("%v", err)
		}
		now, before := m.clock.now(), open
		if open = m.available(m.all()&m.on, now, route.asker()); open == 0 {
			return foreseen, got, false
		}
		if i%100 == 0 || open != before { // as when the last probe is out
			each = route.shares(open, now)
		}
		a, err := onward(&route)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if each[a.position] == 0 {
			t.Fatalf("request %d asks %s, whose share is none: %v", i, label(a.Candidate), each[:len(m.candidates)])
		}
		got[a.position]++
		for k := range each {
			foreseen[k] += each[k] / float64(n)
		}
		finish(a, OutcomeClientGone)
	}
	return foreseen, got, true
}

// TestForeseenChoice holds for every table and every state: whom requests ask first
// is whom the shares tell, in tiers, with those who recover, and with those who wait for probes.
func TestForeseenChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The wrapping hides the real deadline, which means nothing to the bubble's clock.
		rapid.Check(struct{ testing.TB }{t}, func(r *rapid.T) {
			m := model(t, seeded(t, someConfig(r)))
			o := RouteOptions{Kind: Kind(rapid.IntRange(0, 1).Draw(r, "kind")), Anchor: rapid.Uint64Range(0, 3).Draw(r, "anchor")}
			someSickness(r, m)
			time.Sleep(rapid.SampledFrom([]time.Duration{0, 0, 5 * time.Second, 12 * time.Second}).Draw(r, "recovering for"))
			const n = 2500
			if foreseen, got, all := watch(r, m, o, n); all {
				foreseen.compare(r, got, n, 0.05)
			}
		})
	})
}

// recovered has candidates come out of quarantine just now.
func recovered(m *Model, candidates ...int) {
	for _, i := range candidates {
		m.candidates[i].lane.account.quarantine.strike(m.clock.now(), false)
		m.candidates[i].lane.account.quarantine.clear(m.clock.now())
	}
}

func TestSharesOfRecovery(t *testing.T) {
	const tiers = `
providers: {a: {` + oneKey + `}, b: {` + oneKey + `}, c: {` + oneKey + `}}
models: {m: {targets: [{provider: a}, {provider: b, tier: 2}, {provider: c, tier: 3}]}}`
	f := func(name string, m func(t *testing.T) *Model, prepare func(m *Model), want ...float64) {
		t.Helper()
		in(t, name, func(t *testing.T) {
			m := m(t)
			prepare(m)
			foreseen, got, _ := watch(t, m, RouteOptions{}, 4000)
			foreseen.compare(t, got, 4000, 0.04)
			for i := range want {
				if math.Abs(foreseen[i]-want[i]) > 0.001 {
					t.Errorf("the shares are %.4f, want %v", foreseen[:len(want)], want)
					break
				}
			}
		})
	}
	threeTiers := func(t *testing.T) *Model { t.Helper(); return model(t, seeded(t, tiers)) }
	equals := func(n int) func(t *testing.T) *Model {
		return func(t *testing.T) *Model { t.Helper(); return several(t, n, "") }
	}
	f("the first tier begins with a twentieth", threeTiers, func(m *Model) { recovered(m, 0) }, 0.05, 0.95, 0)
	f("two tiers begin with a twentieth", threeTiers, func(m *Model) { recovered(m, 0, 1) }, 0.05, 0.0475, 0.9025)
	f("with nobody else the first tier has to", threeTiers, func(m *Model) { recovered(m, 0, 1, 2) }, 0.05+0.857375, 0.0475, 0.045125)
	f("half of it after 15 s", threeTiers, func(m *Model) { recovered(m, 0); time.Sleep(15 * time.Second) }, 0.5, 0.5, 0)
	f("all of it after 30 s", threeTiers, func(m *Model) { recovered(m, 0); time.Sleep(30 * time.Second) }, 1, 0, 0)
	f("beside an equal", equals(2), func(m *Model) { recovered(m, 0) }, 0.025, 0.975)
	f("every equal recovers", equals(3), func(m *Model) { recovered(m, 0, 1, 2) }, 1./3, 1./3, 1./3)
	f("more recover than are looked at one by one", equals(9), func(m *Model) { recovered(m, 0, 1, 2, 3, 4, 5, 6, 7) })
}

// TestSharesOfProbes has two of three wait for probes: each request's first choice is
// one of them, until none is to be had.
func TestSharesOfProbes(t *testing.T) {
	in(t, "two of three", func(t *testing.T) {
		var got counted
		const rounds = 600
		for range rounds {
			m := several(t, 3, "")
			m.random = func(n uint64) uint64 { return uint64(got[1]+got[2]) % n } //nolint:gosec // a few
			trip(t, m.candidates[1])
			trip(t, m.candidates[2])
			time.Sleep(probeDue)
			route, _ := m.Route(&Needs{}, RouteOptions{})
			now := m.clock.now()
			each := route.shares(m.available(m.all(), now, route.asker()), now)
			if each[0] != 0 || each[1] != 0.5 || each[2] != 0.5 {
				t.Fatalf("the shares are %v", each[:3])
			}
			a, _ := onward(&route)
			got[a.position]++
		}
		shares{1: 0.5, 2: 0.5}.compare(t, got, rounds, 0.05)
	})
	in(t, "where no request may be made again nobody is a probe", func(t *testing.T) {
		m := several(t, 2, "max_attempts: 1,")
		trip(t, m.candidates[1])
		time.Sleep(probeDue)
		route, _ := m.Route(&Needs{}, RouteOptions{})
		now := m.clock.now()
		if each := route.shares(m.all(), now); each[0] != 0.5 || each[1] != 0.5 {
			t.Errorf("the shares are %v", each[:2])
		}
	})
}
