package upstream

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// several is a model with n candidates, each at an address of its own.
func several(t *testing.T, n int, options string) *Model {
	t.Helper()
	text := "providers:\n"
	targets := ""
	for i := range n {
		name := string(rune('a' + i))
		text += fmt.Sprintf("  %s: {contract: openai, endpoints: [{url: 'https://%s/v1', api_keys: [k]}]}\n", name, name)
		targets += fmt.Sprintf("{provider: %s}, ", name)
	}
	return model(t, seeded(t, text+fmt.Sprintf("models: {m: {%s targets: [%s]}}", options, targets)))
}

// TestLastResort has nobody left whose breaker is closed.
func TestLastResort(t *testing.T) {
	in(t, "once every ten seconds, however patient the breaker has become", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeTimeout)
		last, begin, asked := time.Now(), time.Now(), 0
		for time.Since(begin) < time.Hour {
			time.Sleep(100 * time.Millisecond)
			a, err := attempt(m)
			if err != nil {
				continue
			}
			finish(a, OutcomeTimeout)
			if gap := time.Since(last); gap < 7*time.Second || asked > 0 && gap < resortEvery {
				t.Fatalf("it is asked again after %s", gap)
			}
			last = time.Now()
			asked++
		}
		if asked < 340 || asked > 361 {
			t.Errorf("it is asked %d times within an hour, want one for every 10s", asked)
		}
	})
	in(t, "of many hardly oftener", func(t *testing.T) {
		m := several(t, 8, "")
		for _, c := range m.candidates {
			trip(t, c)
		}
		asked := 0
		for range 3600 * 10 {
			time.Sleep(100 * time.Millisecond)
			route, _ := m.Route(&Needs{}, RouteOptions{})
			for a, err := onward(&route); err == nil; a, err = onward(&route) {
				finish(a, OutcomeTimeout)
				asked++
			}
		}
		// Each breaker's own rounds come to at most one for every 3.5 minutes once they are patient.
		if asked < 340 || asked > 361+8*(5+3600/210) {
			t.Errorf("they are asked %d times within an hour", asked)
		}
	})
	in(t, "the one whose probe is due first", func(t *testing.T) {
		m := several(t, 4, "")
		now := m.clock.now()
		for i, due := range []time.Duration{90 * time.Second, 70 * time.Second, 50 * time.Second, 80 * time.Second} {
			b := m.candidates[i].lane.breaker
			trip(t, m.candidates[i])
			b.phase.Store(int64(now.after(due)))
		}
		m.candidates[2].lane.breaker.earlyDue.Store(int64(now.after(20 * time.Second))) // it has opened later
		time.Sleep(11 * time.Second)
		a := must(t, m)
		if a.Provider.Name != "b" {
			t.Errorf("%s is asked, want b", a.Provider.Name)
		}
		finish(a, OutcomeTimeout)
		if got := refused(t, m); got != resortEvery {
			t.Errorf("after a last resort it asks to retry after %s, want 10s", got)
		}
		time.Sleep(resortEvery)
		if a := must(t, m); a.Provider.Name != "c" {
			t.Errorf("%s is asked, want c", a.Provider.Name)
		}
	})
	in(t, "only of what breakers alone refuse", func(t *testing.T) {
		m := several(t, 3, "")
		for _, c := range m.candidates {
			trip(t, c)
		}
		time.Sleep(7 * time.Second)
		now := m.clock.now()
		m.candidates[0].lane.cooldown.begin(now, OutcomeThrottled, time.Minute)
		m.candidates[1].lane.account.quarantine.strike(now, false)
		m.candidates[2].lane.account.cooldown.begin(now, OutcomeQuota, time.Minute)
		time.Sleep(50 * time.Second)
		if got := refused(t, m); got < 10*time.Second || got > 25*time.Second {
			t.Errorf("it asks to retry after %s, want the rest of a cooldown", got)
		}
	})
	in(t, "and the next request may, where this one came too late", func(t *testing.T) {
		m := single(t, nil)
		l := m.candidates[0].lane
		l.address.failing.Store(math.MaxUint64)
		force(t, m.candidates[0], l.address.breaker, breakerStreak)
		l.address.breaker.phase.Store(int64(m.clock.now().after(time.Hour)))
		time.Sleep(probeDue)
		l.address.breaker.tell = func(change) { trip(t, m.candidates[0]) } // meanwhile
		if a, err := attempt(m); err == nil {
			t.Fatalf("%s is asked", label(a.Candidate))
		}
		l.address.breaker.tell = func(change) {}
		if due := m.thrift.resort.Load(); due != 0 {
			t.Errorf("a last resort that nobody was is due again in %s", time.Duration(due-int64(m.clock.now())))
		}
	})
	in(t, "not as a second attempt", func(t *testing.T) {
		m := several(t, 2, "")
		trip(t, m.candidates[0])
		time.Sleep(time.Second)
		m.candidates[0].lane.breaker.phase.Store(int64(m.clock.now().after(time.Hour)))
		time.Sleep(time.Minute)
		route, _ := m.Route(&Needs{}, RouteOptions{})
		a, err := onward(&route)
		if err != nil || a.Provider.Name != "b" {
			t.Fatalf("Next = %v, %v; want b", a, err)
		}
		finish(a, OutcomeServerError)
		if a, err := onward(&route); err == nil {
			t.Errorf("%s is asked although its breaker refuses", a.Provider.Name)
		}
	})
}
