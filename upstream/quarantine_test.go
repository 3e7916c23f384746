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
		a.take(x.candidates[0], asker{tenant: tenantOf("")}, x.clock.now(), onTime)
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
		m := quarantined(t)
		report(t, m, 1, OutcomeOK)
		if got := standing(m.candidates[0]); got.State != StateReady || got.Why != "recovered: gets 5 % of its share" {
			t.Errorf("it is %s: %s", got.State, got.Why)
		}
		burst(t, m, 100, OutcomeOK)
	})
	in(t, "a 5xx says nothing of the credential", func(t *testing.T) {
		m := quarantined(t)
		report(t, m, 1, OutcomeServerError)
		if state(m) != StateQuarantined {
			t.Errorf("it is %s", state(m))
		}
	})
	in(t, "403 leaves the next one to somebody else", func(t *testing.T) {
		m := quarantined(t)
		finish(mustOf(t, m, asks("a")), OutcomeForbidden)
		time.Sleep(trialTime)
		if a, err := attemptOf(m, asks("a")); err == nil {
			t.Errorf("%s is asked again for the same tenant", label(a.Candidate))
		}
		finish(mustOf(t, m, asks("c")), OutcomeOK)
		if state(m) != StateReady {
			t.Errorf("after an answer it is %s", state(m))
		}
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

// TestVouching is which answers end a quarantine, and which are too old to.
func TestVouching(t *testing.T) {
	in(t, "none to what began before the refusal", func(t *testing.T) {
		m := single(t, nil)
		old := []*Attempt{must(t, m), must(t, m)}
		time.Sleep(time.Second)
		report(t, m, 1, OutcomeCredentialRefused)
		time.Sleep(time.Second)
		finish(old[0], OutcomeOK)
		inQuarantine(t, m, 5*time.Minute-time.Second)
		time.Sleep(75 * time.Minute)
		finish(old[1], OutcomeOK)
		if a := must(t, m); !a.trial {
			t.Error("the credential is tried by everybody at once")
		}
	})
	in(t, "one to a trial, even if another was refused meanwhile", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 1, OutcomeCredentialRefused)
		time.Sleep(75 * time.Minute)
		first := must(t, m)
		time.Sleep(trialTime)
		report(t, m, 1, OutcomeCredentialRefused)
		time.Sleep(time.Second)
		finish(first, OutcomeOK)
		if state(m) != StateReady {
			t.Errorf("it is %s", state(m))
		}
	})
	f := func(o Outcome, vouches bool) {
		t.Helper()
		in(t, "a trial's "+o.String(), func(t *testing.T) {
			m := single(t, nil)
			report(t, m, 1, OutcomeCredentialRefused)
			time.Sleep(75 * time.Minute)
			finish(must(t, m), o)
			if got := m.candidates[0].lane.account.quarantine.strikes.Load() == 0; got != vouches {
				t.Errorf("it ends the quarantine: %t, want %t", got, vouches)
			}
		})
	}
	for o := range outcomeCount {
		f(o, o == OutcomeOK || o == OutcomeThrottled || o == OutcomeQuota)
	}
	in(t, "one to what began since, of a trial that was thought lost", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 1, OutcomeCredentialRefused)
		time.Sleep(75 * time.Minute)
		first := must(t, m)
		time.Sleep(trialTime)
		second := must(t, m)
		finish(first, OutcomeOK)
		if state(m) != StateReady {
			t.Errorf("it is %s", state(m))
		}
		finish(second, OutcomeClientGone)
	})
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
