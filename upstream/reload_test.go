package upstream

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// before is the configuration of the tests of reloads.
const before = `
providers:
  p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k1, k2], max_concurrent: 2}]}
  q: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k1, k2]}]}
models:
  x: {policy: weighted, targets: [{provider: p}]}
  y: {targets: [{provider: p}]}`

// reloaded is the table of another configuration that takes the place of an old one.
func reloaded(t *testing.T, old *Table, text string) *Table {
	t.Helper()
	table, err := NewTable(parse(t, text), TableOptions{Previous: old})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// called returns a model of a table.
func called(t *testing.T, table *Table, name string) *Model {
	t.Helper()
	m, ok := table.Model(name)
	if !ok {
		t.Fatalf("there is no model %s", name)
	}
	return m
}

// begun takes an attempt at a model's n-th candidate.
func begun(t *testing.T, m *Model, n int) *Attempt {
	t.Helper()
	a := new(Attempt)
	if !a.take(m.candidates[n], asker{tenant: tenantOf("")}, m.clock.now(), onTime) {
		t.Fatalf("no attempt at %s is let through", label(m.candidates[n]))
	}
	return a
}

// TestReloadKeeps changes everything about an endpoint but what it is: what is known
// of it stays.
func TestReloadKeeps(t *testing.T) {
	f := func(what string, learn func(m *Model), want func(e EndpointState) bool) {
		t.Helper()
		in(t, what, func(t *testing.T) {
			old := seeded(t, before)
			learn(called(t, old, "x"))
			table := reloaded(t, reloaded(t, old, before), `
providers:
  a: {contract: openai, endpoints: [{url: "https://other/v1", api_keys: [k1]}]}
  p: {contract: starmagic, endpoints: [{url: "https://g/v1", api_keys: [k0]}, {url: "https://h/v1/", api_keys: [k2, "", k1], weight: 7}]}
models:
  another: {policy: least_pending, max_attempts: 5, targets: [{provider: a}, {provider: p, model: x, tier: 2, weight: 9}], timeouts: {answer: 1s}}
  y: {targets: [{provider: p}]}`)
			for _, e := range table.Endpoints() {
				same := e.Provider == "p" && e.URL == "https://h/v1" && e.Model == "x" && e.Credential == "#3"
				if want(e) != same {
					t.Errorf("%s %s %s %s is %+v", e.Provider, e.URL, e.Credential, e.Model, e)
				}
			}
		})
	}
	f("a breaker", func(m *Model) { trip(t, m.candidates[0]) }, func(e EndpointState) bool { return e.State == StateOpen && e.ProbeIn > 6*time.Second })
	f("a cooldown", func(m *Model) { finish(begun(t, m, 0), OutcomeThrottled) }, func(e EndpointState) bool { return e.State == StateCooling })
	f("a latency", func(m *Model) { finish(begun(t, m, 0), OutcomeOK) }, func(e EndpointState) bool { return near(e.Answer.Seconds(), 1) })
	f("what is in progress", func(m *Model) { begun(t, m, 0) }, func(e EndpointState) bool { return e.Pending == 1 })
	f("the last error", func(m *Model) { finish(begun(t, m, 0), OutcomeServerError) }, func(e EndpointState) bool { return e.LastError == "server_error" })
}

// TestReloadKeepsCredentials is the same for what all models of a credential share.
func TestReloadKeepsCredentials(t *testing.T) {
	for o, want := range map[Outcome]State{OutcomeQuota: StateCooling, OutcomeCredentialRefused: StateQuarantined} {
		in(t, o.String(), func(t *testing.T) {
			old := seeded(t, before)
			finish(begun(t, called(t, old, "x"), 0), o)
			table := reloaded(t, old, strings.Replace(before, "k2", "k3", 1)+"\n  z: {targets: [{provider: p}]}")
			for _, e := range table.Endpoints() {
				if (e.State == want) != (e.Credential == "#1") {
					t.Errorf("%s for %s is %s", e.Credential, e.Model, e.State)
				}
			}
		})
	}
}

// TestReloadBeginsAnew changes one part of what an endpoint is.
func TestReloadBeginsAnew(t *testing.T) {
	f := func(was, is string) {
		t.Helper()
		in(t, is, func(t *testing.T) {
			old := seeded(t, before)
			x := called(t, old, "x")
			trip(t, x.candidates[0])
			finish(begun(t, x, 1), OutcomeServerError)
			begun(t, x, 1)
			for _, e := range reloaded(t, old, strings.ReplaceAll(before, was, is)).Endpoints() {
				if (e.Credential == "#1" || was != "k1") && (e.State != StateReady || e.Pending != 0 || e.LastError != "") {
					t.Errorf("%s %s for %s is %+v", e.Provider, e.Credential, e.Model, e)
				}
			}
		})
	}
	f("k1", "k9")
	f("https://h/v1", "https://h/v2")
	f("https://h/v1", "http://h/v1")
	f("{provider: p}", "{provider: p, model: other}")
	f("{provider: p}", "{provider: q}")
	in(t, "what was gone for a while", func(t *testing.T) {
		old := seeded(t, before)
		x := called(t, old, "x")
		trip(t, x.candidates[0])
		finish(begun(t, x, 1), OutcomeCredentialRefused)
		without := reloaded(t, old, strings.Replace(strings.Replace(before, "k1, ", "", 1), "x:", "z:", 1))
		for _, e := range reloaded(t, without, before).Endpoints() {
			if refused := e.Credential == "#2"; refused != (e.State == StateQuarantined) || e.State == StateOpen {
				t.Errorf("%s for %s is %s", e.Credential, e.Model, e.State)
			}
		}
	})
	in(t, "a table of its own", func(t *testing.T) {
		trip(t, called(t, seeded(t, before), "x").candidates[0])
		for _, e := range seeded(t, before).Endpoints() {
			if e.State != StateReady {
				t.Errorf("%s is %s", e.Credential, e.State)
			}
		}
	})
}

// TestReloadMeanwhile has attempts that begin at one table and end when another
// is in force.
func TestReloadMeanwhile(t *testing.T) {
	in(t, "they are reported to both", func(t *testing.T) {
		old := seeded(t, strings.Replace(before, "max_concurrent: 2", "", 1))
		var attempts []*Attempt
		for range 5 {
			attempts = append(attempts, begun(t, called(t, old, "x"), 0))
		}
		table := reloaded(t, old, before)
		for _, a := range attempts {
			finish(a, OutcomeTimeout)
		}
		for _, table := range []*Table{old, table} {
			if got := standing(called(t, table, "x").candidates[0]); got.State != StateOpen || got.Pending != 0 {
				t.Errorf("five failures make it %s with %d pending", got.State, got.Pending)
			}
		}
	})
	in(t, "also when their endpoint is gone", func(t *testing.T) {
		old := seeded(t, before)
		a := begun(t, called(t, old, "x"), 0)
		table := reloaded(t, old, strings.Replace(before, "k1, ", "", 1))
		finish(a, OutcomeCredentialRefused)
		for _, e := range table.Endpoints() {
			if e.State != StateReady {
				t.Errorf("%s is %s", e.Credential, e.State)
			}
		}
	})
	in(t, "and count for another max_concurrent", func(t *testing.T) {
		old := seeded(t, before)
		x := called(t, old, "x")
		a, b := begun(t, x, 0), begun(t, x, 0)
		places := func(most string) (n int) {
			m := called(t, reloaded(t, old, strings.Replace(before, "max_concurrent: 2", "max_concurrent: "+most, 1)), "x")
			var all []*Attempt
			for a := new(Attempt); n < 10 && a.take(m.candidates[0], asker{tenant: tenantOf("")}, m.clock.now(), onTime); a = new(Attempt) {
				all = append(all, a)
				n++
			}
			for _, a := range all {
				finish(a, OutcomeClientGone)
			}
			return n
		}
		for most, want := range map[string]int{"0": 10, "1": 0, "2": 0, "3": 1, "7": 5} {
			if got := places(most); got != want {
				t.Errorf("with two in progress and max_concurrent %s there are %d places, want %d", most, got, want)
			}
		}
		finish(a, OutcomeOK)
		if got := places("1"); got != 0 {
			t.Errorf("with one in progress and max_concurrent 1 there are %d places", got)
		}
		finish(b, OutcomeOK)
		if got := places("1"); got != 1 {
			t.Errorf("with none in progress and max_concurrent 1 there are %d places", got)
		}
	})
}

// TestReloadKeepsThrift keeps what bounds a model's requests, by its name.
func TestReloadKeepsThrift(t *testing.T) {
	in(t, "budget and last resort", func(t *testing.T) {
		old := seeded(t, before)
		called(t, old, "x").thrift.budget.tenths.Store(5)
		called(t, old, "x").thrift.resort.Store(77)
		table := reloaded(t, old, strings.Replace(before, " y:", " z:", 1))
		if x := called(t, table, "x").thrift; x.budget.tenths.Load() != 5 || x.resort.Load() != 77 {
			t.Error("a model that stays has another budget")
		}
		if z := called(t, table, "z").thrift; z.budget.tenths.Load() != budgetFull {
			t.Error("a new model has somebody else's budget")
		}
	})
	in(t, "how many models an address has", func(t *testing.T) {
		old := seeded(t, before)
		fail := func(m *Model) State {
			for range 5 {
				finish(begun(t, m, 0), OutcomeServerError)
			}
			return m.candidates[1].State()
		}
		if got := fail(called(t, old, "x")); got != StateReady {
			t.Errorf("the other credential is %s, when one of two models fails", got)
		}
		alone := before[:strings.Index(before, "\n  y:")]
		for range 3 { // its own breaker is open by now
			time.Sleep(probeDue)
			finish(begun(t, called(t, old, "x"), 0), OutcomeOK)
		}
		time.Sleep(breakerWindow)
		if got := fail(called(t, reloaded(t, old, alone), "x")); got != StateOpen {
			t.Errorf("the other credential is %s, when the only model fails", got)
		}
	})
}

// TestReloadRenames gives a credential another place in api_keys: that is how it is
// called from now on, also of what began before.
func TestReloadRenames(t *testing.T) {
	in(t, "in the log and to operators", func(t *testing.T) {
		log, lines := newLog()
		monitor := NewMonitor(log, nil)
		old, err := NewTable(parse(t, before), TableOptions{Monitor: monitor})
		if err != nil {
			t.Fatal(err)
		}
		x := called(t, old, "x")
		throttled, failing := begun(t, x, 0), []*Attempt{begun(t, x, 1), begun(t, x, 1)}
		table, err := NewTable(parse(t, strings.ReplaceAll(before, "[k1, k2]", "[k0, k2, k1]")), TableOptions{Previous: old, Monitor: monitor})
		if err != nil {
			t.Fatal(err)
		}
		finish(throttled, OutcomeThrottled)
		for _, a := range failing {
			finish(a, OutcomeCredentialRefused)
		}
		trip(t, called(t, table, "x").candidates[2])
		monitor.Close()
		want := `level=INFO msg="left alone for a while: the provider asked for it" provider=p upstream="https://h/v1 key #3" model=x duration_ms=NNNN outcome=throttled
level=ERROR msg="credential quarantined: the provider refuses it; replace it, or ask the provider" provider=p upstream="https://h/v1 key #2" model=x duration_ms=NNNN outcome=credential_refused
level=WARN msg="circuit breaker opened: the upstream keeps failing" provider=p upstream="https://h/v1 key #3" model=x duration_ms=NNNN`
		if diff := cmp.Diff(want, withoutDuration(lines.lines())); diff != "" {
			t.Error(diff)
		}
		for _, e := range table.Endpoints() {
			want := map[string]State{"#2": StateQuarantined, "#3": StateCooling}[e.Credential]
			if e.Provider == "p" && e.Model == "x" && want != "" && e.State != want {
				t.Errorf("%s is %s, want %s", e.Credential, e.State, want)
			}
		}
	})
}
