package ratelimit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the bucket in exact arithmetic: what is in it is time, and a request costs as much as it takes to come back.
type model struct {
	room, perMinute, burst int64
	at                     time.Time
}

func (m *model) cost() int64     { return int64(time.Minute) / m.perMinute }
func (m *model) capacity() int64 { return m.burst * m.cost() }

func (m *model) resize(now time.Time, perMinute, burst int64) {
	m.room = min(m.room+now.Sub(m.at).Nanoseconds(), m.capacity())
	m.perMinute, m.burst, m.at = perMinute, burst, now
	m.room = min(m.room, m.capacity())
}

func (m *model) take() bool {
	if m.room < m.cost() {
		return false
	}
	m.room -= m.cost()
	return true
}

// until is the exact time until the bucket holds so much, rounded up to a millisecond.
func (m *model) until(room int64) time.Duration {
	const millisecond = int64(time.Millisecond)
	return time.Duration((max(0, room-m.room)+millisecond-1)/millisecond) * time.Millisecond
}

// Against exact arithmetic, for any sequence of takes, waits, changed limits and bursts. Limits and waits are chosen so
// that every figure is a whole number of nanoseconds: there is one right answer then.
func TestLimiterIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := rapid.SampledFrom([]int64{1, 2, 3, 6, 10, 60, 600, 6000, 60_000, 600_000})
		bursts := rapid.SampledFrom([]int64{0, 1, 5, 10, 20, 100})
		perMinute, burst := int64(0), int64(0)
		change := func(t *rapid.T) {
			perMinute = limits.Draw(t, "limit")
			burst = max(1, perMinute*bursts.Draw(t, "burst, tenths of the limit")/10)
		}
		change(t)
		l, clock := newLimiter(Config{})
		account := func() Account {
			return Account{ID: "k", Limits: Limits{RequestsPerMinute: int(perMinute), Burst: int(burst)}}
		}
		m := &model{perMinute: perMinute, burst: burst, at: clock.at}
		m.room = m.capacity()
		compare := func(got Answer, allowed bool) {
			t.Helper()
			exact := Decision{Allowed: allowed, Limit: m.perMinute, Reset: m.until(m.capacity())}
			if allowed {
				exact.Remaining = m.room / m.cost()
			} else {
				exact.RetryAfter = m.until(m.cost())
			}
			if got[KeyRequests] != exact {
				t.Fatalf("got  %+v\nwant %+v", got[KeyRequests], exact)
			}
		}
		first := takeOf(l, account(), Account{}) // before it, there is no bucket to change
		compare(first, m.take())
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "times") {
					m.resize(clock.at, perMinute, burst)
					got := takeOf(l, account(), Account{})
					compare(got, m.take())
				}
			},
			"peek": func(*rapid.T) {
				m.resize(clock.at, perMinute, burst)
				compare(peekOf(l, account(), Account{}), m.room >= m.cost())
			},
			"wait": func(t *rapid.T) {
				clock.advance(time.Duration(rapid.IntRange(0, 70_000).Draw(t, "ms")) * time.Millisecond)
			},
			"wait as told": func(t *rapid.T) {
				m.resize(clock.at, perMinute, burst)
				if d := peekOf(l, account(), Account{})[KeyRequests]; !d.Allowed {
					clock.advance(d.RetryAfter)
					if d := peekOf(l, account(), Account{})[KeyRequests]; !d.Allowed {
						t.Fatalf("after waiting as told: %+v", d)
					}
				}
			},
			"change": change,
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
		if float64(admitted) > ideal*(1+1e-7)+1e-3 { // a request costs a whole number of nanoseconds
			t.Fatalf("limit %d: admitted %d in %s, at most %.3f are right", perMinute, admitted, clock.at.Sub(began), ideal)
		}
	})
}
