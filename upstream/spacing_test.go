package upstream

import (
	"sync"
	"testing"
	"time"
)

// TestPlacesAreSpaced has an upstream hang that is probed by requests whose clients
// leave: it must not be sent one after the other, however many there are.
func TestPlacesAreSpaced(t *testing.T) {
	in(t, "where clients leave after a second", func(t *testing.T) {
		m := several(t, 2, "")
		trip(t, m.candidates[0])
		time.Sleep(probeDue)
		hung := 0
		for range 600 {
			a := must(t, m)
			if a.Candidate != m.candidates[0] {
				finish(a, OutcomeOK)
			} else {
				hung++
				time.AfterFunc(time.Second, func() { finish(a, OutcomeClientGone) })
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if hung > 60*3/10+breakerProbes {
			t.Errorf("within a minute %d of 600 requests go to an upstream that hangs, want one for every 3.3s at most", hung)
		}
		if state(m) != StateHalfOpen {
			t.Errorf("it is %s", state(m))
		}
	})
	in(t, "but answers may follow each other", func(t *testing.T) {
		m := single(t, nil)
		trip(t, m.candidates[0])
		time.Sleep(probeDue)
		report(t, m, 3, OutcomeOK)
		if state(m) != StateReady {
			t.Errorf("it is %s", state(m))
		}
	})
	in(t, "and a new round has all its places at once", func(t *testing.T) {
		m := single(t, nil)
		trip(t, m.candidates[0])
		time.Sleep(probeDue)
		other := must(t, m)
		report(t, m, 1, OutcomeClientGone)
		refused(t, m)
		finish(other, OutcomeTimeout)
		time.Sleep(26*time.Second + time.Millisecond)
		burst(t, m, 3, OutcomeOK)
	})
}

// TestGenerations lets attempts through while a breaker opens: they say nothing
// about what it is afterwards.
func TestGenerations(t *testing.T) {
	in(t, "whenever it was looked at", func(t *testing.T) {
		var told []State
		b := newBreaker(newClock(), rule{tripsOnFailures, breakerCredit}, func(c change) { told = append(told, c.state) })
		begin := func(generation uint32) *permit {
			return &permit{breaker: b}
		}
		for range breakerStreak {
			settled(begin(b.generation.Load()), effectFailure)
		}
		// It was found closed, and is open before or after its generation was looked at.
		for _, generation := range []uint32{b.generation.Load() - 1, b.generation.Load()} {
			for _, e := range []effect{effectFailure, effectSuccess} {
				for range 10 {
					time.Sleep(time.Millisecond)
					settled(begin(generation), e)
				}
			}
		}
		if len(told) != 1 || told[0] != StateOpen || b.ready(b.clock.now(), onTime) {
			t.Errorf("it becomes %q", told)
		}
	})
	t.Run("its number comes last", func(t *testing.T) {
		// Whoever finds it closed, while it opens, must find the number of before.
		var b *breaker
		during := uint32(0)
		b = newBreaker(newClock(), rule{tripsOnFailures, breakerCredit}, func(change) { during = b.generation.Load() })
		for range breakerStreak {
			settled(&permit{breaker: b}, effectFailure)
		}
		if after := b.generation.Load(); during != 0 || after != 1 {
			t.Errorf("while it opens it is %d, and then %d", during, after)
		}
	})
	t.Run("of many at once", func(t *testing.T) {
		for range 200 {
			var (
				mu   sync.Mutex
				told []State
				all  sync.WaitGroup
			)
			b := newBreaker(newClock(), rule{tripsOnFailures, breakerCredit}, func(c change) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, c.state)
			})
			for range 3 {
				all.Go(func() {
					for range 50 {
						if p := (permit{}); b.admit(&p, b.clock.now(), onTime) {
							settled(&p, effectFailure)
						}
					}
				})
			}
			all.Wait()
			if len(told) != 1 || told[0] != StateOpen {
				t.Fatalf("within a moment it becomes %q", told)
			}
		}
	})
}
