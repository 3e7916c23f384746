package upstream

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestShares takes 4,000 first choices in turn and compares them with the shares
// that the configuration promises, in percent.
func TestShares(t *testing.T) {
	f := func(name, text string, open []int, want map[string]float64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			m := model(t, seeded(t, text))
			for _, i := range open {
				trip(t, m.candidates[i])
			}
			const n = 4000
			got := make(map[string]float64)
			for range n {
				a := must(t, m)
				got[label(a.Candidate)] += 100.0 / n
				finish(a, OutcomeClientGone)
			}
			near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 0.1 })
			if diff := cmp.Diff(want, got, near); diff != "" {
				t.Error(diff)
			}
		})
	}
	providers := fmt.Sprintf("providers: {a: {%s}, b: {%s}, off: {%s}}\n", oneKey, oneKey, keyless)
	f("the only one", providers+"models: {m: {policy: weighted, targets: [{provider: a}]}}", nil, map[string]float64{
		"a/m https://h/v1 key #1": 100,
	})
	f("without weights", providers+"models: {m: {policy: weighted, targets: [{provider: a}, {provider: b}]}}", nil, map[string]float64{
		"a/m https://h/v1 key #1": 50,
		"b/m https://h/v1 key #1": 50,
	})
	f("3 to 1", providers+"models: {m: {policy: weighted, targets: [{provider: a, weight: 3}, {provider: b}]}}", nil, map[string]float64{
		"a/m https://h/v1 key #1": 75,
		"b/m https://h/v1 key #1": 25,
	})
	three := providers + "models: {m: {policy: weighted, targets: [{provider: a, model: x, weight: 5}, {provider: a, model: y, weight: 3}, {provider: b, model: z, weight: 1}]}}"
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
	f("one that is off", providers+"models: {m: {policy: weighted, targets: [{provider: off, weight: 100}, {provider: b}]}}", nil, map[string]float64{
		"b/m https://h/v1 key #1": 100,
	})
	f("another tier, whatever its weight", providers+"models: {m: {policy: weighted, targets: [{provider: b, tier: 2, weight: 100}, {provider: a}]}}", nil, map[string]float64{
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
models: {m: {policy: weighted, targets: [{provider: a}, {provider: b}]}}`
	f("a target's weight is shared by its endpoints and keys", pools, nil, map[string]float64{
		"a/m https://one/v1 key #1": 50 * 3. / 4 / 2,
		"a/m https://one/v1 key #2": 50 * 3. / 4 / 2,
		"a/m https://two/v1 key #1": 50 * 1. / 4,
		"b/m https://b/v1 key #2":   50,
	})
}

func TestEndpoints(t *testing.T) {
	in(t, "as operators see them", func(t *testing.T) {
		table := seeded(t, goodConfig)
		m, _ := table.Model("gemini-2.0-flash")
		trip(t, m.candidates[0])
		time.Sleep(time.Second)
		probeIn := standing(m.candidates[0]).ProbeIn
		want := []EndpointState{
			{Provider: "evolink", URL: "https://api.evolink.ai/v1", Credential: "none", Model: "gemini-3-pro-preview", State: StateOff, Why: "none of its api_keys is set"},
			{Provider: "starmagic", URL: "https://api.starmagic.ai/v1", Credential: "#1", Model: "gemini-2.5-flash-lite", State: StateReady},
			{Provider: "theturbo", URL: "https://gateway.theturbo.ai/v1", Credential: "#1", Model: "gemini-2.0-flash", State: StateOpen, Why: "keeps failing", ProbeIn: probeIn},
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
	if _, err := NewTable(parse(t, goodConfig), TableOptions{Log: log}); err != nil {
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
	monitor := NewMonitor(log, nil)
	table, err := NewTable(parse(t, `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [`+secret+`]}]}}
models: {m: {targets: [{provider: p}]}}`), TableOptions{Log: log, Monitor: monitor})
	if err != nil {
		t.Fatal(err)
	}
	m := model(t, table)
	a := must(t, m)
	log.Info("all", "attempt", a, "candidate", a.Candidate, "endpoint", a.Endpoint, "state", table.Endpoints())
	for range 5 {
		finish(must(t, m), OutcomeServerError)
	}
	monitor.Close()
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
