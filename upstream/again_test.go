package upstream

import (
	"errors"
	"testing"
	"time"
)

// TestAskedAgain has one candidate only, to which there was no connection.
func TestAskedAgain(t *testing.T) {
	const off = `off: {contract: openai, endpoints: [{url: "https://off/v1", api_keys: [""]}]}`
	f := func(name, targets string, o Outcome, wantAgain bool) {
		t.Helper()
		in(t, name+", "+o.String(), func(t *testing.T) {
			m := model(t, seeded(t, `providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k]}]}, `+off+`}
models: {m: {targets: [`+targets+`]}}`))
			route, _ := m.Route(&Needs{}, RouteOptions{})
			a, err := onward(&route)
			if err != nil || a.Pause != 0 {
				t.Fatalf("Next = %v, %v; want an attempt without a pause", a, err)
			}
			finish(a, o)
			b, err := onward(&route)
			if again := err == nil && b.Pause > 0 && b.Candidate == a.Candidate; again != wantAgain || !again && !errors.Is(err, ErrExhausted) {
				t.Errorf("the second attempt is %v, %v; again: %t, want %t", b, err, again, wantAgain)
			}
		})
	}
	for o := range outcomeCount {
		f("one", "{provider: p}", o, o == OutcomeUnreachable)
	}
	f("one that is off beside it", "{provider: p}, {provider: off}", OutcomeUnreachable, true)
	in(t, "never where there are two", func(t *testing.T) {
		m := several(t, 2, "")
		route, _ := m.Route(&Needs{}, RouteOptions{})
		for _, want := range []error{nil, nil, ErrExhausted} {
			a, err := onward(&route)
			if !errors.Is(err, want) {
				t.Fatalf("Next = %v, want %v", err, want)
			}
			if err == nil && a.Pause != 0 {
				t.Errorf("a pause of %s before another candidate", a.Pause)
			}
			if err == nil {
				finish(a, OutcomeUnreachable)
			}
		}
	})
	in(t, "after a pause that doubles, as often as one request may", func(t *testing.T) {
		m := several(t, 1, "max_attempts: 10,")
		most := uint64(0)
		m.random = func(n uint64) uint64 { most = n; return n - 1 }
		route, _ := m.Route(&Needs{}, RouteOptions{})
		for i, want := range []time.Duration{0, 100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000} {
			a, err := onward(&route)
			if err != nil {
				t.Fatalf("attempt %d: %v", i+1, err)
			}
			if want *= time.Millisecond; a.Pause != want || most != uint64(want) {
				t.Errorf("before attempt %d is a pause of %s at most, want %s", i+1, a.Pause, want)
			}
			a.End(EndingUnknown)
			a.outcome = OutcomeUnreachable // with the breakers none the wiser
			m.thrift.budget.refund()
		}
		if _, err := onward(&route); !errors.Is(err, ErrExhausted) {
			t.Errorf("the eleventh attempt: %v", err)
		}
	})
	in(t, "out of the budget", func(t *testing.T) {
		m := single(t, nil)
		m.thrift.budget.tenths.Store(8)
		route, _ := m.Route(&Needs{}, RouteOptions{})
		a, _ := onward(&route)
		finish(a, OutcomeUnreachable)
		if _, err := onward(&route); !errors.Is(err, ErrRetryBudget) {
			t.Errorf("Next = %v, want the budget empty", err)
		}
	})
}
