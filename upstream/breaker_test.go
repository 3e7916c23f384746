package upstream

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"
)

// slow is the longest time after which an attempt of single's model fails: its
// answer and connect time-outs.
const slow = 123 * time.Second

// single is a model with one candidate, so that its breaker is all there is.
func single(t *testing.T, log *slog.Logger) *Model {
	t.Helper()
	table, err := NewTable(parse(t, `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k]}]}}
models: {m: {targets: [{provider: p}]}}`), TableOptions{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return model(t, table)
}

// attempt begins an attempt, or returns why there is none.
func attempt(m *Model) (*Attempt, error) {
	route, err := m.Route(&Needs{})
	if err != nil {
		return nil, err
	}
	return route.Next()
}

// must begins an attempt that the breaker has to let through.
func must(t *testing.T, m *Model) *Attempt {
	t.Helper()
	a, err := attempt(m)
	if err != nil {
		t.Fatalf("no attempt is let through: %v", err)
	}
	return a
}

// report makes n attempts that all end like this.
func report(t *testing.T, m *Model, n int, o Outcome) {
	t.Helper()
	for range n {
		must(t, m).Report(Report{Outcome: o})
	}
}

// refused checks that no attempt is let through, and returns the time to wait.
func refused(t *testing.T, m *Model) time.Duration {
	t.Helper()
	a, err := attempt(m)
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("Next = %v, %v; want it unavailable", a, err)
	}
	return unavailable.RetryAfter
}

func state(m *Model) State { return m.candidates[0].State() }

// in runs a test with a clock of its own.
func in(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestBreakerOpens(t *testing.T) {
	in(t, "after five failures in a row", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 20, OutcomeOK)
		report(t, m, 4, OutcomeServerError)
		report(t, m, 1, OutcomeOK)
		report(t, m, 4, OutcomeUnreachable)
		if state(m) != StateReady {
			t.Fatalf("four failures in a row make it %s", state(m))
		}
		report(t, m, 1, OutcomeTimeout)
		refused(t, m)
	})
	in(t, "when half of ten attempts fail", func(t *testing.T) {
		m := single(t, nil)
		for range 4 {
			report(t, m, 1, OutcomeServerError)
			report(t, m, 1, OutcomeOK)
		}
		report(t, m, 1, OutcomeOK)
		if state(m) != StateReady {
			t.Fatalf("four failures of nine make it %s", state(m))
		}
		report(t, m, 1, OutcomeInvalidAnswer)
		refused(t, m)
	})
	in(t, "never when less than half fail", func(t *testing.T) {
		m := single(t, nil)
		for range 1000 {
			report(t, m, 3, OutcomeOK)
			report(t, m, 2, OutcomeCut)
		}
	})
	in(t, "whatever else is excluded meanwhile", func(t *testing.T) {
		m := single(t, nil)
		for range 4 {
			report(t, m, 1, OutcomeServerError)
			report(t, m, 50, OutcomeThrottled)
		}
		report(t, m, 1, OutcomeServerError)
		refused(t, m)
	})
}

func TestBreakerStaysClosed(t *testing.T) {
	f := func(o Outcome) {
		t.Helper()
		in(t, o.String(), func(t *testing.T) {
			m := single(t, nil)
			for range 100 {
				report(t, m, 100, o)
				time.Sleep(time.Second)
			}
			if state(m) != StateReady {
				t.Errorf("10,000 attempts that end %s make it %s", o, state(m))
			}
		})
	}
	f(OutcomeOK)
	f(OutcomeRequestRefused)
	f(OutcomeClientGone)
	f(OutcomeAbandoned)
	f(OutcomeThrottled)
	f(OutcomeQuota)
	f(OutcomeCredentialRefused)
}

// TestSlowFailuresTrip fails attempts only after the limits that models have.
// A window that is shorter than that forgets each attempt before it has failed.
func TestSlowFailuresTrip(t *testing.T) {
	f := func(name string, every, takes, within time.Duration) {
		t.Helper()
		in(t, name, func(t *testing.T) {
			m := single(t, nil)
			begin := time.Now()
			for state(m) == StateReady && time.Since(begin) < 2*within {
				if a, err := attempt(m); err == nil {
					go func() {
						time.Sleep(takes)
						a.Report(Report{Outcome: OutcomeTimeout})
					}()
				}
				time.Sleep(every)
			}
			if took := time.Since(begin); took > within {
				t.Errorf("it takes %s to trip, want at most %s", took, within)
			}
			time.Sleep(takes) // the last attempts end
		})
	}
	f("60s at 1 a second", time.Second, 60*time.Second, 66*time.Second)
	f("60s at 50 a second", 20*time.Millisecond, 60*time.Second, 61*time.Second)
	f("60s at 2 a minute", 30*time.Second, 60*time.Second, 211*time.Second)
	f("the longest there are, at 1 a second", time.Second, slow, slow+6*time.Second)
	f("the longest there are, at 3 a minute", 20*time.Second, slow, slow+101*time.Second)
}

