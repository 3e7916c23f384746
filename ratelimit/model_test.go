package ratelimit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the bucket in exact arithmetic: a request is perRequest units, a
// nanosecond refills as many units as requests are allowed per minute.
type model struct {
	units, perMinute, burst int64
	at                      time.Time
}

const perRequest = int64(time.Minute)

func (m *model) resize(now time.Time, perMinute, burst int64) {
	elapsed := min(now.Sub(m.at).Nanoseconds(), m.burst*perRequest/m.perMinute+1) // more would fill it as well
	m.units = min(m.units+elapsed*m.perMinute, m.burst*perRequest, burst*perRequest)
	m.perMinute, m.burst, m.at = perMinute, burst, now
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

// burstFor is a burst in proportion to the limit: a bucket that takes days to fill would
// need more digits than a float64 has for its every nanosecond.
func burstFor(t *rapid.T, perMinute int64) int64 {
	return max(1, perMinute*rapid.SampledFrom([]int64{0, 1, 5, 10, 20, 100}).Draw(t, "burst, tenths of the limit")/10)
}

// Against exact arithmetic, for any sequence of takes, waits, changed limits and bursts.
// Limits and waits are chosen so that every figure is a whole number of
// nanoseconds: there is one right answer then, and floating point must find it.
func TestLimiterIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := rapid.SampledFrom([]int64{1, 2, 3, 6, 10, 60, 600, 6000, 60_000, 600_000})
		l, clock := newLimiter(Config{})
		perMinute := limits.Draw(t, "limit")
		burst := burstFor(t, perMinute)
		account := func() Account { return Account{ID: "k", Rate: Rate{PerMinute: int(perMinute), Burst: int(burst)}} }
		peek := func() Decision { return l.Peek(account(), Account{}).Key }
		take := func() Decision { return l.Take(account(), Account{}).Key }
		m := &model{units: burst * perRequest, perMinute: perMinute, burst: burst, at: clock.at}
		compare := func(got Decision, allowed bool) {
			t.Helper()
			exact := Decision{Allowed: allowed, Limit: int(m.perMinute), Reset: m.until(m.burst * perRequest)}
			if allowed {
				exact.Remaining = int(m.units / perRequest)
			} else {
				exact.RetryAfter = m.until(perRequest)
			}
			if got != exact {
				t.Fatalf("got  %+v\nwant %+v", got, exact)
			}
		}
		compare(take(), m.take())
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "times") {
					m.resize(clock.at, perMinute, burst)
					got := take()
					compare(got, m.take())
				}
			},
			"peek": func(*rapid.T) {
				m.resize(clock.at, perMinute, burst)
				if m.perMinute == perMinute && m.burst == burst {
					compare(peek(), m.units >= perRequest)
				}
			},
			"wait": func(t *rapid.T) {
				clock.advance(time.Duration(rapid.IntRange(0, 70_000).Draw(t, "ms")) * time.Millisecond)
			},
			"wait as told": func(t *rapid.T) {
				m.resize(clock.at, perMinute, burst)
				if d := peek(); !d.Allowed {
					clock.advance(d.RetryAfter)
					if d := peek(); !d.Allowed {
						t.Fatalf("after waiting as told: %+v", d)
					}
				}
			},
			"change": func(t *rapid.T) {
				perMinute = limits.Draw(t, "limit")
				burst = burstFor(t, perMinute)
			},
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
			for take(l, "k", perMinute).Allowed {
				admitted++
			}
			d := take(l, "k", perMinute)
			if d.RetryAfter <= 0 || d.RetryAfter > time.Minute || d.RetryAfter%time.Millisecond != 0 || d.Remaining != 0 {
				t.Fatalf("refused with %+v", d)
			}
			clock.advance(d.RetryAfter - time.Millisecond)
			if early := peek(l, "k", perMinute); early.Allowed {
				t.Fatalf("limit %d: told to wait %s, but a millisecond less was enough", perMinute, d.RetryAfter)
			}
			clock.advance(time.Millisecond)
			if !take(l, "k", perMinute).Allowed {
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
