package upstream

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// seeded builds the table of a piece of config.yaml with a random source that
// is the same in every run.
func seeded(t *testing.T, text string) *Table {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	return newTable(parse(t, text), slog.New(slog.DiscardHandler), random.Uint64N)
}

// trip opens a candidate's breaker.
func trip(t interface{ Fatal(args ...any) }, c *Candidate) {
	for range breakerStreak {
		var p permit
		if !c.breaker.admit(&p) {
			t.Fatal("the breaker is open already")
		}
		p.report(OutcomeServerError)
	}
}

// label tells candidates apart in expectations.
func label(c *Candidate) string {
	return c.Provider.Name + "/" + c.Model + " " + c.Endpoint.String()
}

const (
	keyless = "contract: openai, endpoints: [{url: 'https://h/v1', api_keys: ['', '']}]"
	oneKey  = "contract: openai, endpoints: [{url: 'https://h/v1', api_keys: [k]}]"
)

// TestShares takes 20,000 first choices and compares them with the shares that
// the configuration promises, in percent. 1.5 is over four standard deviations.
func TestShares(t *testing.T) {
	f := func(name, text string, open []int, want map[string]float64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			m := model(t, seeded(t, text))
			for _, i := range open {
				trip(t, m.candidates[i])
			}
			const n = 20_000
			got := make(map[string]float64)
			for range n {
				a := must(t, m)
				got[label(a.Candidate)] += 100.0 / n
				a.Report(OutcomeClientGone)
			}
			near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1.5 })
			if diff := cmp.Diff(want, got, near); diff != "" {
				t.Error(diff)
			}
		})
	}
	providers := fmt.Sprintf("providers: {a: {%s}, b: {%s}, off: {%s}}\n", oneKey, oneKey, keyless)
	f("the only one", providers+"models: {m: {targets: [{provider: a}]}}", nil, map[string]float64{
		"a/m https://h/v1 key #1": 100,
	})
	f("without weights", providers+"models: {m: {targets: [{provider: a}, {provider: b}]}}", nil, map[string]float64{
		"a/m https://h/v1 key #1": 50,
		"b/m https://h/v1 key #1": 50,
	})
	f("3 to 1", providers+"models: {m: {targets: [{provider: a, weight: 3}, {provider: b}]}}", nil, map[string]float64{
		"a/m https://h/v1 key #1": 75,
		"b/m https://h/v1 key #1": 25,
	})
	three := providers + "models: {m: {targets: [{provider: a, model: x, weight: 5}, {provider: a, model: y, weight: 3}, {provider: b, model: z, weight: 1}]}}"
	f("three, the first of them open", three, []int{0}, map[string]float64{
		"a/y https://h/v1 key #1": 75,
		"b/z https://h/v1 key #1": 25,
	})
	f("three, the middle one open", three, []int{1}, map[string]float64{
		"a/x https://h/v1 key #1": 100 * 5. / 6,
		"b/z https://h/v1 key #1": 100 * 1. / 6,
	})
	f("three, the last one open", three, []int{2}, map[string]float64{
		"a/x https://h/v1 key #1": 100 * 5. / 8,
		"a/y https://h/v1 key #1": 100 * 3. / 8,
	})
	f("one that is off", providers+"models: {m: {targets: [{provider: off, weight: 100}, {provider: b}]}}", nil, map[string]float64{
		"b/m https://h/v1 key #1": 100,
	})
	f("another tier, whatever its weight", providers+"models: {m: {targets: [{provider: b, tier: 2, weight: 100}, {provider: a}]}}", nil, map[string]float64{
		"a/m https://h/v1 key #1": 100,
	})

	const pools = `
providers:
  a:
    contract: openai
    endpoints:
      - {url: 'https://one/v1', api_keys: [k1, k2], weight: 3}
      - {url: 'https://two/v1', api_keys: [k3, '']}
      - {url: 'https://off/v1', api_keys: [''], weight: 50}
  b:
    contract: openai
    endpoints: [{url: 'https://b/v1', api_keys: ['', k4]}]
models: {m: {targets: [{provider: a}, {provider: b}]}}`
	f("a target's weight is shared by its endpoints and keys", pools, nil, map[string]float64{
		"a/m https://one/v1 key #1": 50 * 3. / 4 / 2,
		"a/m https://one/v1 key #2": 50 * 3. / 4 / 2,
		"a/m https://two/v1 key #1": 50 * 1. / 4,
		"b/m https://b/v1 key #2":   50,
	})
}

