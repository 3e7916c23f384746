package upstream

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// finishFor makes n attempts of a tenant, one after the other, that all end like this.
func finishFor(t *testing.T, m *Model, tenant string, n int, o Outcome) {
	t.Helper()
	for range n {
		finish(mustOf(t, m, asks(tenant)), o)
	}
}

// banned reports whether a tenant finds nobody to ask, and for how long.
func banned(t *testing.T, m *Model, tenant string) (wait time.Duration, yes bool) {
	t.Helper()
	a, err := attemptOf(m, asks(tenant))
	if err == nil {
		finish(a, OutcomeClientGone)
		return 0, false
	}
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("Next = %v, want it unavailable", err)
	}
	return unavailable.RetryAfter, true
}

func TestTenantsDiffer(t *testing.T) {
	seen := tenantOf("").bit()
	for _, name := range []string{"a", "c", "d"} {
		if seen&tenantOf(name).bit() != 0 {
			t.Errorf("%q shares its bit: the tests below need another name", name)
		}
		seen |= tenantOf(name).bit()
	}
}

// TestForbidden has tenants asked for what they get, in turn, and then looks at who is kept away.
func TestForbidden(t *testing.T) {
	type step struct {
		tenant string
		o      Outcome
	}
	f := func(name string, steps []step, wantA, wantC bool) {
		t.Helper()
		in(t, name, func(t *testing.T) {
			m := single(t, nil)
			for _, s := range steps {
				finishFor(t, m, s.tenant, 1, s.o)
				time.Sleep(5 * time.Second)
			}
			_, a := banned(t, m, "a")
			_, c := banned(t, m, "c")
			if a != wantA || c != wantC {
				t.Errorf("a is kept away: %t, want %t; c is: %t, want %t", a, wantA, c, wantC)
			}
		})
	}
	const ok, forbidden = OutcomeOK, OutcomeForbidden
	f("the first of all", []step{{"a", forbidden}}, true, false)
	f("after an answer", []step{{"a", ok}, {"a", forbidden}}, false, false)
	f("after an answer of another", []step{{"c", ok}, {"a", forbidden}}, true, false)
	f("twice after an answer", []step{{"a", ok}, {"a", forbidden}, {"a", forbidden}}, true, false)
	f("twice, with an answer between", []step{{"a", ok}, {"a", forbidden}, {"a", ok}, {"a", forbidden}}, false, false)
	f("twice, with an answer of another between", []step{{"a", ok}, {"a", forbidden}, {"c", ok}, {"a", forbidden}}, true, false)
	f("twice, with what is no answer between", []step{{"a", ok}, {"a", forbidden}, {"a", OutcomeServerError}, {"a", OutcomeClientGone}, {"a", forbidden}}, true, false)
	f("after a refused request", []step{{"a", OutcomeRequestRefused}, {"a", forbidden}}, true, false)
	f("after a throttled one", []step{{"a", OutcomeThrottled}, {"a", forbidden}}, false, false)
	f("of both", []step{{"a", forbidden}, {"c", forbidden}}, true, true)
	f("of both, one of them forgiven", []step{{"c", ok}, {"a", forbidden}, {"c", forbidden}}, true, false)
	f("of the other", []step{{"a", ok}, {"c", forbidden}}, false, true)
}

