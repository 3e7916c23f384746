package upstream

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// inQuarantine checks that a model's only credential is, for usual and up to a quarter more.
func inQuarantine(t *testing.T, m *Model, usual time.Duration) time.Duration {
	t.Helper()
	got := standing(m.candidates[0])
	if got.State != StateQuarantined {
		t.Fatalf("it is %s, want it quarantined", got.State)
	}
	lengthenedFrom(t, usual, got.ProbeIn)
	if wait := refused(t, m); wait != got.ProbeIn {
		t.Errorf("it asks to retry after %s, want %s", wait, got.ProbeIn)
	}
	return got.ProbeIn
}

func TestQuarantine(t *testing.T) {
	in(t, "doubles up to an hour, and starts over after an answer", func(t *testing.T) {
		m := single(t, nil)
		for range 2 {
			for _, minutes := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
				report(t, m, 1, OutcomeCredentialRefused)
				time.Sleep(inQuarantine(t, m, minutes*time.Minute))
			}
			report(t, m, 1, OutcomeOK)
			report(t, m, 100, OutcomeClientGone)
		}
	})
	in(t, "counts those who were refused together once", func(t *testing.T) {
		m := single(t, nil)
		attempts := make([]*Attempt, 32)
		for i := range attempts {
			attempts[i] = must(t, m)
		}
		var all sync.WaitGroup
		for _, a := range attempts {
			all.Go(func() { finish(a, OutcomeCredentialRefused) })
		}
		all.Wait()
		inQuarantine(t, m, 5*time.Minute)
		if got := standing(m.candidates[0]).Why; got != "the provider refused the credential" {
			t.Error(got)
		}
	})
	in(t, "is of every model, and of no other credential", func(t *testing.T) {
		table := seeded(t, shared)
		x, _ := table.Model("x")
		var a Attempt
		a.take(x.candidates[0], Plain, x.clock.now(), onTime)
		finish(&a, OutcomeCredentialRefused)
		for _, e := range table.Endpoints() {
			if want := e.Provider == "p" && e.Credential == "#1"; want != (e.State == StateQuarantined) {
				t.Errorf("%s %s %s is %s", e.Provider, e.Credential, e.Model, e.State)
			}
		}
		for range 1000 {
			if a := must(t, x); a.Endpoint.Credential != "#2" {
				t.Fatal("a credential in quarantine is used")
			}
		}
	})
	in(t, "opens no breaker", func(t *testing.T) {
		m := single(t, nil)
		burst(t, m, 100, OutcomeCredentialRefused)
		time.Sleep(75 * time.Minute)
		report(t, m, 1, OutcomeOK)
		if state(m) != StateReady {
			t.Errorf("it is %s", state(m))
		}
	})
}

// TestTrial is what happens when a quarantine is over.
func TestTrial(t *testing.T) {
	quarantined := func(t *testing.T) *Model {
		t.Helper()
		m := single(t, nil)
		report(t, m, 1, OutcomeCredentialRefused)
		time.Sleep(75 * time.Minute)
		return m
	}
	in(t, "one at a time, half a minute apart", func(t *testing.T) {
		m := quarantined(t)
		for range 5 {
			finish(must(t, m), OutcomeClientGone)
			if got := refused(t, m); got != trialTime {
				t.Errorf("after a trial it asks to retry after %s, want 30s", got)
			}
			time.Sleep(trialTime - time.Millisecond)
			refused(t, m)
			time.Sleep(time.Millisecond)
		}
	})
	in(t, "one of a crowd", func(t *testing.T) {
		m := quarantined(t)
		var all sync.WaitGroup
		admitted := make(chan *Attempt, 100)
		for range 100 {
			all.Go(func() {
				if a, err := attempt(m); err == nil {
					admitted <- a
				}
			})
		}
		all.Wait()
		if len(admitted) != 1 {
			t.Errorf("%d of 100 are let through", len(admitted))
		}
	})
	in(t, "an answer clears it, at a small share for a while", func(t *testing.T) {
		for _, o := range []Outcome{OutcomeOK, OutcomeRequestRefused} {
			m := quarantined(t)
			report(t, m, 1, o)
			if got := standing(m.candidates[0]); got.State != StateReady || got.Why != "recovered: gets 5 % of its share" {
				t.Errorf("after %s it is %s: %s", o, got.State, got.Why)
			}
			burst(t, m, 100, OutcomeOK)
		}
	})
	in(t, "a 5xx says nothing of the credential", func(t *testing.T) {
		m := quarantined(t)
		report(t, m, 1, OutcomeServerError)
		if state(m) != StateQuarantined {
			t.Errorf("it is %s", state(m))
		}
	})
	in(t, "403 is no better than 401", func(t *testing.T) {
		m := quarantined(t)
		report(t, m, 1, OutcomeForbidden)
		inQuarantine(t, m, 10*time.Minute)
	})
	in(t, "a refusal from before says nothing new", func(t *testing.T) {
		m := single(t, nil)
		old := must(t, m)
		report(t, m, 1, OutcomeCredentialRefused)
		time.Sleep(75 * time.Minute)
		trial := must(t, m)
		finish(old, OutcomeCredentialRefused)
		finish(trial, OutcomeOK)
		if state(m) != StateReady {
			t.Errorf("it is %s", state(m))
		}
	})
}

// TestForbidden tells a 403 for what one tenant asked from one for the credential.
func TestForbidden(t *testing.T) {
	f := func(name string, want State, steps ...any) {
		t.Helper()
		in(t, name, func(t *testing.T) {
			m := single(t, nil)
			for _, s := range steps {
				switch s := s.(type) {
				case Outcome:
					report(t, m, 1, s)
				case time.Duration:
					time.Sleep(s)
				}
			}
			if state(m) != want {
				t.Errorf("it is %s, want %s", state(m), want)
			}
		})
	}
	const ok, forbidden = OutcomeOK, OutcomeForbidden
	f("the first of all", StateQuarantined, forbidden)
	f("after an answer", StateReady, ok, forbidden)
	f("after an answer a minute old", StateQuarantined, ok, time.Minute, forbidden)
	f("after an answer less than a minute old", StateReady, ok, time.Minute-time.Millisecond, forbidden)
	f("twice after an answer", StateQuarantined, ok, forbidden, forbidden)
	f("twice, with an answer between", StateReady, ok, forbidden, ok, forbidden, ok, forbidden)
	f("twice, with what is no answer between", StateQuarantined, ok, forbidden, OutcomeServerError, OutcomeClientGone, forbidden)
	f("after a refused request", StateReady, OutcomeRequestRefused, forbidden)
	f("after a throttled one", StateReady, OutcomeThrottled, 3*time.Second, forbidden)
	f("401 after an answer", StateQuarantined, ok, OutcomeCredentialRefused)
}

func TestQuarantineIsTold(t *testing.T) {
	in(t, "as an error, and its end", func(t *testing.T) {
		log, lines := newLog()
		monitor := NewMonitor(log, nil)
		m := single(t, monitor)
		burst(t, m, 10, OutcomeCredentialRefused)
		time.Sleep(75 * time.Minute)
		report(t, m, 3, OutcomeOK)
		monitor.Close()
		want := `level=ERROR msg="credential quarantined: the provider refuses it; replace it, or ask the provider" provider=p upstream="https://h/v1 key #1" model=m duration_ms=NNNN outcome=credential_refused
level=INFO msg="credential accepted again" provider=p upstream="https://h/v1 key #1" model=m`
		if diff := cmp.Diff(want, withoutDuration(lines.lines())); diff != "" {
			t.Error(diff)
		}
	})
}
