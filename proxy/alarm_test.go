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

// laterSevered is a stream that is severed at a moment.
type laterSevered struct {
	at     time.Time
	looked []time.Time
}

func (s *laterSevered) severed() bool {
	now := time.Now()
	s.looked = append(s.looked, now)
	return !now.Before(s.at)
}

// TestAlarmLooks ends a silence within a second of the end of its key, and never for
// a time limit when the key has ended before.
func TestAlarmLooks(t *testing.T) {
	f := func(name string, severed time.Duration, script func(a *alarm), after time.Duration, cause error, looks int) {
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
				stream := laterSevered{at: begin.Add(severed)}
				a.watch(&stream)
				script(a)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := context.Cause(ctx); !errors.Is(got, cause) || rang != after || len(stream.looked) != looks {
					t.Errorf("went off after %s because %v, having looked %d times; want %s, %v and %d", rang, got, len(stream.looked), after, cause, looks)
				}
			})
		})
	}
	silence := func(limit time.Duration) func(*alarm) {
		return func(a *alarm) { a.wait(time.Now(), limit, errIdle) }
	}
	f("in silence", 3500*time.Millisecond, silence(8*time.Second), 4*time.Second, errKeyRevoked, 4)
	f("just before the silence is too long", 3500*time.Millisecond, silence(3700*time.Millisecond), 3700*time.Millisecond, errKeyRevoked, 4)
	f("just before the deadline", 9500*time.Millisecond, silence(time.Minute), 10*time.Second, errKeyRevoked, 10)
	f("after the silence was too long", 3900*time.Millisecond, silence(3700*time.Millisecond), 3700*time.Millisecond, errIdle, 4)
	f("not while the stream's goroutine works", 0, func(a *alarm) {
		a.wait(time.Now(), 8*time.Second, errIdle)
		a.rest()
	}, 10*time.Second, errTotal, 0)
	f("not when it is over", 0, func(a *alarm) {
		a.wait(time.Now(), 8*time.Second, errIdle)
		a.hush()
	}, 8*time.Second, errIdle, 0)
	f("not for a client that left", 0, func(a *alarm) {
		a.wait(time.Now(), 8*time.Second, errIdle)
		a.shorten(3*time.Second, errDrainOver)
	}, 3*time.Second, errDrainOver, 0)
	f("once a second, however many bytes drip", time.Hour, func(a *alarm) {
		since := time.Now()
		for range 700 {
			a.wait(since, 8*time.Second, errIdle)
			time.Sleep(10 * time.Millisecond)
			a.rest()
		}
		a.wait(since, 8*time.Second, errIdle)
	}, 8*time.Second, errIdle, 8)
}
