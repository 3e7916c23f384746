package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// TestChoice holds for every table, every state of what is in it and every
// request: who is chosen is able, untried, available, and of the lowest rank of all
// such, see walk.rankOf; and somebody is chosen as long as there is one, and the
// retry budget allows.
func TestChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The wrapping hides the real deadline, which means nothing to the bubble's clock.
		rapid.Check(struct{ testing.TB }{t}, func(r *rapid.T) {
			m := model(t, seeded(t, someConfig(r)))
			o := RouteOptions{Kind: Kind(rapid.IntRange(0, 1).Draw(r, "kind")), Anchor: rapid.Uint64Range(0, 3).Draw(r, "anchor")}
			sick := someSickness(r, m)
			m.thrift.budget.tenths.Store(rapid.SampledFrom([]int64{0, 8, 9, 10, 25, 100, 100, 100}).Draw(r, "budget"))
			n := someNeeds(r)
			able := make(map[*Candidate]bool)
			for _, c := range m.candidates {
				if _, lacks := c.Provider.Lacks(&n); !lacks {
					able[c] = true
				}
			}
			route, err := m.Route(&n, o)
			var unsupported *UnsupportedError
			if errors.As(err, &unsupported) != (len(able) == 0) {
				r.Fatalf("Route = %v with %d able candidates", err, len(able))
			}
			if err != nil {
				return
			}
			w := &walk{route: &route, sick: sick, untried: able, asked: make(map[*Provider]bool)}
			w.coin = someCoin(r, m)
			if gone := w.run(r); gone > 0 {
				r.Fatalf("%d places are not given back", gone)
			}
		})
	})
}

// walk takes a route to its end, and knows who may be chosen.
type walk struct {
	route    *Route
	sick     sickness
	untried  map[*Candidate]bool
	asked    map[*Provider]bool
	attempts []*Attempt
	coin     float64 // whoever's share is not more is passed by
}

// someCoin has all that have recovered throw the same number.
func someCoin(r *rapid.T, m *Model) float64 {
	coin, random := rapid.SampledFrom([]float64{0, 0.2, 0.9}).Draw(r, "coin"), m.random
	m.random = func(n uint64) uint64 {
		if n == 1<<20 {
			return uint64(coin * (1 << 20))
		}
		return random(n)
	}
	return coin
}

// run returns how many places in progress are left over.
func (w *walk) run(r *rapid.T) (left int64) {
	for w.step(r) {
	}
	for _, a := range w.attempts {
		finish(a, Outcome(rapid.IntRange(0, int(outcomeCount)-1).Draw(r, "outcome")))
	}
	for _, c := range w.route.model.candidates {
		if l := c.lane; l != nil {
			left += l.pending.Load() + l.account.pending.Load() - w.sick.accounts[l.account].filled
		}
	}
	return left
}

func (w *walk) step(r *rapid.T) bool {
	m, n := w.route.model, len(w.attempts)
	lowest := w.wanted(onTime)
	when, budget := onTime, m.thrift.budget.tenths.Load()
	if n == 0 && lowest == nobody() {
		when = early
	}
	resort := w.wanted(early)
	announced := w.route.Available()
	a, err := onward(w.route)
	if n == 0 && (announced == nil) != (err == nil) {
		r.Fatalf("Available = %v, and then Next = %v", announced, err)
	}
	var unavailable *UnavailableError
	switch {
	case n == m.MaxAttempts, n > 0 && lowest == nobody():
		if !errors.Is(err, ErrExhausted) {
			r.Fatalf("Next = %v after %d attempts, want it exhausted", err, n)
		}
		return false
	case n > 0 && budget < budgetRetry:
		if !errors.Is(err, ErrRetryBudget) {
			r.Fatalf("Next = %v with %d tenths of a retry left", err, budget)
		}
		return false
	case when == early && resort == nobody():
		if !errors.As(err, &unavailable) || unavailable.RetryAfter < soonest {
			r.Fatalf("Next = %v, want it unavailable", err)
		}
		return false
	case err != nil:
		r.Fatalf("Next = %v, want a candidate of rank %+v or %+v", err, lowest, resort)
	case !w.untried[a.Candidate] || !w.sick.admits(a.Candidate, w.route.kind, when):
		r.Fatalf("Next chose %s, which cannot be asked", label(a.Candidate))
	case when == onTime && w.rankOf(a.Candidate) != lowest:
		r.Fatalf("Next chose %s of rank %+v, want one of rank %+v", label(a.Candidate), w.rankOf(a.Candidate), lowest)
	case n > 0 && m.thrift.budget.tenths.Load() != budget-budgetRetry:
		r.Fatalf("an attempt more takes %d tenths of a retry", budget-m.thrift.budget.tenths.Load())
	}
	w.untried[a.Candidate], w.asked[a.Provider] = false, true
	w.sick.take(a.Candidate, w.route.kind)
	w.attempts = append(w.attempts, a)
	return true
}

// rank is how early a candidate's turn comes: the lowest is chosen. Nobody has none.
type rank struct{ part, tier, asked, settled int }

func nobody() rank { return rank{part: math.MaxInt} }

func (k rank) compare(other rank) int {
	return cmp.Or(cmp.Compare(k.part, other.part), cmp.Compare(k.tier, other.tier), cmp.Compare(k.asked, other.asked), cmp.Compare(k.settled, other.settled))
}

