package upstream

import (
	"testing"
	"testing/synctest"
	"time"
)

// stream makes n streams that begin, and end like this.
func stream(t *testing.T, m *Model, n int, e Ending) {
	t.Helper()
	for range n {
		a := mustOf(t, m, RouteOptions{Kind: Streamed})
		a.Report(Report{Outcome: OutcomeOK, Took: time.Second})
		a.End(e)
	}
}

func streamRefused(m *Model) bool {
	_, err := attemptOf(m, RouteOptions{Kind: Streamed})
	return err != nil
}

func TestStreamsBreaker(t *testing.T) {
	f := func(name string, open bool, ends ...Ending) {
		t.Helper()
		in(t, name, func(t *testing.T) {
			m := single(t, nil)
			for _, e := range ends {
				stream(t, m, 1, e)
			}
			if got := state(m) == StateOpen; got != open {
				t.Errorf("it is %s", state(m))
			}
		})
	}
	then := func(n int, e Ending, before ...Ending) []Ending {
		for range n {
			before = append(before, e)
		}
		return before
	}
	f("20 breaks of 50 streams", true, then(20, EndingBroken, then(30, EndingWhole)...)...)
	f("20 breaks of 49 streams", false, then(20, EndingBroken, then(29, EndingWhole)...)...)
	f("19 breaks of 50 streams", false, then(19, EndingBroken, then(31, EndingWhole)...)...)
	f("a fifth", true, then(20, EndingBroken, then(80, EndingWhole)...)...)
	f("less than a fifth", false, then(20, EndingBroken, then(81, EndingWhole)...)...)
	f("what nobody saw counts for nothing", false, then(20, EndingBroken, then(29, EndingWhole, then(500, EndingUnknown)...)...)...)
	f("nothing but breaks", true, then(50, EndingBroken)...)
}

// broken is a model whose streams keep breaking off.
func broken(t *testing.T) *Model {
	t.Helper()
	m := single(t, nil)
	stream(t, m, 50, EndingBroken)
	if got := standing(m.candidates[0]); got.State != StateOpen || got.LastError != "cut" ||
		got.Why != "its streams break off; plain answers are still asked for" {
		t.Fatalf("50 breaks make it %s: %s, after %q", got.State, got.Why, got.LastError)
	}
	return m
}

func TestStreamsBreakerRecovers(t *testing.T) {
	in(t, "while plain answers are asked for as ever", func(t *testing.T) {
		m := broken(t)
		if !streamRefused(m) {
			t.Error("a stream is let through")
		}
		report(t, m, 100, OutcomeOK)
		if !streamRefused(m) {
			t.Error("plain answers close the streams' breaker")
		}
	})
	in(t, "when three streams have come to their ends", func(t *testing.T) {
		m := broken(t)
		time.Sleep(probeDue)
		var probes [3]*Attempt
		for i := range probes {
			probes[i] = mustOf(t, m, RouteOptions{Kind: Streamed})
			probes[i].Report(Report{Outcome: OutcomeOK})
		}
		if state(m) != StateHalfOpen || !streamRefused(m) {
			t.Errorf("three streams that have only begun make it %s", state(m))
		}
		for _, a := range probes {
			a.End(EndingWhole)
		}
		if state(m) != StateReady || streamRefused(m) {
			t.Errorf("three whole streams make it %s", state(m))
		}
	})
	in(t, "not when one of them breaks", func(t *testing.T) {
		m := broken(t)
		time.Sleep(probeDue)
		stream(t, m, 2, EndingWhole)
		stream(t, m, 1, EndingBroken)
		if state(m) != StateOpen {
			t.Errorf("a broken probe makes it %s", state(m))
		}
	})
	in(t, "and a stream that never begins gives its place back", func(t *testing.T) {
		m := broken(t)
		time.Sleep(probeDue)
		for _, o := range []Outcome{OutcomeClientGone, OutcomeAbandoned, OutcomeRequestRefused} {
			for range 10 {
				a := mustOf(t, m, RouteOptions{Kind: Streamed})
				a.Report(Report{Outcome: o})
				a.End(EndingBroken) // of what? it counts for nothing
				time.Sleep(placeDue)
			}
		}
		if state(m) != StateHalfOpen {
			t.Errorf("streams that never begin make it %s", state(m))
		}
		for range 3 {
			stream(t, m, 1, EndingWhole)
			time.Sleep(placeDue)
		}
		if state(m) != StateReady {
			t.Errorf("three whole streams make it %s", state(m))
		}
	})
	in(t, "when three streams have gone on for longer than they may be silent", func(t *testing.T) {
		m := broken(t)
		time.Sleep(probeDue)
		var probes [3]*Attempt
		for i := range probes {
			probes[i] = mustOf(t, m, RouteOptions{Kind: Streamed})
			probes[i].Report(Report{Outcome: OutcomeOK})
		}
		time.Sleep(m.Timeouts.Idle + 15*time.Second - time.Millisecond)
		synctest.Wait()
		if state(m) != StateHalfOpen || !streamRefused(m) {
			t.Errorf("three streams that have only begun make it %s", state(m))
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if state(m) != StateReady {
			t.Errorf("three streams that go on leave it %s", state(m))
		}
		for _, a := range probes {
			a.End(EndingBroken) // it was half open then, and that round is decided
		}
		if state(m) != StateReady || streamRefused(m) {
			t.Errorf("what becomes of them later makes it %s", state(m))
		}
	})
	in(t, "nor later than a request may take", func(t *testing.T) {
		m := model(t, build(t, `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k]}]}}
models: {m: {targets: [{provider: p}], timeouts: {idle: 50s, total: 60s, first_token: 50s, answer: 50s}}}`))
		if got := m.candidates[0].proven; got != time.Minute {
			t.Errorf("a stream is sound after %s, want 1m", got)
		}
	})
}
