package upstream

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// probeDue is when a breaker that has opened once lets probes through at the latest.
const probeDue = 13*time.Second + time.Millisecond

// placeDue is when a half-open breaker lets the next probe through after one that said nothing.
const placeDue = breakerTimeout/breakerProbes + time.Nanosecond

func TestBreakerRecovers(t *testing.T) {
	in(t, "after three good probes", func(t *testing.T) {
		log, lines := newLog()
		monitor := NewMonitor(log, nil)
		m := single(t, monitor)
		report(t, m, 5, OutcomeTimeout)
		wait := refused(t, m)
		if wait < 7*time.Second || wait > 10*time.Second {
			t.Errorf("an open breaker asks to retry after %s, want 7s to 10s", wait)
		}
		time.Sleep(wait - time.Millisecond)
		refused(t, m)
		if state(m) != StateOpen {
			t.Errorf("before the first probe it is %s", state(m))
		}
		time.Sleep(2 * time.Millisecond)
		a := must(t, m)
		if state(m) != StateHalfOpen {
			t.Errorf("with a probe on its way it is %s", state(m))
		}
		b, c := must(t, m), must(t, m)
		if got := refused(t, m); got != time.Second {
			t.Errorf("with all probes out it asks to retry after %s, want 1s", got)
		}
		finish(a, OutcomeOK)
		finish(b, OutcomeRequestRefused)
		refused(t, m)
		finish(c, OutcomeOK)
		if state(m) != StateReady {
			t.Errorf("after three good probes it is %s", state(m))
		}
		report(t, m, 100, OutcomeOK)
		monitor.Close()
		want := `level=WARN msg="circuit breaker opened: the upstream keeps failing" provider=p upstream="https://h/v1 key #1" model=m duration_ms=` +
			"NNNN\n" + `level=INFO msg="circuit breaker half open: probing" provider=p upstream="https://h/v1 key #1" model=m` +
			"\n" + `level=INFO msg="circuit breaker closed: the upstream works again" provider=p upstream="https://h/v1 key #1" model=m`
		if diff := cmp.Diff(want, withoutDuration(lines.lines())); diff != "" {
			t.Error(diff)
		}
	})
	in(t, "or not, after a bad one", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeServerError)
		for range 10 {
			time.Sleep(probeDue)
			a, b := must(t, m), must(t, m)
			finish(a, OutcomeOK)
			finish(b, OutcomeServerError)
			refused(t, m)
		}
	})
	in(t, "and a probe whose client left gives its place back", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeServerError)
		time.Sleep(probeDue)
		for range 1000 {
			report(t, m, 1, OutcomeClientGone)
			time.Sleep(placeDue)
		}
		if state(m) != StateHalfOpen {
			t.Errorf("departed clients make it %s", state(m))
		}
		for range 3 {
			report(t, m, 1, OutcomeOK)
			time.Sleep(placeDue)
		}
		if state(m) != StateReady {
			t.Errorf("after three good probes it is %s", state(m))
		}
	})
	in(t, "or not, whatever probes say that come back after a bad one", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeTimeout)
		time.Sleep(probeDue)
		a, b, c := must(t, m), must(t, m), must(t, m)
		finish(a, OutcomeTimeout)
		time.Sleep(time.Second)
		finish(b, OutcomeOK)
		finish(c, OutcomeClientGone)
		refused(t, m)
		if got := standing(m.candidates[0]); got.State != StateOpen || got.ProbeIn < 13*time.Second || got.ProbeIn > 25*time.Second {
			t.Errorf("late probes make it %s for %s", got.State, got.ProbeIn)
		}
	})
	in(t, "and what began before it opened says nothing", func(t *testing.T) {
		m := single(t, nil)
		old := []*Attempt{must(t, m), must(t, m), must(t, m), must(t, m)}
		report(t, m, 5, OutcomeServerError)
		finish(old[0], OutcomeOK)
		if state(m) != StateOpen {
			t.Errorf("an answer to what began before it opened makes it %s", state(m))
		}
		time.Sleep(probeDue)
		probe := must(t, m)
		finish(old[1], OutcomeServerError)
		if state(m) != StateHalfOpen {
			t.Errorf("an attempt from before it opened makes it %s", state(m))
		}
		finish(probe, OutcomeOK)
		report(t, m, 2, OutcomeOK)
		report(t, m, 4, OutcomeServerError)
		finish(old[2], OutcomeServerError)
		if state(m) != StateReady {
			t.Errorf("a failure from before it opened counts: it is %s", state(m))
		}
		finish(old[3], OutcomeOK)
		report(t, m, 1, OutcomeServerError)
		if state(m) != StateOpen {
			t.Errorf("an answer from before it opened counts: it is %s", state(m))
		}
	})
}

