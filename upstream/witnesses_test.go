package upstream

import (
	"testing"
	"time"
)

// TestWitnesses has tenants asked for what they get, in turn: what happens to one of
// them alone does not open a breaker while others ask there too.
func TestWitnesses(t *testing.T) {
	type step struct {
		tenant string
		n      int
		o      Outcome
		then   time.Duration
	}
	f := func(name string, want State, steps ...step) {
		t.Helper()
		in(t, name, func(t *testing.T) {
			m := single(t, nil)
			for _, s := range steps {
				finishFor(t, m, s.tenant, s.n, s.o)
				time.Sleep(s.then)
			}
			if state(m) != want {
				t.Errorf("it is %s, want %s", state(m), want)
			}
		})
	}
	const ok, refused = OutcomeOK, OutcomeRequestRefused
	for _, bad := range []Outcome{OutcomeTimeout, OutcomeServerError} { // the lane's breaker, and the address's as well
		of := ", " + bad.String()
		f("eight in a row of one"+of, StateReady, step{"c", 1, ok, 0}, step{"a", 8, bad, 0})
		f("500 in a row of one"+of, StateReady, step{"c", 1, ok, 0}, step{"a", 500, bad, 0})
		f("500 of one, whose other requests are answered"+of, StateReady, step{"c", 1, ok, 0}, step{"a", 499, ok, 0}, step{"a", 500, bad, 0})
		f("another has asked almost 15 s ago"+of, StateReady, step{"a", 1, ok, 14 * time.Second}, step{"c", 1, refused, 15*time.Second - 1}, step{"a", 500, bad, 0})
		f("nobody else for 30 s"+of, StateOpen, step{"c", 1, ok, 30 * time.Second}, step{"a", 5, bad, 0})
		f("nobody else for 30 s, since the failures began"+of, StateOpen, step{"c", 1, ok, 0}, step{"a", 500, bad, 30 * time.Second}, step{"a", 1, bad, 0})
		f("nobody else at all"+of, StateOpen, step{"a", 5, bad, 0})
		f("one of another among them"+of, StateOpen, step{"c", 1, ok, 0}, step{"a", 500, bad, 0}, step{"c", 1, bad, 0})
		f("four of one, and one of another"+of, StateOpen, step{"d", 1, ok, 0}, step{"a", 4, bad, 0}, step{"c", 1, bad, 0})
		f("the other is throttled"+of, StateOpen, step{"c", 1, OutcomeThrottled, 3 * time.Second}, step{"a", 5, bad, 0})
	}
	in(t, "half of one's, while another is answered", func(t *testing.T) {
		m := single(t, nil)
		finishFor(t, m, "c", 1, ok)
		for range 100 {
			finishFor(t, m, "a", 1, OutcomeTimeout)
			finishFor(t, m, "a", 1, ok)
			finishFor(t, m, "a", 1, OutcomeTimeout)
		}
		if state(m) != StateReady {
			t.Errorf("it is %s", state(m))
		}
		finishFor(t, m, "d", 1, OutcomeTimeout)
		if state(m) != StateOpen {
			t.Errorf("with a failure of another it is %s", state(m))
		}
	})
}

// TestWitnessesOfStreams is the same for streams that break off.
func TestWitnessesOfStreams(t *testing.T) {
	ends := func(t *testing.T, m *Model, tenant string, n int, e Ending) {
		t.Helper()
		for range n {
			a := mustOf(t, m, RouteOptions{Kind: Streamed, Tenant: tenant})
			a.Report(Report{Outcome: OutcomeOK})
			a.End(e)
		}
	}
	in(t, "of one alone", func(t *testing.T) {
		m := single(t, nil)
		ends(t, m, "c", 1, EndingWhole)
		ends(t, m, "a", 500, EndingBroken)
		if state(m) != StateReady {
			t.Errorf("it is %s", state(m))
		}
		ends(t, m, "c", 1, EndingBroken)
		if state(m) != StateOpen {
			t.Errorf("with one of another's it is %s", state(m))
		}
	})
	in(t, "of one, when nobody else has asked for 30 s", func(t *testing.T) {
		m := single(t, nil)
		ends(t, m, "c", 1, EndingWhole)
		time.Sleep(30 * time.Second)
		ends(t, m, "a", 49, EndingBroken)
		if state(m) != StateOpen {
			t.Errorf("it is %s", state(m))
		}
	})
}