// TestOrder walks routes whose attempts all fail, and lists who was asked.
func TestOrder(t *testing.T) {
	f := func(name, models string, n Needs, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			m := model(t, seeded(t, fmt.Sprintf(`providers: {a: {%s}, b: {%s}, off: {%s},
  turbo: {contract: theturbo, endpoints: [{url: 'https://t/v1', api_keys: [k]}]}}
models: {m: %s}`, oneKey, oneKey, keyless, models)))
			route, err := m.Route(&n)
			var got []string
			for err == nil {
				var a *Attempt
				if a, err = route.Next(); err == nil {
					got = append(got, a.Provider.Name+"/"+a.Model)
					a.Report(OutcomeThrottled)
				}
			}
			if diff := cmp.Diff(want, append(got, err.Error())); diff != "" {
				t.Error(diff)
			}
			if len(got) == 0 {
				return
			}
			if _, again := route.Next(); !errors.Is(again, ErrExhausted) {
				t.Errorf("an exhausted route goes on: %v", again)
			}
		})
	}
	const (
		exhausted   = "upstream: no candidate is left to try"
		unavailable = "upstream: no candidate of this model can be tried, retry after 1m0s"
	)
	f("by tier", `{targets: [{provider: a, tier: 3}, {provider: b, tier: 1}, {provider: turbo, tier: 2}]}`, Needs{},
		"b/m", "turbo/m", "a/m", exhausted)
	f("three at most", `{targets: [{provider: a}, {provider: a, model: x, tier: 2}, {provider: a, model: y, tier: 3}, {provider: a, model: z, tier: 4}]}`, Needs{},
		"a/m", "a/x", "a/y", exhausted)
	f("as many as configured", `{max_attempts: 1, targets: [{provider: a}, {provider: b, tier: 2}]}`, Needs{},
		"a/m", exhausted)
	f("not the ones that are off", `{targets: [{provider: off}, {provider: b, tier: 2}]}`, Needs{},
		"b/m", exhausted)
	f("nobody when all are off", `{targets: [{provider: off}]}`, Needs{},
		unavailable)
	f("not the ones that lack something", `{targets: [{provider: turbo}, {provider: b, tier: 2}]}`, Needs{Params: Params(ParamSeed)},
		"b/m", exhausted)
	f("nobody when the able ones are off", `{targets: [{provider: turbo}, {provider: off}]}`, Needs{Params: Params(ParamSeed)},
		unavailable)
	f("nobody when all lack something", `{targets: [{provider: turbo}]}`, Needs{Params: Params(ParamTools, ParamSeed)},
		`upstream: no provider of this model takes "seed"`)
}

// TestUnsupported names the field in the way of a request.
func TestUnsupported(t *testing.T) {
	f := func(targets string, n Needs, want string) {
		t.Helper()
		m := model(t, build(t, `
providers:
  starmagic: {contract: starmagic, endpoints: [{url: "https://s/v1", api_keys: [k]}]}
  theturbo: {contract: theturbo, endpoints: [{url: "https://t/v1", api_keys: [k]}]}
  evolink: {contract: evolink, endpoints: [{url: "https://e/v1", api_keys: [k]}]}
models: {m: {targets: [`+targets+`]}}`))
		_, err := m.Route(&n)
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Param != want {
			t.Errorf("Route(%+v) over %s = %v, want %q", n, targets, err, want)
		}
	}
	f("{provider: evolink}", Needs{Params: Params(ParamN, ParamTools)}, "n")
	f("{provider: theturbo}, {provider: evolink}", Needs{Params: Params(ParamN, ParamSeed)}, "seed")
	f("{provider: evolink}, {provider: theturbo}", Needs{Params: Params(ParamTopK, ParamN)}, "n")
	f("{provider: theturbo}, {provider: evolink, tier: 2}", Needs{HTTPMedia: true, Params: Params(ParamN)}, "messages")
	f("{provider: theturbo}", Needs{Params: Params(ParamStop), Stops: 5}, "stop")
	f("{provider: starmagic}, {provider: theturbo}", Needs{MediaTypes: []string{"application/pdf"}}, "messages")
}

func TestRouteGoesAroundOpenBreakers(t *testing.T) {
	in(t, "to the other tier and back", func(t *testing.T) {
		m := model(t, seeded(t, fmt.Sprintf("providers: {a: {%s}, b: {%s}}\nmodels: {m: {targets: [{provider: a}, {provider: b, tier: 2}]}}", oneKey, oneKey)))
		trip(t, m.candidates[0])
		for range 100 {
			if a := must(t, m); a.Provider.Name != "b" {
				t.Fatalf("%s is asked while its breaker is open", a.Provider.Name)
			} else {
				a.Report(OutcomeOK)
			}
		}
		time.Sleep(14 * time.Second)
		if a := must(t, m); a.Provider.Name != "a" {
			t.Errorf("%s is asked while the first tier may be probed", a.Provider.Name)
		}
	})
	in(t, "and says when the soonest may be asked", func(t *testing.T) {
		m := model(t, seeded(t, fmt.Sprintf("providers: {a: {%s}, b: {%s}}\nmodels: {m: {targets: [{provider: a}, {provider: b}]}}", oneKey, oneKey)))
		trip(t, m.candidates[0])
		first := m.candidates[0].breaker.probeIn()
		time.Sleep(5 * time.Second)
		trip(t, m.candidates[1])
		if got, want := refused(t, m), min(first-5*time.Second, m.candidates[1].breaker.probeIn()); got != want {
			t.Errorf("it asks to retry after %s, want %s", got, want)
		}
	})
	in(t, "with the error of the last attempt when there was one", func(t *testing.T) {
		m := model(t, seeded(t, fmt.Sprintf("providers: {a: {%s}, b: {%s}}\nmodels: {m: {targets: [{provider: a}, {provider: b, tier: 2}]}}", oneKey, oneKey)))
		trip(t, m.candidates[1])
		route, _ := m.Route(&Needs{})
		a, err := route.Next()
		if err != nil {
			t.Fatal(err)
		}
		a.Report(OutcomeServerError)
		if _, err := route.Next(); !errors.Is(err, ErrExhausted) {
			t.Errorf("Next = %v, want it exhausted", err)
		}
	})
}

