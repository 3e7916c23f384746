package upstream

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// slow is the longest time after which an attempt of single's model fails: its
// answer and connect time-outs.
const slow = 123 * time.Second

// oneCandidate is a model with one candidate, so that it is all there is.
const oneCandidate = `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [k]}]}}
models: {m: {targets: [{provider: p}]}}`

// single is oneCandidate. A timeout is what only its own breaker counts.
func single(t *testing.T, monitor *Monitor) *Model {
	t.Helper()
	table, err := NewTable(parse(t, oneCandidate), TableOptions{Monitor: monitor})
	if err != nil {
		t.Fatal(err)
	}
	return model(t, table)
}

func TestBreakerOpens(t *testing.T) {
	in(t, "after five failures in a row", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 4, OutcomeOK)
		report(t, m, 4, OutcomeUnreachable)
		if state(m) != StateReady {
			t.Fatalf("four failures in a row make it %s", state(m))
		}
		report(t, m, 1, OutcomeTimeout)
		refused(t, m)
	})
	in(t, "after eight where most was answered", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 20, OutcomeOK)
		report(t, m, 7, OutcomeServerError)
		report(t, m, 1, OutcomeOK)
		report(t, m, 7, OutcomeUnreachable)
		if state(m) != StateReady {
			t.Fatalf("seven failures in a row make it %s", state(m))
		}
		report(t, m, 1, OutcomeTimeout)
		refused(t, m)
	})
	in(t, "after five where much was answered, long ago", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 1000, OutcomeOK)
		time.Sleep(breakerWindow + time.Second)
		report(t, m, 5, OutcomeUnreachable)
		refused(t, m)
	})
	in(t, "when more than half fail, after any number of answers", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 10_000, OutcomeOK)
		for n := 0; state(m) == StateReady; n++ {
			if n == 100 {
				t.Fatal("200 failures for 100 answers leave it ready")
			}
			report(t, m, 1, OutcomeServerError)
			if state(m) == StateReady {
				report(t, m, 1, OutcomeOK)
			}
			if state(m) == StateReady {
				report(t, m, 1, OutcomeServerError)
			}
		}
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
			report(t, m, 1, OutcomeTimeout)
			burst(t, m, 50, OutcomeThrottled)
			time.Sleep(coolMost) // longer than any cooldown without a time named
			report(t, m, 50, OutcomeClientGone)
			time.Sleep(coolMost / 4)
		}
		report(t, m, 1, OutcomeTimeout)
		refused(t, m)
		if state(m) != StateOpen {
			t.Errorf("five failures in a row, as far as failures count, make it %s", state(m))
		}
	})
}

func TestBreakerStaysClosed(t *testing.T) {
	f := func(o Outcome, rest time.Duration) {
		t.Helper()
		in(t, o.String(), func(t *testing.T) {
			m := single(t, nil)
			for range 100 {
				burst(t, m, 100, o)
				time.Sleep(rest)
			}
			if state(m) != StateReady {
				t.Errorf("10,000 attempts that end %s make it %s", o, state(m))
			}
		})
	}
	f(OutcomeOK, time.Second)
	f(OutcomeRequestRefused, time.Second)
	f(OutcomeClientGone, time.Second)
	f(OutcomeAbandoned, time.Second)
	f(OutcomeThrottled, 80*time.Second)
	f(OutcomeQuota, 80*time.Second)
	f(OutcomeModelMissing, 7*time.Minute)
}

// TestPatience has every round of probes fail: the breaker's time doubles, is
// varied by up to 30 % each time, and starts over once it has closed.
func TestPatience(t *testing.T) {
	in(t, "doubles up to five minutes", func(t *testing.T) {
		m := single(t, nil)
		b, c := m.candidates[0].lane.breaker, m.clock
		round := func(usual time.Duration, seen map[time.Duration]bool) {
			t.Helper()
			wait := b.wait(c.now(), onTime)
			if wait < usual*7/10 || wait > usual*13/10 {
				t.Errorf("it stays open for %s, want %s +-30%%", wait, usual)
			}
			seen[wait] = true
			if !b.ready(c.now()+instant(wait)+1, onTime) || b.ready(c.now()+instant(wait)-1, onTime) {
				t.Errorf("the probe is not due after %s", wait)
			}
			time.Sleep(wait + 1)
		}
		usual := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second}
		for range 3 {
			report(t, m, 5, OutcomeTimeout)
			for _, d := range usual {
				round(d, make(map[time.Duration]bool))
				report(t, m, 1, OutcomeTimeout)
			}
			seen := make(map[time.Duration]bool)
			for range 40 {
				round(5*time.Minute, seen)
				report(t, m, 1, OutcomeTimeout)
			}
			if len(seen) < 38 {
				t.Errorf("40 rounds have only %d different times", len(seen))
			}
			round(5*time.Minute, seen)
			report(t, m, 3, OutcomeOK)
		}
	})
	in(t, "differs among those that open together", func(t *testing.T) {
		const n = 64
		m := model(t, build(t, manyCandidates(n)))
		waits := make(map[time.Duration]bool)
		for _, c := range m.candidates {
			trip(t, c)
			waits[c.lane.breaker.wait(m.clock.now(), onTime)] = true
		}
		if len(waits) < n-2 {
			t.Errorf("%d breakers have only %d different times", n, len(waits))
		}
	})
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
			asked []State
		)
		monitor := NewMonitor(slog.New(nosy{look: func() { asked = append(asked, state(m)) }}), nil)
		m = single(t, monitor)
		for _, o := range []Outcome{OutcomeTimeout, OutcomeOK} {
			for range 5 {
				if a, err := attempt(m); err == nil {
					finish(a, o)
				}
				synctest.Wait()
			}
			time.Sleep(14 * time.Second)
		}
		monitor.Close()
		if diff := cmp.Diff([]State{StateOpen, StateHalfOpen, StateReady}, asked); diff != "" {
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
				route, err := m.Route(&Needs{}, RouteOptions{Kind: Kind(i % 2), Anchor: uint64(i % 3)})
				if err != nil {
					t.Error(err)
					return
				}
				for a, err := onward(&route); err == nil; a, err = onward(&route) {
					a.Report(Report{Outcome: Outcome((worker + i) % int(outcomeCount)), Took: time.Duration(i)})
					a.End(Ending(i % 3))
				}
				table.Endpoints()
			}
		})
	}
	all.Wait()
	for _, e := range table.Endpoints() {
		if e.Pending != 0 {
			t.Errorf("%d attempts at %s are still in progress", e.Pending, e.URL)
		}
	}
}
