package upstream

import (
	"math"
	"testing"
	"time"
)

// TestSharedLanes lets two models ask the same upstream model: what one learns, both know.
func TestSharedLanes(t *testing.T) {
	table := build(t, `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k]}]}}
models:
  quick: {targets: [{provider: p, model: same}], timeouts: {first_token: 1s, answer: 2s, connect: 1s}}
  patient: {targets: [{provider: p, model: same}, {provider: p, model: other}], timeouts: {first_token: 5m, answer: 4m, connect: 2s}}`)
	quick, _ := table.Model("quick")
	patient, _ := table.Model("patient")
	if quick.candidates[0].lane != patient.candidates[0].lane {
		t.Error("the models do not share what is known of their upstream model")
	}
	if patient.candidates[0].lane == patient.candidates[1].lane {
		t.Error("two upstream models share what is known of each")
	}
	report(t, quick, 5, OutcomeTimeout)
	if state(patient) != StateOpen {
		t.Errorf("five failures of one model leave it %s for the other", state(patient))
	}
	if a, b := quick.candidates[0].slowest, patient.candidates[0].slowest; a != 3*time.Second || b != 302*time.Second {
		t.Errorf("their probes have %s and %s, want 3s and 5m2s: each its own", a, b)
	}
	if n := len(table.Endpoints()); n != 2 {
		t.Errorf("operators see %d endpoints, want 2", n)
	}
}

// TestStanding is what operators are shown of an endpoint to which something has
// happened, the most important first.
func TestStanding(t *testing.T) {
	f := func(want State, why string, happens ...func(c *Candidate)) {
		t.Helper()
		in(t, why, func(t *testing.T) {
			m := model(t, seeded(t, `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k], max_concurrent: 2}]}}
models: {m: {targets: [{provider: p}]}}`))
			for _, do := range happens {
				do(m.candidates[0])
			}
			if got := standing(m.candidates[0]); got.State != want || got.Why != why {
				t.Errorf("it is %s: %q", got.State, got.Why)
			}
		})
	}
	full := func(c *Candidate) { c.lane.account.pending.Store(2) }
	recovered := func(c *Candidate) {
		c.lane.account.quarantine.clearedAt.Store(int64(c.clock.now()))
		time.Sleep(9 * time.Second)
	}
	opens := func(c *Candidate, b *breaker, d time.Duration) {
		c.lane.address.failing.Store(math.MaxUint64)
		force(t, c, b, breakStreams)
		b.phase.Store(int64(c.clock.now().after(d)))
	}
	streams := func(c *Candidate) { opens(c, c.lane.streams, 7*time.Second) }
	answers := func(c *Candidate) { opens(c, c.lane.breaker, 8*time.Second) }
	all := func(c *Candidate) { opens(c, c.lane.address.breaker, 9*time.Second) }
	throttled := func(c *Candidate) { c.lane.cooldown.begin(c.clock.now(), OutcomeThrottled, 0) }
	missing := func(c *Candidate) { c.lane.cooldown.begin(c.clock.now(), OutcomeModelMissing, 0) }
	quota := func(c *Candidate) { c.lane.account.cooldown.begin(c.clock.now(), OutcomeQuota, 0) }
	refused := func(c *Candidate) { c.lane.account.quarantine.strike(c.clock.now(), true) }
	f(StateReady, "")
	f(StateReady, "recovered: gets 30 % of its share", recovered)
	f(StateFull, "max_concurrent of 2 is reached", recovered, full)
	f(StateOpen, "its streams break off; plain answers are still asked for", full, streams)
	f(StateOpen, "keeps failing", streams, answers)
	f(StateOpen, "the address keeps failing", all, streams, answers) // for longest
	f(StateCooling, "throttled", answers, throttled)
	f(StateCooling, "model_missing", answers, missing)
	f(StateCooling, "quota", throttled, quota)
	f(StateQuarantined, "the provider refused the credential, 3 times in a row", all, quota, refused, refused, refused)
}

// TestLastError is the last outcome that was the provider's doing, or its credential's.
func TestLastError(t *testing.T) {
	in(t, "and when it was", func(t *testing.T) {
		m := several(t, 1, "")
		for o := range outcomeCount {
			a := must(t, m)
			finish(a, o)
			got := standing(m.candidates[0])
			if want := o.String(); o.isFault() && (got.LastError != want || time.Since(got.LastErrorAt).Abs() > time.Millisecond) {
				t.Errorf("after %s it is %s, %s ago", want, got.LastError, time.Since(got.LastErrorAt))
			} else if !o.isFault() && got.LastError == want {
				t.Errorf("%s is taken for an error", want)
			}
			time.Sleep(2 * time.Hour) // whatever it has led to is over
		}
	})
}
