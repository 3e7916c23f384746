package upstream

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	keyless = "contract: openai, endpoints: [{url: 'https://h/v1', api_keys: ['', '']}]"
	oneKey  = "contract: openai, endpoints: [{url: 'https://h/v1', api_keys: [k]}]"
)

// TestOrder walks routes whose attempts all fail, and lists who was asked.
func TestOrder(t *testing.T) {
	f := func(name, models string, n Needs, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			m := model(t, seeded(t, fmt.Sprintf(`providers: {a: {%s}, b: {%s}, off: {%s},
  turbo: {contract: theturbo, endpoints: [{url: 'https://t/v1', api_keys: [k]}]}}
models: {m: %s}`, oneKey, oneKey, keyless, models)))
			route, err := m.Route(&n, RouteOptions{})
			var got []string
			for err == nil {
				var a *Attempt
				if a, err = onward(&route); err == nil {
					got = append(got, a.Provider.Name+"/"+a.Model)
					finish(a, OutcomeThrottled)
				}
			}
			if diff := cmp.Diff(want, append(got, err.Error())); diff != "" {
				t.Error(diff)
			}
			if len(got) == 0 {
				return
			}
			if _, again := onward(&route); !errors.Is(again, ErrExhausted) {
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
		_, err := m.Route(&n, RouteOptions{})
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Param != want {
			t.Errorf("Route(%+v) over %s = %v, want %q", n, targets, err, want)
		}
	}
	f("{provider: evolink}", needing(ParamN, ParamTools), "n")
	f("{provider: theturbo}, {provider: evolink}", needing(ParamN, ParamSeed), "seed")
	f("{provider: evolink}, {provider: theturbo}", needing(ParamTopK, ParamN), "n")
	f("{provider: theturbo}, {provider: evolink, tier: 2}", Needs{Media: MediaHTTP, Params: Params(ParamN), Numbers: ones()}, "messages")
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
				finish(a, OutcomeOK)
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
		time.Sleep(5 * time.Second)
		trip(t, m.candidates[1])
		if got, want := refused(t, m), m.candidates[0].lane.breaker.wait(m.clock.now(), early); got != want {
			t.Errorf("it asks to retry after %s, want %s", got, want)
		}
	})
	in(t, "also when another request takes the last probe", func(t *testing.T) {
		m := model(t, seeded(t, fmt.Sprintf("providers: {a: {%s}, b: {%s}}\nmodels: {m: {targets: [{provider: a}, {provider: b}]}}", oneKey, oneKey)))
		trip(t, m.candidates[0])
		time.Sleep(14 * time.Second)
		m.policy = thief{}
		if a := must(t, m); a.Provider.Name != "b" {
			t.Errorf("%s is asked, whose probes are all out", a.Provider.Name)
		}
	})
	in(t, "with the error of the last attempt when there was one", func(t *testing.T) {
		m := model(t, seeded(t, fmt.Sprintf("providers: {a: {%s}, b: {%s}}\nmodels: {m: {targets: [{provider: a}, {provider: b, tier: 2}]}}", oneKey, oneKey)))
		trip(t, m.candidates[1])
		route, _ := m.Route(&Needs{}, RouteOptions{})
		a, err := onward(&route)
		if err != nil {
			t.Fatal(err)
		}
		finish(a, OutcomeServerError)
		if _, err := onward(&route); !errors.Is(err, ErrExhausted) {
			t.Errorf("Next = %v, want it exhausted", err)
		}
	})
}

// thief is a policy that takes every probe of its choice: another request may, between
// the look at the breakers and the asking.
type thief struct{ p2c }

func (thief) pick(p pool) int {
	c := p.model.candidates[p.set.first()]
	for range breakerProbes {
		c.lane.breaker.admit(new(permit), p.now, onTime)
	}
	return p.set.first()
}
