package upstream

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lengthenedFrom checks a time that only its jitter may lengthen.
func lengthenedFrom(t *testing.T, usual, got time.Duration) {
	t.Helper()
	if got < usual || got > usual*5/4 {
		t.Errorf("%s, want %s and up to a quarter more", got, usual)
	}
}

func TestCooldown(t *testing.T) {
	const named = time.Duration(0)
	t.Run("doubles up to a minute", func(t *testing.T) {
		var c cooldown
		now := instant(1)
		round := func(want time.Duration) {
			t.Helper()
			wait, isNew := c.begin(now, OutcomeThrottled, named)
			lengthenedFrom(t, want, wait)
			if !isNew || !c.holds(now.after(wait)-1) || c.holds(now.after(wait)) {
				t.Errorf("a cooldown of %s ends at another time", wait)
			}
			now = now.after(wait)
		}
		for _, seconds := range []time.Duration{2, 4, 8, 16, 32, 60, 60, 60} {
			round(seconds * time.Second)
		}
		c.over()
		round(2 * time.Second)
		round(4 * time.Second)
	})
	t.Run("counts a burst once", func(t *testing.T) {
		var c cooldown
		wait, _ := c.begin(1, OutcomeThrottled, named)
		for range 100 {
			if again, isNew := c.begin(2, OutcomeThrottled, named); again != 0 || isNew {
				t.Fatalf("another of the same burst lengthens it by %s", again)
			}
		}
		if c.holds(instant(1).after(wait)) {
			t.Error("a burst lengthens it")
		}
		wait, _ = c.begin(instant(1).after(wait), OutcomeThrottled, named)
		lengthenedFrom(t, 4*time.Second, wait)
	})
	t.Run("counts those who come at once once", func(t *testing.T) {
		cooldowns := make([]cooldown, 20_000)
		var ready atomic.Int32
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for ready.Add(1); ready.Load() < 2; {
				}
				for i := range cooldowns {
					cooldowns[i].begin(1, OutcomeThrottled, named)
				}
			})
		}
		all.Wait()
		for i := range cooldowns {
			if n := cooldowns[i].repeats.Load(); n != 1 {
				t.Fatalf("cooldown %d was asked for %d times", i, n)
			}
		}
	})
	t.Run("takes the time named, up to a minute", func(t *testing.T) {
		for _, at := range []struct{ asked, want time.Duration }{{time.Millisecond, time.Millisecond}, {10 * time.Second, 10 * time.Second}, {10 * time.Hour, time.Minute}} {
			for range 100 {
				var c cooldown
				wait, _ := c.begin(1, OutcomeThrottled, at.asked)
				lengthenedFrom(t, at.want, wait)
			}
		}
	})
	t.Run("is lengthened by a longer one, and not shortened", func(t *testing.T) {
		var c cooldown
		long, _ := c.begin(1, OutcomeThrottled, 20*time.Second)
		if _, isNew := c.begin(2, OutcomeThrottled, time.Second); isNew || !c.holds(instant(1).after(long)-1) {
			t.Error("a shorter time named later shortens it")
		}
		longer, isNew := c.begin(3, OutcomeThrottled, 40*time.Second)
		if isNew || !c.holds(instant(3).after(longer)-1) || c.holds(instant(3).after(longer)) {
			t.Error("a longer time named later does not lengthen it")
		}
	})
	t.Run("is of five minutes for a model that is not there", func(t *testing.T) {
		var c cooldown
		wait, _ := c.begin(1, OutcomeModelMissing, time.Second)
		lengthenedFrom(t, 5*time.Minute, wait)
	})
	t.Run("differs each time", func(t *testing.T) {
		seen := make(map[time.Duration]bool)
		var sum time.Duration
		for range 1000 {
			var c cooldown
			wait, _ := c.begin(1, OutcomeThrottled, named)
			seen[wait] = true
			sum += wait
		}
		if len(seen) < 990 {
			t.Errorf("1000 cooldowns are of %d different times", len(seen))
		}
		if mean := sum / 1000; mean < 2200*time.Millisecond || mean > 2300*time.Millisecond {
			t.Errorf("the mean is %s, want 2.25s", mean)
		}
	})
}

