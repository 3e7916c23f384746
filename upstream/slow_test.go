package upstream

import (
	"fmt"
	"testing"
	"time"
)

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
						finish(a, OutcomeTimeout)
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
	f("an hour, at 1 a minute", time.Minute, time.Hour, time.Hour+6*time.Minute)
}

// TestSlowFailuresAmongAnswers has two of three attempts hang, while the answers
// come at once: what hangs counts when it has failed, and not when it began.
func TestSlowFailuresAmongAnswers(t *testing.T) {
	f := func(takes time.Duration) {
		t.Helper()
		in(t, takes.String(), func(t *testing.T) {
			m := single(t, nil)
			for range 200 {
				if state(m) != StateReady {
					break
				}
				for range 2 {
					a := must(t, m)
					go func() {
						time.Sleep(takes)
						finish(a, OutcomeTimeout)
					}()
				}
				report(t, m, 1, OutcomeOK)
				time.Sleep(5 * time.Second)
			}
			if state(m) != StateOpen {
				t.Errorf("two failures for each answer leave it %s", state(m))
			}
			time.Sleep(takes)
		})
	}
	f(31 * time.Second) // nothing fails at the very moment at which something begins
	f(61 * time.Second)
	f(slow)
	f(601 * time.Second)
}

// TestQuickFailuresAmongAnswers has some attempts fail at once, while the answers
// take their time: failures come in a row, but most of the attempts succeed.
func TestQuickFailuresAmongAnswers(t *testing.T) {
	f := func(failures, of int) {
		t.Helper()
		in(t, fmt.Sprintf("%d of %d", failures, of), func(t *testing.T) {
			m := single(t, nil)
			for i := range 3000 {
				a, err := attempt(m)
				if err != nil {
					t.Errorf("it is %s after %d attempts", state(m), i)
					break
				}
				if i%of < failures {
					finish(a, OutcomeTimeout)
				} else {
					go func() {
						time.Sleep(20 * time.Second)
						finish(a, OutcomeOK)
					}()
				}
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(20 * time.Second)
		})
	}
	f(1, 3)
	f(2, 5)
	f(3, 10)
}
