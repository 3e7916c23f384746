package upstream

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestChoice holds for every table, every state of its breakers and every
// request: who is chosen is able, untried, on, let through, and of the lowest
// tier that has such a one; and somebody is chosen as long as there is one.
func TestChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The wrapping hides the real deadline, which means nothing to the bubble's clock.
		rapid.Check(struct{ testing.TB }{t}, func(r *rapid.T) {
			m := model(t, seeded(t, someConfig(r)))
			ready := someStates(r, m)
			n := someNeeds(r)
			eligible := make(map[*Candidate]bool)
			var ables int
			for _, c := range m.candidates {
				if _, lacks := c.Provider.Contract.Lacks(&n); !lacks {
					ables++
					eligible[c] = !c.Endpoint.Off() && ready[c]
				}
			}
			for i, c := range m.candidates {
				if got := m.ready(1<<i) != 0; got != ready[c] {
					r.Fatalf("the breaker of %s is ready: %t", label(c), got)
				}
			}
			route, err := m.Route(&n)
			var unsupported *UnsupportedError
			if errors.As(err, &unsupported) != (ables == 0) {
				r.Fatalf("Route = %v with %d able candidates", err, ables)
			}
			if err != nil {
				return
			}
			walk(r, &route, eligible)
		})
	})
}

// walk takes a route to its end. eligible is who may be chosen.
func walk(r *rapid.T, route *Route, eligible map[*Candidate]bool) {
	asked := make(map[*Provider]bool)
	for attempts := 0; ; attempts++ {
		lowest, fresh := wanted(eligible, asked, attempts == route.model.MaxAttempts-1)
		a, err := route.Next()
		var unavailable *UnavailableError
		switch {
		case attempts == route.model.MaxAttempts, attempts > 0 && lowest == math.MaxInt:
			if !errors.Is(err, ErrExhausted) {
				r.Fatalf("Next = %v after %d attempts, want it exhausted", err, attempts)
			}
			return
		case lowest == math.MaxInt:
			if !errors.As(err, &unavailable) || unavailable.RetryAfter < time.Second {
				r.Fatalf("Next = %v, want it unavailable", err)
			}
			return
		case err != nil:
			r.Fatalf("Next = %v, want a candidate of tier %d", err, lowest)
		case !eligible[a.Candidate] || a.Tier != lowest || fresh && asked[a.Provider]:
			r.Fatalf("Next chose %s of tier %d, want an eligible one of tier %d, of a provider not asked yet: %t", label(a.Candidate), a.Tier, lowest, fresh)
		}
		eligible[a.Candidate] = false // tried
		asked[a.Provider] = true
		a.Report(Report{Outcome: Outcome(rapid.IntRange(0, int(outcomeCount)-1).Draw(r, "outcome"))})
	}
}

// wanted is the tier that the next candidate must have, and whether it must be
// of a provider that was not asked yet.
func wanted(eligible map[*Candidate]bool, asked map[*Provider]bool, last bool) (lowest int, fresh bool) {
	lowest, lowestFresh := math.MaxInt, math.MaxInt
	for c, ok := range eligible {
		if ok {
			lowest = min(lowest, c.Tier)
		}
		if ok && !asked[c.Provider] {
			lowestFresh = min(lowestFresh, c.Tier)
		}
	}
	if last && lowestFresh != math.MaxInt {
		return lowestFresh, true
	}
	return lowest, lowest == lowestFresh && lowest != math.MaxInt
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
		for range 100 {
			route, err := m.Route(&Needs{})
			if err != nil {
				t.Fatal(err)
			}
			for {
				a, err := route.Next()
				if err != nil {
					t.Fatalf("keys %s: %v before the other provider was asked", keys, err)
				}
				if a.Provider.Name == "other" {
					a.Report(Report{Outcome: OutcomeOK})
					break
				}
				a.Report(Report{Outcome: OutcomeCredentialRefused})
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
		route, err := m.Route(&n)
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
			text += fmt.Sprintf("      - {url: 'https://%s%d/v1', api_keys: [%s], weight: %d}\n", name, e, keys, rapid.IntRange(0, 5).Draw(r, "weight"))
		}
	}
	text += fmt.Sprintf("models:\n  m:\n    max_attempts: %d\n    targets:\n", rapid.IntRange(0, 10).Draw(r, "max_attempts"))
	for i := range rapid.IntRange(1, 6).Draw(r, "targets") {
		text += fmt.Sprintf("      - {provider: %s, model: m%d, weight: %d, tier: %d}\n",
			rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "provider"), i,
			rapid.IntRange(0, 1000).Draw(r, "weight"), rapid.IntRange(0, 3).Draw(r, "tier"))
	}
	return text
}

// someStates brings the breakers into states of any kind, and returns which let
// an attempt through.
func someStates(r *rapid.T, m *Model) map[*Candidate]bool {
	ready := make(map[*Candidate]bool)
	state := rapid.SampledFrom([]string{"closed", "open", "probe due", "probes left", "probes out"})
	states := make(map[*Candidate]string)
	for _, c := range m.candidates {
		states[c] = state.Draw(r, "state")
		if states[c] != "closed" && states[c] != "open" {
			trip(r, c)
		}
	}
	time.Sleep(14 * time.Second)
	for _, c := range m.candidates {
		probes := 0
		switch states[c] {
		case "open":
			trip(r, c)
		case "probes left":
			probes = rapid.IntRange(1, breakerProbes-1).Draw(r, "probes")
		case "probes out":
			probes = breakerProbes
		}
		for range probes {
			if !c.breaker.admit(new(permit)) {
				r.Fatalf("a half-open breaker admits less than %d probes", breakerProbes)
			}
		}
		ready[c] = states[c] != "open" && states[c] != "probes out"
	}
	return ready
}

// someNeeds is a request of any kind.
func someNeeds(r *rapid.T) Needs {
	var n Needs
	for range rapid.IntRange(0, 3).Draw(r, "params") {
		n.Params = n.Params.With(Param(rapid.IntRange(0, int(paramCount)-1).Draw(r, "param")))
	}
	n.Stops = rapid.IntRange(0, 6).Draw(r, "stops")
	n.HTTPMedia = rapid.Bool().Draw(r, "http")
	n.MediaTypes = rapid.SliceOfN(rapid.SampledFrom([]string{"image/png", "audio/wav", "image/gif"}), 0, 2).Draw(r, "media")
	n.Roles = RoleSet(rapid.IntRange(0, 127).Draw(r, "roles"))
	return n
}

// TestRouteAllocations holds what a choice costs: the attempt, and the closure
// by which gobreaker remembers it.
func TestRouteAllocations(t *testing.T) {
	table := build(t, goodConfig)
	m, _ := table.Model("gemini-flash")
	n := Needs{Params: Params(ParamTemperature, ParamMaxTokens), MediaTypes: []string{"image/png"}, Roles: Roles(RoleUser)}
	got := testing.AllocsPerRun(1000, func() {
		route, err := m.Route(&n)
		if err != nil {
			t.Fatal(err)
		}
		a, err := route.Next()
		if err != nil {
			t.Fatal(err)
		}
		a.Report(Report{Outcome: OutcomeOK})
	})
	if got > 2 {
		t.Errorf("a choice costs %v allocations, want 2", got)
	}
}