// rankOf says when its turn comes: those that are passed by come after all others, and
// of them, who waits for probes; else the tier counts, then whether the provider was
// asked before, and then who waits for probes comes first.
func (w *walk) rankOf(c *Candidate) rank {
	m := w.route.model
	k := rank{tier: c.Tier, settled: 1}
	switch {
	case m.MaxAttempts > 1 && w.sick.awaitsProbes(c, w.route.kind):
		k.settled = 0
		if len(w.attempts) > 0 {
			k.part = 2
		}
	case w.sick.share(c, w.route.kind) <= w.coin:
		k.part = 1
	}
	if w.asked[c.Provider] {
		k.asked = 1
	}
	return k
}

// wanted is the rank that the next candidate must have.
func (w *walk) wanted(when admission) rank {
	lowest, lowestFresh := nobody(), nobody()
	for c, untried := range w.untried {
		if !untried || !w.sick.admits(c, w.route.kind, when) {
			continue
		}
		k := w.rankOf(c)
		if k.compare(lowest) < 0 {
			lowest = k
		}
		if k.asked == 0 && k.compare(lowestFresh) < 0 {
			lowestFresh = k
		}
	}
	if n := len(w.attempts); n > 0 && n == w.route.model.MaxAttempts-1 && lowestFresh != nobody() {
		return lowestFresh
	}
	return lowest
}

// TestManyCredentials has one provider refuse every attempt with each of its
// keys: however many they are, the last attempt goes to the other provider.
func TestManyCredentials(t *testing.T) {
	for _, keys := range []string{"k1", "k1, k2", "k1, k2, k3", "k1, k2, k3, k4"} {
		m := model(t, build(t, fmt.Sprintf(`
providers:
  many: {contract: openai, endpoints: [{url: 'https://many/v1', api_keys: [%s]}]}
  other: {contract: openai, endpoints: [{url: 'https://other/v1', api_keys: [k]}]}
models: {m: {targets: [{provider: many}, {provider: other, tier: 2}]}}`, keys)))
		route, err := m.Route(&Needs{}, RouteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for {
			a, err := onward(&route)
			if err != nil {
				t.Fatalf("keys %s: %v before the other provider was asked", keys, err)
			}
			finish(a, OutcomeCredentialRefused)
			if a.Provider.Name == "other" {
				break
			}
		}
	}
}

// TestAvailable asks before anything is spent what Next would say.
func TestAvailable(t *testing.T) {
	m := model(t, build(t, `
providers: {off: {contract: openai, endpoints: [{url: 'https://off/v1', api_keys: ['']}]}, on: {contract: evolink, endpoints: [{url: 'https://on/v1', api_keys: [k]}]}}
models: {m: {targets: [{provider: off}, {provider: on}]}}`))
	f := func(n Needs, available bool) {
		t.Helper()
		route, err := m.Route(&n, RouteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var unavailable *UnavailableError
		if err := route.Available(); (err == nil) != available || err != nil && !errors.As(err, &unavailable) {
			t.Errorf("got %v, want available: %t", err, available)
		}
	}
	f(Needs{}, true)
	f(Needs{Params: Params(ParamSeed)}, false) // only the one that is off could serve it
}

// someConfig is a model over providers, endpoints, keys, weights and tiers of any kind.
func someConfig(r *rapid.T) string {
	text := "providers:\n"
	contract := rapid.SampledFrom([]string{"starmagic", "theturbo", "evolink", "openai"})
	for _, name := range []string{"a", "b", "c"} {
		text += fmt.Sprintf("  %s:\n    contract: %s\n    endpoints:\n", name, contract.Draw(r, "contract"))
		for e := range rapid.IntRange(1, 3).Draw(r, "endpoints") {
			keys := rapid.SampledFrom([]string{"", "''", "k1", "k1, k2", "'', k1, k2"}).Draw(r, "keys")
			text += fmt.Sprintf("      - {url: 'https://%s%d/v1', api_keys: [%s], weight: %d, max_concurrent: %d}\n",
				name, e, keys, rapid.IntRange(0, 5).Draw(r, "weight"), rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(r, "max_concurrent"))
		}
	}
	policy := rapid.SampledFrom([]string{"p2c", "weighted", "least_pending"}).Draw(r, "policy")
	text += fmt.Sprintf("models:\n  m:\n    policy: %s\n    max_attempts: %d\n    targets:\n", policy, rapid.SampledFrom([]int{0, 1, 2, 2, 3, 3, 10}).Draw(r, "max_attempts"))
	for i := range rapid.IntRange(1, 6).Draw(r, "targets") {
		text += fmt.Sprintf("      - {provider: %s, model: m%d, weight: %d, tier: %d}\n",
			rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "provider"), i,
			rapid.IntRange(0, 1000).Draw(r, "weight"), rapid.IntRange(0, 3).Draw(r, "tier"))
	}
	return text
}

// someNeeds is a request of any kind.
func someNeeds(r *rapid.T) Needs {
	var n Needs
	for range rapid.IntRange(0, 3).Draw(r, "params") {
		n.Params = n.Params.With(Param(rapid.IntRange(0, int(paramCount)-1).Draw(r, "param")))
	}
	n.Stops = rapid.IntRange(0, 6).Draw(r, "stops")
	n.Media = MediaSet(rapid.IntRange(0, 31).Draw(r, "media forms"))
	n.MediaTypes = rapid.SliceOfN(rapid.SampledFrom([]string{"image/png", "audio/wav", "image/gif"}), 0, 2).Draw(r, "media")
	n.Roles = RoleSet(rapid.IntRange(0, 127).Draw(r, "roles"))
	return n
}
