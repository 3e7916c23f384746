package upstream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shared is three models at one address, with two credentials, and one at another.
const shared = `
providers:
  p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k1, k2]}]}
  q: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k1]}]}
models:
  x: {targets: [{provider: p}]}
  y: {targets: [{provider: p}]}
  z: {targets: [{provider: p}]}
  other: {targets: [{provider: q, model: x}]}`

// TestAddressBreaker reports attempts of models that share an address, each a
// letter, through the first credential, and looks at the model z, which none asks.
func TestAddressBreaker(t *testing.T) {
	f := func(name, asked string, outcomes []Outcome, want State) {
		t.Helper()
		in(t, name, func(t *testing.T) {
			table := seeded(t, shared)
			for i, letter := range asked {
				m, _ := table.Model(string(letter))
				var a Attempt
				if !a.take(m.candidates[0], asker{tenant: tenantOf("")}, m.clock.now(), onTime) {
					t.Fatalf("attempt %d is refused", i)
				}
				finish(&a, outcomes[i%len(outcomes)])
			}
			z, _ := table.Model("z")
			for _, c := range z.candidates { // with another credential too
				if c.State() != want {
					t.Errorf("%s is %s, want %s", label(c), c.State(), want)
				}
			}
			if other, _ := table.Model("other"); state(other) != StateReady {
				t.Errorf("another provider is %s", state(other))
			}
		})
	}
	one := func(o Outcome) []Outcome { return []Outcome{o} }
	f("no connection for one model", "xxxxx", one(OutcomeUnreachable), StateOpen)
	f("no connection for any of them", "xyxyx", one(OutcomeUnreachable), StateOpen)
	f("four times is not enough", "xyxy", one(OutcomeUnreachable), StateReady)
	f("5xx of one model", "xxxxx", one(OutcomeServerError), StateReady)
	f("5xx of two models", "xxxxy", one(OutcomeServerError), StateOpen)
	f("an answer of another between them", "xxxyxy", []Outcome{OutcomeServerError, OutcomeServerError, OutcomeServerError, OutcomeOK, OutcomeServerError, OutcomeServerError}, StateReady)
	f("5xx of one, and no connection at last", "xxxxx", []Outcome{OutcomeServerError, OutcomeServerError, OutcomeServerError, OutcomeServerError, OutcomeUnreachable}, StateOpen)
	f("nothing in time, of two", "xyxyxyxy", one(OutcomeTimeout), StateReady)
	f("nonsense, of two", "xyxyxyxy", one(OutcomeInvalidAnswer), StateReady)
}

// TestAddressOfOneModel has nobody who would suffer for another.
func TestAddressOfOneModel(t *testing.T) {
	in(t, "opens for the other credential", func(t *testing.T) {
		m := model(t, seeded(t, manyCandidates(2)))
		for range 5 {
			var a Attempt
			if !a.take(m.candidates[0], asker{tenant: tenantOf("")}, m.clock.now(), onTime) {
				t.Fatal("an attempt is refused")
			}
			finish(&a, OutcomeServerError)
		}
		if got := standing(m.candidates[1]); got.State != StateOpen || got.Why != "the address keeps failing" {
			t.Errorf("the other credential is %s: %s", got.State, got.Why)
		}
	})
}

// TestAddressRecovers closes it again by the answers of one model, for all of them.
func TestAddressRecovers(t *testing.T) {
	in(t, "by three answers", func(t *testing.T) {
		log, lines := newLog()
		monitor := NewMonitor(log, nil)
		table, err := NewTable(parse(t, shared), TableOptions{Monitor: monitor})
		if err != nil {
			t.Fatal(err)
		}
		x, _ := table.Model("x")
		y, _ := table.Model("y")
		z, _ := table.Model("z")
		for range 2 {
			report(t, x, 1, OutcomeUnreachable)
			report(t, y, 1, OutcomeUnreachable)
		}
		report(t, z, 1, OutcomeUnreachable)
		refused(t, x)
		refused(t, y)
		time.Sleep(probeDue)
		report(t, z, 1, OutcomeThrottled) // it is there, whatever it says
		report(t, x, 1, OutcomeRequestRefused)
		report(t, x, 1, OutcomeOK)
		if state(y) != StateReady {
			t.Errorf("after three answers it is %s", state(y))
		}
		monitor.Close()
		want := `level=WARN msg="circuit breaker of an address opened: the upstream keeps failing" provider=p upstream=https://h/v1 duration_ms=NNNN
level=INFO msg="circuit breaker of an address half open: probing" provider=p upstream=https://h/v1
level=INFO msg="left alone for a while: the provider asked for it" provider=p upstream="https://h/v1 key #N" model=z duration_ms=NNNN outcome=throttled
level=INFO msg="circuit breaker of an address closed: the upstream works again" provider=p upstream=https://h/v1`
		if diff := cmp.Diff(want, withoutDuration(withoutKey(lines.lines()))); diff != "" {
			t.Error(diff)
		}
	})
}
