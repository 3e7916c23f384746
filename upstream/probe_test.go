package upstream

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBreakerRecovers(t *testing.T) {
	in(t, "after three good probes", func(t *testing.T) {
		log, lines := newLog()
		m := single(t, log)
		report(t, m, 5, OutcomeServerError)
		wait := refused(t, m)
		if wait < 7*time.Second || wait > 13*time.Second {
			t.Errorf("an open breaker asks to retry after %s, want 10s +-30%%", wait)
		}
		time.Sleep(wait - time.Millisecond)
		refused(t, m)
		if state(m) != StateOpen {
			t.Errorf("before the first probe it is %s", state(m))
		}
		time.Sleep(2 * time.Millisecond)
		if state(m) != StateHalfOpen {
			t.Errorf("with a probe due it is %s", state(m))
		}
		a, b, c := must(t, m), must(t, m), must(t, m)
		if got := refused(t, m); got != time.Second {
			t.Errorf("with all probes out it asks to retry after %s, want 1s", got)
		}
		a.Report(Report{Outcome: OutcomeOK})
		b.Report(Report{Outcome: OutcomeRequestRefused})
		refused(t, m)
		c.Report(Report{Outcome: OutcomeOK})
		if state(m) != StateReady {
			t.Errorf("after three good probes it is %s", state(m))
		}
		report(t, m, 100, OutcomeOK)
		want := `level=WARN msg="circuit breaker opened: the upstream keeps failing" provider=p model=m upstream="https://h/v1 key #1" duration_ms=` +
			"NNNN\n" + `level=INFO msg="circuit breaker half open: probing" provider=p model=m upstream="https://h/v1 key #1"` +
			"\n" + `level=INFO msg="circuit breaker closed: the upstream works again" provider=p model=m upstream="https://h/v1 key #1"`
		if diff := cmp.Diff(want, withoutDuration(lines.lines())); diff != "" {
			t.Error(diff)
		}
	})
	in(t, "or not, after a bad one", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeServerError)
		for range 10 {
			time.Sleep(13*time.Second + time.Millisecond)
			a, b := must(t, m), must(t, m)
			a.Report(Report{Outcome: OutcomeOK})
			b.Report(Report{Outcome: OutcomeServerError})
			refused(t, m)
		}
	})
	in(t, "and a probe whose client left gives its place back", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeServerError)
		time.Sleep(13*time.Second + time.Millisecond)
		report(t, m, 1000, OutcomeClientGone)
		if state(m) != StateHalfOpen {
			t.Errorf("departed clients make it %s", state(m))
		}
		report(t, m, 3, OutcomeOK)
		if state(m) != StateReady {
			t.Errorf("after three good probes it is %s", state(m))
		}
	})
	in(t, "and what began before it opened says nothing", func(t *testing.T) {
		m := single(t, nil)
		old := must(t, m)
		report(t, m, 5, OutcomeServerError)
		time.Sleep(13*time.Second + time.Millisecond)
		probe := must(t, m)
		old.Report(Report{Outcome: OutcomeServerError})
		if state(m) != StateHalfOpen {
			t.Errorf("an attempt from before it opened makes it %s", state(m))
		}
		probe.Report(Report{Outcome: OutcomeOK})
	})
}

// withoutDuration joins log lines, with the jittered duration made comparable.
func withoutDuration(lines []string) string {
	for i, line := range lines {
		if before, _, ok := strings.Cut(line, "duration_ms="); ok {
			lines[i] = before + "duration_ms=NNNN"
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
				a.Report(Report{Outcome: OutcomeServerError})
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
			a.Report(Report{Outcome: OutcomeServerError})
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
		}
		if state(m) != StateReady {
			t.Errorf("four failures, reported by eight goroutines each, make it %s", state(m))
		}
	})
}

// TestAbandonedProbes never reports a probe: a panic, a hang, a mistake. The
// breaker may not stay half open longer than an attempt may take.
func TestAbandonedProbes(t *testing.T) {
	in(t, "1000 times", func(t *testing.T) {
		log, lines := newLog()
		m := single(t, log)
		report(t, m, 5, OutcomeServerError)
		// The probes before may have all their time, and the breaker is open after them.
		const longest = slow + 14*time.Second
		for range 1000 {
			begin := time.Now()
			for admitted := 0; admitted < breakerProbes && state(m) != StateOpen || admitted == 0; time.Sleep(100 * time.Millisecond) {
				if _, err := attempt(m); err == nil {
					admitted++ // and never reported
				}
				if waited := time.Since(begin); waited > longest {
					t.Fatalf("stuck for %s, want at most %s", waited, longest)
				}
			}
		}
		if got := lines.lines()[2]; got != `level=WARN msg="a probe was never reported and counts as failed" provider=p model=m upstream="https://h/v1 key #1"` {
			t.Errorf("the watchdog logs %s", got)
		}
	})
	in(t, "and reported too late", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeServerError)
		time.Sleep(13*time.Second + time.Millisecond)
		probe := must(t, m)
		time.Sleep(slow)
		synctest.Wait()
		if state(m) != StateOpen {
			t.Fatalf("an overdue probe leaves it %s", state(m))
		}
		probe.Report(Report{Outcome: OutcomeOK})
		refused(t, m)
	})
	in(t, "but not when reported in time", func(t *testing.T) {
		m := single(t, nil)
		report(t, m, 5, OutcomeServerError)
		time.Sleep(13*time.Second + time.Millisecond)
		for range 3 {
			probe := must(t, m)
			time.Sleep(slow - time.Second)
			probe.Report(Report{Outcome: OutcomeOK})
			if probe.permit.watchdog.Stop() {
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
