package proxy

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAlarm(t *testing.T) {
	// f runs a script against an alarm with a deadline of 10 s and expects it to
	// go off after that time, for that reason; zero: never.
	f := func(name string, script func(a *alarm), after time.Duration, cause error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				a := newAlarm(cancel, begin.Add(10*time.Second))
				defer a.stop()
				var rang time.Duration
				context.AfterFunc(ctx, func() { rang = time.Since(begin) })
				script(a)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := context.Cause(ctx); !errors.Is(got, cause) || rang != after {
					t.Errorf("went off after %s because %v, want %s and %v", rang, got, after, cause)
				}
			})
		})
	}
	f("the deadline alone", func(*alarm) {}, 10*time.Second, errTotal)
	f("silence", func(a *alarm) { a.set(2*time.Second, errIdle) }, 2*time.Second, errIdle)
	f("set again by every event", func(a *alarm) {
		for range 3 {
			a.set(2*time.Second, errIdle)
			time.Sleep(time.Second)
		}
	}, 4*time.Second, errIdle)
	f("stands while the client blocks", func(a *alarm) {
		a.set(2*time.Second, errIdle)
		a.rest()
		time.Sleep(5 * time.Second)
		a.set(2*time.Second, errIdle)
	}, 7*time.Second, errIdle)
	f("never beyond the deadline", func(a *alarm) { a.set(time.Hour, errFirstToken) }, 10*time.Second, errTotal)
	f("a shorter limit after a longer one", func(a *alarm) {
		a.set(8*time.Second, errFirstToken)
		a.set(time.Second, errIdle)
	}, time.Second, errIdle)
	f("stopped", func(a *alarm) {
		a.set(2*time.Second, errIdle)
		a.stop()
		a.set(time.Second, errIdle)
	}, 0, nil)
}
