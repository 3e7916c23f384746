package upstream

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// near compares two latencies in seconds as exactly as they are kept.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-3*max(a, b) }

func TestLatency(t *testing.T) {
	const start = instant(time.Hour)
	f := func(name string, do func(l *latency), after time.Duration, want float64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var l latency
			do(&l)
			if got := l.read(start.after(after)); !near(got, want) {
				t.Errorf("%s later it is %.4fs, want %.4fs", after, got, want)
			}
		})
	}
	once := func(l *latency) { l.observe(start, 2*time.Second) }
	f("nothing is known at first", func(*latency) {}, 0, 0)
	f("one measurement", once, 0, 2)
	f("fades", once, 10*time.Second, 2/math.E)
	f("and again", once, 20*time.Second, 2/math.E/math.E)
	f("and is forgotten", once, 30*time.Second+time.Millisecond, 0)
	f("a peak counts at once", func(l *latency) {
		once(l)
		l.observe(start, 20*time.Second)
	}, 0, 20)
	f("what is quicker at once does not", func(l *latency) {
		once(l)
		l.observe(start, time.Second)
	}, 0, 2)
	f("what is quicker counts by and by", func(l *latency) {
		once(l)
		l.observe(start.after(10*time.Second), time.Second)
	}, 10*time.Second, 2/math.E+(1-1/math.E))
	f("what comes after it was forgotten stands alone", func(l *latency) {
		l.observe(start, time.Minute)
		l.observe(start.after(31*time.Second), time.Second)
	}, 31*time.Second, 1)
	f("a failure is slow", func(l *latency) { l.penalise(start, time.Microsecond) }, 0, 0.1)
	f("a slow failure is what it is", func(l *latency) { l.penalise(start, 3*time.Second) }, 0, 3)
	f("a failure is twice as slow as usual", func(l *latency) {
		once(l)
		l.penalise(start, time.Microsecond)
	}, 0, 4)
	f("failures that come together count once", func(l *latency) {
		once(l)
		for range 100 {
			l.penalise(start.after(999*time.Millisecond), time.Microsecond)
		}
	}, 999*time.Millisecond, 4*math.Exp(-0.0999))
	f("failures that go on make it slow, up to a bound", func(l *latency) {
		for i := range 100 {
			l.penalise(start.after(time.Duration(i-99)*time.Second), time.Microsecond)
		}
	}, 0, 5)
	f("a failure makes nobody quicker", func(l *latency) {
		l.observe(start, 20*time.Second)
		l.penalise(start, time.Microsecond)
	}, 0, 20)
	f("who waits in vain waits as long at least", func(l *latency) {
		once(l)
		l.atLeast(start, 7*time.Second)
	}, 0, 7)
	f("and makes nobody quicker", func(l *latency) {
		once(l)
		l.atLeast(start.after(5*time.Second), time.Second)
	}, 5*time.Second, 2*math.Exp(-0.5))
	f("nor known", func(l *latency) { l.atLeast(start, 7*time.Second) }, 0, 0)
	const day = 24 * time.Hour
	for _, days := range []time.Duration{1, 24, 25, 30, 40, 49} { // the time comes round
		f(fmt.Sprintf("is forgotten %d days later", days), once, days*day, 0)
		f(fmt.Sprintf("and stands for nothing %d days later", days), func(l *latency) {
			l.observe(start, time.Minute)
			l.observe(start.after(days*day), time.Second)
		}, days*day, 1)
	}
	f("is whole for who has looked at the clock a moment before", func(l *latency) {
		l.observe(start.after(time.Second), 2*time.Second)
	}, 0, 2)
	f("a wait of nothing is known as well", func(l *latency) { l.observe(start, 0) }, 0, 1e-6)
}

// TestLatencyLikeFloats does the same with plain numbers.
func TestLatencyLikeFloats(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var (
			l    latency
			mean float64
			last instant
			hit  instant // when a failure last counted double
			now  = instant(rapid.Int64Range(1, int64(100*24*time.Hour/time.Millisecond)).Draw(r, "start") * int64(time.Millisecond))
		)
		kept := func() float64 { return math.Exp(-time.Duration(now-last).Seconds() / 10) }
		known := func() float64 {
			if last == 0 || now-last > instant(30*time.Second) {
				return 0
			}
			return mean * kept()
		}
		observe := func(took float64) {
			if took = max(took, 1e-6); known() == 0 || took >= mean {
				mean = took
			} else {
				mean = mean*kept() + took*(1-kept())
			}
			last = now
		}
		for range rapid.IntRange(1, 50).Draw(r, "steps") {
			now = now.after(time.Duration(rapid.Int64Range(0, 20_000).Draw(r, "ms")) * time.Millisecond)
			took := time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(r, "took"))
			if rapid.Bool().Draw(r, "fails") {
				usual := known()
				if hit == 0 || now-hit >= instant(time.Second) {
					usual, hit = max(usual, min(2*usual, 5)), now
				}
				observe(max(took.Seconds(), usual, 0.1))
				l.penalise(now, took)
			} else {
				observe(took.Seconds())
				l.observe(now, took)
			}
			if got := l.read(now); !near(got, known()) {
				r.Fatalf("it is %.6fs, want %.6fs", got, known())
			}
			now = now.after(time.Duration(rapid.Int64Range(0, 31_000).Draw(r, "later")) * time.Millisecond)
			if got := l.read(now); !near(got, known()) {
				r.Fatalf("later it is %.6fs, want %.6fs", got, known())
			}
		}
	})
}