func TestWindow(t *testing.T) {
	f := func(slowest, window, bucket time.Duration) {
		t.Helper()
		w, b := windowOf(slowest)
		if w != window || b != bucket {
			t.Errorf("attempts of up to %s have a window of %s in buckets of %s, want %s in %s", slowest, w, b, window, bucket)
		}
	}
	f(63*time.Second, 183*time.Second, 5*time.Second)
	f(123*time.Second, 243*time.Second, 243*time.Second/48)
	f(24*time.Hour, 24*time.Hour+2*time.Minute, (24*time.Hour+2*time.Minute)/48)
}

// TestWindowOfSharedBreaker lets two models share an upstream model: the
// breaker has to bear with the more patient one.
func TestWindowOfSharedBreaker(t *testing.T) {
	table := build(t, `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k]}]}}
models:
  quick: {targets: [{provider: p, model: same}], timeouts: {first_token: 1s, answer: 2s, connect: 1s}}
  patient: {targets: [{provider: p, model: same}, {provider: p, model: other}], timeouts: {first_token: 5m, answer: 4m, connect: 2s}}`)
	quick, _ := table.Model("quick")
	patient, _ := table.Model("patient")
	if quick.candidates[0].breaker != patient.candidates[0].breaker {
		t.Error("the models do not share the breaker of their upstream model")
	}
	if patient.candidates[0].breaker == patient.candidates[1].breaker {
		t.Error("two upstream models share a breaker")
	}
	if got := quick.candidates[0].breaker.overdue; got != 302*time.Second {
		t.Errorf("the shared breaker reckons with attempts of %s, want 5m2s", got)
	}
	if n := len(table.Endpoints()); n != 2 {
		t.Errorf("operators see %d breakers, want 2", n)
	}
}

// TestJitter wants breakers that tripped together to probe apart.
func TestJitter(t *testing.T) {
	const n = 64
	m := model(t, build(t, manyCandidates(n)))
	timeouts := make(map[time.Duration]bool)
	for _, c := range m.candidates {
		timeouts[c.breaker.timeout] = true
		if c.breaker.timeout < 7*time.Second || c.breaker.timeout > 13*time.Second {
			t.Errorf("a breaker stays open for %s, want 10s +-30%%", c.breaker.timeout)
		}
	}
	if len(timeouts) < n/2 {
		t.Errorf("%d breakers have only %d different time-outs", n, len(timeouts))
	}
}

// nosy is a log that asks about the breaker while it is told of its change. A
// breaker that logs under its mutex would never return.
type nosy struct {
	slog.Handler
	look func()
}

func (n nosy) Handle(context.Context, slog.Record) error {
	n.look()
	return nil
}

func (n nosy) Enabled(context.Context, slog.Level) bool { return true }

func (n nosy) WithAttrs([]slog.Attr) slog.Handler { return n }

func TestLogMayAskTheBreaker(t *testing.T) {
	in(t, "at every change", func(t *testing.T) {
		var (
			m     *Model
			asked []gobreaker.State
		)
		m = single(t, slog.New(nosy{look: func() { asked = append(asked, m.candidates[0].breaker.gate.State()) }}))
		report(t, m, 5, OutcomeServerError)
		time.Sleep(14 * time.Second)
		report(t, m, 3, OutcomeOK)
		if diff := cmp.Diff([]gobreaker.State{gobreaker.StateOpen, gobreaker.StateHalfOpen, gobreaker.StateClosed}, asked); diff != "" {
			t.Error(diff)
		}
	})
}

// TestBreakerUnderLoad lets everything happen at once, for the race detector.
func TestBreakerUnderLoad(t *testing.T) {
	table := build(t, goodConfig)
	m, _ := table.Model("gemini-flash")
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 500 {
				route, err := m.Route(&Needs{})
				if err != nil {
					t.Error(err)
					return
				}
				for a, err := route.Next(); err == nil; a, err = route.Next() {
					a.Report(Report{Outcome: Outcome((worker + i) % int(outcomeCount))})
				}
				table.Endpoints()
			}
		})
	}
	all.Wait()
}