// TestCoolsWhom reports one attempt for the model x through the first credential of
// shared, and lists who cools.
func TestCoolsWhom(t *testing.T) {
	f := func(o Outcome, asked time.Duration, want ...string) {
		t.Helper()
		in(t, o.String(), func(t *testing.T) {
			table := seeded(t, shared)
			x, _ := table.Model("x")
			var a Attempt
			a.take(x.candidates[0], asker{tenant: tenantOf("")}, x.clock.now(), onTime)
			a.Report(Report{Outcome: o, RetryIn: asked})
			a.End(EndingUnknown)
			var got []string
			for _, e := range table.Endpoints() {
				if e.State == StateCooling {
					got = append(got, e.Provider+" "+e.Credential+" "+e.Model+": "+e.Why)
					lengthenedFrom(t, max(asked, 2*time.Second), e.ProbeIn)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			time.Sleep(max(asked, 2*time.Second) * 5 / 4)
			for _, e := range table.Endpoints() {
				if e.State != StateReady {
					t.Errorf("afterwards %s is %s", e.Model, e.State)
				}
			}
		})
	}
	f(OutcomeThrottled, 0, "p #1 x: throttled")
	f(OutcomeThrottled, 30*time.Second, "p #1 x: throttled")
	f(OutcomeQuota, 0, "p #1 x: quota", "p #1 y: quota", "p #1 z: quota")
	f(OutcomeQuota, 40*time.Second, "p #1 x: quota", "p #1 y: quota", "p #1 z: quota")
	f(OutcomeModelMissing, 5*time.Minute, "p #1 x: model_missing")
	f(OutcomeServerError, 30*time.Second)
	f(OutcomeRequestRefused, 30*time.Second)
}

// TestNoRequestWhileCooling has 10,000 requests that find one of two credentials
// cooling, again and again.
func TestNoRequestWhileCooling(t *testing.T) {
	for _, o := range []Outcome{OutcomeThrottled, OutcomeQuota} {
		in(t, o.String(), func(t *testing.T) {
			m := model(t, seeded(t, manyCandidates(2)))
			tired := m.candidates[0]
			asked, until := 0, time.Time{}
			for range 10_000 {
				a := must(t, m)
				if a.Candidate != tired {
					finish(a, OutcomeOK)
				} else {
					if asked++; time.Now().Before(until) {
						t.Fatalf("it is asked %s too early", time.Until(until))
					}
					until = time.Now().Add(20 * time.Second)
					a.Report(Report{Outcome: o, RetryIn: 20 * time.Second})
					a.End(EndingUnknown)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if asked < 4 || asked > 6 {
				t.Errorf("within 100s it is asked %d times, want once in 20s to 25s", asked)
			}
		})
	}
}

func TestCooldownStartsOver(t *testing.T) {
	in(t, "after an answer", func(t *testing.T) {
		m := single(t, nil)
		for _, o := range []Outcome{OutcomeThrottled, OutcomeQuota} {
			for range 2 {
				for _, seconds := range []time.Duration{2, 4, 8} {
					burst(t, m, 10, o)
					wait := standing(m.candidates[0]).ProbeIn
					lengthenedFrom(t, seconds*time.Second, wait)
					if got := refused(t, m); got != wait {
						t.Errorf("it asks to retry after %s, want %s", got, wait)
					}
					time.Sleep(wait)
				}
				report(t, m, 1, OutcomeOK)
			}
		}
	})
	in(t, "and is told once", func(t *testing.T) {
		log, lines := newLog()
		monitor := NewMonitor(log, nil)
		m := single(t, monitor)
		burst(t, m, 50, OutcomeThrottled)
		monitor.Close()
		want := `level=INFO msg="left alone for a while: the provider asked for it" provider=p upstream="https://h/v1 key #1" model=m duration_ms=NNNN outcome=throttled`
		if diff := cmp.Diff(want, withoutDuration(lines.lines())); diff != "" {
			t.Error(diff)
		}
	})
}