func TestLatencyFromManyGoroutines(t *testing.T) {
	var l latency
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 2000 {
				l.observe(instant(time.Second).after(time.Duration(i)*time.Millisecond), time.Duration(1+worker)*time.Second)
				if got := l.read(instant(time.Second).after(2 * time.Second)); got < 0.8 || got > 8 {
					t.Errorf("of measurements between 1s and 8s, it makes %.3fs", got)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestLatencyOfKinds keeps first events and whole answers apart.
func TestLatencyOfKinds(t *testing.T) {
	in(t, "as operators see them", func(t *testing.T) {
		m := single(t, nil)
		for _, r := range []struct {
			kind Kind
			took time.Duration
		}{{Streamed, time.Second}, {Plain, 30 * time.Second}} {
			a := mustOf(t, m, RouteOptions{Kind: r.kind})
			a.Report(Report{Outcome: OutcomeOK, Took: r.took})
			a.End(EndingWhole)
		}
		got := standing(m.candidates[0])
		if !near(got.FirstEvent.Seconds(), 1) || !near(got.Answer.Seconds(), 30) {
			t.Errorf("a first event takes %s, an answer %s; want 1s and 30s", got.FirstEvent, got.Answer)
		}
		for _, o := range []Outcome{OutcomeThrottled, OutcomeRequestRefused, OutcomeAbandoned, OutcomeShortage} {
			a := must(t, m)
			a.Report(Report{Outcome: o, Took: time.Hour, RetryIn: time.Nanosecond})
			a.End(EndingUnknown)
			time.Sleep(time.Microsecond)
		}
		if got := standing(m.candidates[0]); !near(got.Answer.Seconds(), 30) {
			t.Errorf("what is neither an answer nor a failure makes it %s", got.Answer)
		}
	})
}

// TestAwaited is for how long nothing has come.
func TestAwaited(t *testing.T) {
	var l latency
	at := func(s int) instant { return instant(time.Hour).after(time.Duration(s) * time.Second) }
	f := func(second int, want float64) {
		t.Helper()
		if got := l.awaited(at(second)); got != want {
			t.Errorf("after %ds something is awaited for %gs, want %gs", second, got, want)
		}
	}
	f(0, 0)
	l.begin(at(1))
	f(4, 3)
	l.begin(at(5)) // another one does not change for how long the first is awaited
	f(7, 6)
	l.observe(at(8), 3*time.Second)
	l.end()
	f(8, 0)
	f(11, 3)
	l.penalise(at(12), time.Second)
	f(13, 1)
	l.end()
	f(20, 0) // nothing is awaited any more
	l.begin(at(30))
	f(31, 1)
	l.end() // the client left, say: that is no news
	f(32, 0)
}

// TestAwaitedByOutcome has two attempts wait, and one of them decided after 10 s.
func TestAwaitedByOutcome(t *testing.T) {
	f := func(o Outcome, want time.Duration) {
		t.Helper()
		in(t, o.String(), func(t *testing.T) {
			m := single(t, nil)
			a, b := must(t, m), must(t, m)
			time.Sleep(10 * time.Second)
			finish(a, o)
			time.Sleep(3 * time.Second)
			l := &m.candidates[0].lane.answer
			if got := l.awaited(m.clock.now()); !near(got, want.Seconds()) {
				t.Errorf("something is awaited for %.3fs, want %s", got, want)
			}
			finish(b, OutcomeAbandoned)
		})
	}
	for o := range outcomeCount {
		switch o {
		case OutcomeShortage, OutcomeOutOfTime, OutcomeClientGone, OutcomeAbandoned:
			f(o, 13*time.Second) // nothing has come
		default:
			f(o, 3*time.Second)
		}
	}
}

// TestClientsLeave has clients wait in vain: whoever keeps them waiting is slow.
func TestClientsLeave(t *testing.T) {
	for _, o := range []Outcome{OutcomeClientGone, OutcomeOutOfTime} {
		in(t, o.String(), func(t *testing.T) {
			m := single(t, nil)
			report(t, m, 1, OutcomeOK)
			for _, at := range []struct{ waited, want time.Duration }{{500, 1000}, {8000, 8000}, {3000, 8000}} {
				a := must(t, m)
				a.Report(Report{Outcome: o, Took: at.waited * time.Millisecond})
				a.End(EndingUnknown)
				if got := standing(m.candidates[0]).Answer; !near(got.Seconds(), (at.want * time.Millisecond).Seconds()) {
					t.Errorf("after %d ms in vain an answer takes %s, want %d ms", at.waited, got, at.want)
				}
			}
		})
	}
}