func TestEndpoints(t *testing.T) {
	in(t, "as operators see them", func(t *testing.T) {
		table := seeded(t, goodConfig)
		m, _ := table.Model("gemini-2.0-flash")
		trip(t, m.candidates[0])
		time.Sleep(time.Second)
		probeIn := m.candidates[0].breaker.probeIn()
		want := []EndpointState{
			{Provider: "evolink", URL: "https://api.evolink.ai/v1", Credential: "none", Model: "gemini-3-pro-preview", State: StateOff},
			{Provider: "starmagic", URL: "https://api.starmagic.ai/v1", Credential: "#1", Model: "gemini-2.5-flash-lite", State: StateReady},
			{Provider: "theturbo", URL: "https://gateway.theturbo.ai/v1", Credential: "#1", Model: "gemini-2.0-flash", State: StateOpen, ProbeIn: probeIn},
		}
		if diff := cmp.Diff(want, table.Endpoints()); diff != "" {
			t.Error(diff)
		}
		if probeIn < 6*time.Second || probeIn > 12*time.Second {
			t.Errorf("a second after it opened, the probe is due in %s", probeIn)
		}
		if got := table.Names(); !cmp.Equal(got, []string{"gemini-2.0-flash", "gemini-flash"}) {
			t.Errorf("Names() = %v", got)
		}
		if _, ok := table.Model("gemini"); ok {
			t.Error("there is a model that nobody configured")
		}
	})
}

func TestOffIsLoggedOnce(t *testing.T) {
	log, lines := newLog()
	if _, err := NewTable(parse(t, goodConfig), log); err != nil {
		t.Fatal(err)
	}
	want := []string{`level=WARN msg="endpoint is off: none of its api_keys is set" provider=evolink upstream=https://api.evolink.ai/v1`}
	if diff := cmp.Diff(want, lines.lines()); diff != "" {
		t.Error(diff)
	}
}

// TestNoSecretIsShown prints everything that a caller may print.
func TestNoSecretIsShown(t *testing.T) {
	const secret = "sk-canary-0123456789-tail"
	log, lines := newLog()
	table, err := NewTable(parse(t, `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [`+secret+`]}]}}
models: {m: {targets: [{provider: p}]}}`), log)
	if err != nil {
		t.Fatal(err)
	}
	m := model(t, table)
	a := must(t, m)
	log.Info("all", "attempt", a, "candidate", a.Candidate, "endpoint", a.Endpoint, "state", table.Endpoints())
	for range 5 {
		must(t, m).Report(OutcomeServerError)
	}
	shown := strings.Join(lines.lines(), "\n")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{table, *table, m, *m, a, a.Candidate, *a.Candidate, a.Endpoint, *a.Endpoint, a.Provider, table.Endpoints()} {
			shown += fmt.Sprintf(verb+"\n", value)
		}
	}
	for _, canary := range []string{secret, "Bearer", "canary", fmt.Sprintf("%x", secret)} {
		if i := strings.Index(shown, canary); i >= 0 {
			t.Errorf("%q is shown: ...%s...", canary, shown[max(0, i-80):min(len(shown), i+80)])
		}
	}
	if got := a.Endpoint.Credential; got != "#1 ...tail" {
		t.Errorf("the credential is shown as %q", got)
	}
}

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
	for attempts := 0; ; attempts++ {
		lowest := math.MaxInt
		for c, ok := range eligible {
			if ok {
				lowest = min(lowest, c.Tier)
			}
		}
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
		case !eligible[a.Candidate] || a.Tier != lowest:
			r.Fatalf("Next chose %s of tier %d, want an eligible one of tier %d", label(a.Candidate), a.Tier, lowest)
		}
		eligible[a.Candidate] = false // tried
		a.Report(Outcome(rapid.IntRange(0, int(outcomeCount)-1).Draw(r, "outcome")))
	}
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
		a.Report(OutcomeOK)
	})
	if got > 2 {
		t.Errorf("a choice costs %v allocations, want 2", got)
	}
}
