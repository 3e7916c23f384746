package ratelimit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the bucket in exact arithmetic: a request is perRequest units, a
// nanosecond refills as many units as requests are allowed per minute.
type model struct {
	units, perMinute int64
	at               time.Time
}

const perRequest = int64(time.Minute)

func (m *model) resize(now time.Time, perMinute int64) {
	elapsed := min(now.Sub(m.at).Nanoseconds(), int64(time.Minute))
	m.units = min(m.units+elapsed*m.perMinute, m.perMinute*perRequest, perMinute*perRequest)
	m.perMinute, m.at = perMinute, now
}

func (m *model) take() bool {
	if m.units < perRequest {
		return false
	}
	m.units -= perRequest
	return true
}

// until is the exact time until the bucket holds so many units, rounded up to a millisecond.
func (m *model) until(units int64) time.Duration {
	if missing := units - m.units; missing > 0 {
		perMillisecond := m.perMinute * int64(time.Millisecond)
		return time.Duration((missing+perMillisecond-1)/perMillisecond) * time.Millisecond
	}
	return 0
}

// Against exact arithmetic, for any sequence of takes, waits and changed limits.
// Limits and waits are chosen so that every figure is a whole number of
// nanoseconds: there is one right answer then, and floating point must find it.
func TestLimiterIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := rapid.SampledFrom([]int64{1, 2, 3, 6, 10, 60, 600, 6000, 60_000, 600_000})
		l, clock := newLimiter(Config{})
		perMinute := limits.Draw(t, "limit")
		m := &model{units: perMinute * perRequest, perMinute: perMinute, at: clock.at}
		compare := func(got Decision, allowed bool) {
			t.Helper()
			exact := Decision{Allowed: allowed, Limit: int(m.perMinute), Reset: m.until(m.perMinute * perRequest)}
			if allowed {
				exact.Remaining = int(m.units / perRequest)
			} else {
				exact.RetryAfter = m.until(perRequest)
			}
			if got != exact {
				t.Fatalf("got  %+v\nwant %+v", got, exact)
			}
		}
		compare(l.Take("k", int(perMinute)), m.take())
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "times") {
					m.resize(clock.at, perMinute)
					got := l.Take("k", int(perMinute))
					compare(got, m.take())
				}
			},
			"peek": func(*rapid.T) {
				m.resize(clock.at, perMinute)
				if m.perMinute == perMinute {
					compare(l.Peek("k", int(perMinute)), m.units >= perRequest)
				}
			},
			"wait": func(t *rapid.T) {
				clock.advance(time.Duration(rapid.IntRange(0, 70_000).Draw(t, "ms")) * time.Millisecond)
			},
			"wait as told": func(t *rapid.T) {
				m.resize(clock.at, perMinute)
				if d := l.Peek("k", int(perMinute)); !d.Allowed {
					clock.advance(d.RetryAfter)
					if d := l.Peek("k", int(perMinute)); !d.Allowed {
						t.Fatalf("after waiting as told: %+v", d)
					}
				}
			},
			"change": func(t *rapid.T) { perMinute = limits.Draw(t, "limit") },
		})
	})
}

// For limits of any size: what was promised is kept, and never more than the limit allows.
func TestRetryAfterIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perMinute := rapid.IntRange(1, 5000).Draw(t, "limit")
		l, clock := newLimiter(Config{})
		began, admitted := clock.at, 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			for l.Take("k", perMinute).Allowed {
				admitted++
			}
			d := l.Take("k", perMinute)
			if d.RetryAfter <= 0 || d.RetryAfter > time.Minute || d.RetryAfter%time.Millisecond != 0 || d.Remaining != 0 {
				t.Fatalf("refused with %+v", d)
			}
			clock.advance(d.RetryAfter - time.Millisecond)
			if early := l.Peek("k", perMinute); early.Allowed {
				t.Fatalf("limit %d: told to wait %s, but a millisecond less was enough", perMinute, d.RetryAfter)
			}
			clock.advance(time.Millisecond)
			if !l.Take("k", perMinute).Allowed {
				t.Fatalf("limit %d: refused after waiting %s as told", perMinute, d.RetryAfter)
			}
			admitted++
			clock.advance(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
		}
		ideal := float64(perMinute) + clock.at.Sub(began).Minutes()*float64(perMinute)
		if float64(admitted) > ideal+1e-3 {
			t.Fatalf("limit %d: admitted %d in %s, at most %.3f are right", perMinute, admitted, clock.at.Sub(began), ideal)
		}
	})
}