// TestBan is for how long.
func TestBan(t *testing.T) {
	in(t, "doubles up to an hour, and starts over after an answer", func(t *testing.T) {
		m := single(t, nil)
		for range 2 {
			for _, minutes := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
				finishFor(t, m, "a", 1, OutcomeForbidden)
				wait, _ := banned(t, m, "a")
				lengthenedFrom(t, minutes*time.Minute, wait)
				time.Sleep(wait - time.Millisecond)
				if _, yes := banned(t, m, "a"); !yes {
					t.Errorf("a ban of %s ends too early", wait)
				}
				time.Sleep(time.Millisecond)
			}
			finishFor(t, m, "c", 1, OutcomeOK)
		}
	})
	in(t, "is as long as ever where others are answered all the time", func(t *testing.T) {
		m := single(t, nil)
		for range 3 {
			finishFor(t, m, "c", 1, OutcomeOK)
			finishFor(t, m, "a", 1, OutcomeForbidden)
			wait, _ := banned(t, m, "a")
			lengthenedFrom(t, 5*time.Minute, wait)
			time.Sleep(wait)
		}
	})
	in(t, "is not lengthened by what was asked before it began, nor by others", func(t *testing.T) {
		m := single(t, nil)
		old := []*Attempt{mustOf(t, m, asks("a")), mustOf(t, m, asks("a"))}
		finishFor(t, m, "a", 1, OutcomeForbidden)
		wait, _ := banned(t, m, "a")
		time.Sleep(time.Minute)
		finish(old[0], OutcomeForbidden)
		finishFor(t, m, "c", 1, OutcomeForbidden)
		finish(old[1], OutcomeOK) // nor ended
		for _, tenant := range []string{"a", "c"} {
			if got, _ := banned(t, m, tenant); got != wait-time.Minute {
				t.Errorf("%s is kept away for %s, want %s", tenant, got, wait-time.Minute)
			}
		}
	})
	in(t, "is nobody else's, who shares a bit with it", func(t *testing.T) {
		m := single(t, nil)
		if tenantOf("a").bit() != tenantOf("b").bit() {
			t.Fatal("a and b share no bit: the test needs another name")
		}
		finishFor(t, m, "a", 1, OutcomeForbidden)
		if _, yes := banned(t, m, "a"); !yes {
			t.Error("it is not kept away")
		}
		if _, yes := banned(t, m, "b"); yes {
			t.Error("another is kept away for it")
		}
	})
	in(t, "is forgotten where too many are kept away", func(t *testing.T) {
		m := single(t, nil)
		for i := range 3 * mostBanned {
			finishFor(t, m, fmt.Sprint("tenant ", i), 1, OutcomeForbidden)
		}
		if n := len(m.candidates[0].lane.account.ban.banned); n > mostBanned {
			t.Errorf("%d tenants are remembered, want %d at most", n, mostBanned)
		}
		if _, yes := banned(t, m, fmt.Sprint("tenant ", 3*mostBanned-1)); !yes {
			t.Error("the last one is forgotten")
		}
	})
	in(t, "is of one credential", func(t *testing.T) {
		m := model(t, seeded(t, manyCandidates(2)))
		finish(mustOf(t, m, asks("a")), OutcomeForbidden)
		for range 100 {
			finish(mustOf(t, m, asks("a")), OutcomeOK)
		}
	})
}

// TestBanIsSeen is what operators are shown while a tenant is kept away.
func TestBanIsSeen(t *testing.T) {
	f := func(m *Model, want State, why string) {
		t.Helper()
		if got := standing(m.candidates[0]); got.State != want || got.Why != why {
			t.Errorf("it is %s: %q", got.State, got.Why)
		}
	}
	in(t, "until somebody else has an answer, and then", func(t *testing.T) {
		m := single(t, nil)
		finishFor(t, m, "c", 1, OutcomeOK)
		time.Sleep(time.Second)
		finishFor(t, m, "a", 1, OutcomeForbidden)
		f(m, StateQuarantined, "the provider forbids what is asked with the credential")
		wait := standing(m.candidates[0]).ProbeIn
		lengthenedFrom(t, 5*time.Minute, wait)
		time.Sleep(time.Second)
		finishFor(t, m, "c", 1, OutcomeRequestRefused) // no answer
		f(m, StateQuarantined, "the provider forbids what is asked with the credential")
		finishFor(t, m, "c", 1, OutcomeOK)
		f(m, StateReady, "the provider forbids what some tenants ask: they are not sent here")
		time.Sleep(wait)
		f(m, StateReady, "")
	})
	in(t, "and told once", func(t *testing.T) {
		log, lines := newLog()
		monitor := NewMonitor(log, nil)
		m := single(t, monitor)
		for _, tenant := range []string{"a", "c", "d"} {
			finishFor(t, m, tenant, 1, OutcomeForbidden)
		}
		monitor.Close()
		if got := lines.lines(); len(got) != 1 {
			t.Errorf("three tenants are told of in %d lines: %q", len(got), got)
		}
	})
}