// withoutDuration joins log lines, with the jittered duration made comparable.
func withoutDuration(lines []string) string {
	for i, line := range lines {
		if before, after, ok := strings.Cut(line, "duration_ms="); ok {
			lines[i] = before + "duration_ms=NNNN" + strings.TrimLeft(after, "0123456789")
		}
	}
	return strings.Join(lines, "\n")
}

func TestReportCountsOnce(t *testing.T) {
	in(t, "from one goroutine", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 10, OutcomeOK)
		for range 4 {
			a := must(t, m)
			for range 3 {
				finish(a, OutcomeServerError)
			}
		}
		if state(m) != StateReady {
			t.Errorf("four failures, reported thrice each, make it %s", state(m))
		}
	})
	in(t, "the first of two", func(t *testing.T) {
		m := single(t, nil)
		for range 20 {
			a := must(t, m)
			a.Report(Report{Outcome: OutcomeClientGone})
			finish(a, OutcomeServerError)
		}
		if state(m) != StateReady {
			t.Errorf("departed clients, reported as failures later, make it %s", state(m))
		}
	})
	in(t, "from many goroutines", func(t *testing.T) {
		m := single(t, nil)
		for range 4 {
			a := must(t, m)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { a.Report(Report{Outcome: OutcomeServerError}) })
			}
			all.Wait()
			for range 8 {
				all.Go(func() { a.End(EndingUnknown) })
			}
			all.Wait()
		}
		if got := standing(m.candidates[0]); got.State != StateReady || got.Pending != 0 {
			t.Errorf("four failures, reported and ended by eight goroutines each, make it %s with %d pending", got.State, got.Pending)
		}
	})
}

// TestAbandonedProbes never reports a probe: a panic, a hang, a mistake. The
// breaker may not stay half open longer than an attempt may take.
func TestAbandonedProbes(t *testing.T) {
	in(t, "ended without a report, 1000 times", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeServerError)
		time.Sleep(probeDue)
		for range 1000 {
			must(t, m).End(EndingUnknown)
			time.Sleep(placeDue)
		}
		if state(m) != StateHalfOpen {
			t.Errorf("abandoned probes make it %s", state(m))
		}
		for range 3 {
			report(t, m, 1, OutcomeOK)
			time.Sleep(placeDue)
		}
		if got := standing(m.candidates[0]); got.State != StateReady || got.Pending != 0 {
			t.Errorf("after three good probes it is %s with %d pending", got.State, got.Pending)
		}
	})
	in(t, "never ended, 1000 times", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeTimeout)
		// The probes before may have all their time, and the breaker is open after them.
		const longest = slow + probeDue + 2*time.Second
		for range 1000 {
			begin := time.Now()
			for admitted := 0; admitted < breakerProbes && state(m) != StateOpen || admitted == 0; time.Sleep(time.Second) {
				if _, err := attempt(m); err == nil {
					admitted++ // and never reported
				}
				if waited := time.Since(begin); waited > longest {
					t.Fatalf("stuck for %s, want at most %s", waited, longest)
				}
			}
		}
	})
	in(t, "and reported too late", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeTimeout)
		time.Sleep(probeDue)
		probe := must(t, m)
		time.Sleep(slow)
		synctest.Wait()
		if state(m) != StateOpen {
			t.Fatalf("an overdue probe leaves it %s", state(m))
		}
		finish(probe, OutcomeOK)
		refused(t, m)
	})
	in(t, "but not when reported in time", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeTimeout)
		time.Sleep(probeDue)
		for range 3 {
			probe := must(t, m)
			time.Sleep(slow - time.Second)
			finish(probe, OutcomeOK)
			if probe.permits.lane.probe.watchdog.Stop() {
				t.Error("a reported probe is still watched")
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if state(m) != StateReady {
			t.Errorf("probes reported just in time make it %s", state(m))
		}
	})
}
