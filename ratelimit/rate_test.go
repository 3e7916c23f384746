package ratelimit

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawRate is one of any size that an operator may set, small ones being as likely as huge ones.
func drawRate(t *rapid.T) tokenRate {
	return tokenRate{perMinute: drawSize(t, "per minute", maxTokens), burst: drawSize(t, "burst", maxTokens)}
}

func drawSize(t *rapid.T, name string, most int64) int64 {
	digits := rapid.Int64Range(1, 13).Draw(t, name+", digits")
	return rapid.Int64Range(1, min(most, int64(math.Pow10(int(digits))))).Draw(t, name)
}

// exactly is n * by / over in arithmetic without bounds, rounded down.
func exactly(n, by, over int64) *big.Int {
	product := new(big.Int).Mul(big.NewInt(n), big.NewInt(by))
	return product.Div(product, big.NewInt(over))
}

func TestCost(t *testing.T) {
	f := func(perMinute, burst, n, cost, capacity int64) {
		t.Helper()
		r := tokenRate{perMinute, burst}
		if got := r.cost(n); got != cost {
			t.Errorf("%+v: %d cost %d ns, want %d", r, n, got, cost)
		}
		if got := r.capacity(); got != capacity {
			t.Errorf("%+v: a capacity of %d ns, want %d", r, got, capacity)
		}
	}
	f(60, 60, 1, 1e9, 60e9)
	f(60, 1, 3, 3e9, 1e9)
	f(7, 7, 1, 8_571_428_571, 60e9) // 8571428571.43
	f(7, 7, 7, 60e9, 60e9)
	f(60, 60, 0, 0, 60e9)
	f(60, 60, -1, 0, 60e9)
	f(60, 60, math.MinInt64, 0, 60e9)
	f(1, 1, math.MaxInt64, 4e15, 60e9)
	f(1, 66_666, 66_667, 4e15, 3_999_960_000_000_000) // 46 days, 7 hours, 7 minutes
	f(1, 66_667, 66_666, 3_999_960_000_000_000, 4e15)
	f(1, maxRequests, 1, 60e9, 4e15)
	f(maxTokens, maxTokens, 1, 1, 60e9) // 0.06
	f(maxTokens, maxTokens, 1000, 60, 60e9)
	f(maxTokens, 1, math.MaxInt64, 4e15, 1)
}

func TestCostIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRate(t)
		n := rapid.OneOf(rapid.Int64(), rapid.Int64Range(1, 1e6)).Draw(t, "n")
		want := exactly(max(n, 0), int64(time.Minute), r.perMinute)
		if want.Cmp(big.NewInt(maxSpan)) > 0 {
			want.SetInt64(maxSpan)
		}
		if want.Sign() == 0 && n > 0 {
			want.SetInt64(1)
		}
		if got := r.cost(n); want.Cmp(big.NewInt(got)) != 0 {
			t.Fatalf("%+v: %d cost %d ns, want %s", r, n, got, want)
		}
	})
}

// What a span is worth is the most that it pays for.
func TestWorthIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRate(t)
		span := rapid.OneOf(rapid.Int64Range(-maxSpan, maxSpan-1), rapid.Int64Range(0, int64(time.Minute))).Draw(t, "span")
		worth := r.worth(span)
		if worth < 0 || worth > r.burst || worth > 0 && r.cost(worth) > span {
			t.Fatalf("%+v: %d ns are told to be worth %d, which cost %d", r, span, worth, r.cost(worth))
		}
		if more := worth + 1; more <= r.burst && r.cost(more) <= span {
			t.Fatalf("%+v: %d ns are told to be worth %d, and one more costs %d", r, span, worth, r.cost(more))
		}
	})
}

// A full bucket holds its burst, one by one, and not one more: exactly so where a request costs many times the nanosecond
// to which it is rounded, and with one more of as many as a request costs nanoseconds in any case.
func TestBurstFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := tokenRate{perMinute: drawSize(t, "per minute", maxRequests), burst: drawSize(t, "burst", maxRequests)}
		if exactly(r.burst, int64(time.Minute), r.perMinute).Cmp(big.NewInt(maxSpan)) > 0 {
			if r.capacity() != maxSpan {
				t.Fatalf("%+v: takes more than 46 days to fill, and is cut to %d ns", r, r.capacity())
			}
			return
		}
		fit := r.capacity() / r.cost(1)
		if most := r.burst + r.burst/r.cost(1) + 1; fit < r.burst || fit > most {
			t.Fatalf("%+v: %d requests fit, want %d to %d", r, fit, r.burst, most)
		}
		if r.burst < r.cost(1) && fit != r.burst {
			t.Fatalf("%+v: %d requests fit, want %d", r, fit, r.burst)
		}
		if together := r.cost(r.burst); together != r.capacity() {
			t.Fatalf("%+v: the burst costs %d ns at once, and the bucket holds %d", r, together, r.capacity())
		}
		if left := r.worth(r.capacity()); left != r.burst {
			t.Fatalf("%+v: a full bucket is told to hold %d", r, left)
		}
	})
}

// at is a moment in the microseconds in which buckets count.
func at(d time.Duration) int64 { return int64(1_800_000_000_000_000) + d.Microseconds() }

func TestLevel(t *testing.T) {
	minute := int64(time.Minute)
	var l level
	want := func(what string, missing, room time.Duration) {
		t.Helper()
		if time.Duration(l.missing) != missing || time.Duration(l.room()) != room {
			t.Errorf("%s: %s are missing and %s can be drawn, want %s and %s", what, time.Duration(l.missing), time.Duration(l.room()), missing, room)
		}
	}
	l.fill(at(0), minute)
	want("new", 0, time.Minute)
	l.owe(minute / 2)
	want("half is drawn", 30*time.Second, 30*time.Second)
	l.fill(at(10*time.Second), minute)
	want("it fills", 20*time.Second, 40*time.Second)
	l.owe(minute)
	want("debt", 80*time.Second, -20*time.Second)
	l.owe(-minute / 2)
	want("some is given back", 50*time.Second, 10*time.Second)
	l.owe(-2 * minute)
	want("more than is missing is given back", 0, time.Minute)

	l.owe(minute / 4)
	l.fill(at(10*time.Second), 2*minute)
	want("twice the burst", 75*time.Second, 45*time.Second)
	l.fill(at(10*time.Second), minute)
	want("once again", 15*time.Second, 45*time.Second)
	l.fill(at(10*time.Second), minute/6)
	want("a sixth: cut", 0, 10*time.Second)
	l.fill(at(10*time.Second), minute)
	want("to and fro", 50*time.Second, 10*time.Second)

	l.fill(at(-time.Hour), minute)
	want("the clock is set back", 50*time.Second, 10*time.Second)
	l.fill(at(5*time.Second-time.Hour), minute)
	want("and goes on from there", 45*time.Second, 15*time.Second)
	l.fill(math.MaxInt64, minute)
	want("the end of time", 0, time.Minute)
}

// For any sequence of draws, debts, waits and changed capacities: what is missing is never negative and never beyond what
// Lua counts exactly, and what can be drawn never exceeds the capacity, nor what time has earned since it was last cut.
func TestLevelHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l level
		now := at(0)
		capacity := rapid.Int64Range(1, maxSpan)
		full := capacity.Draw(t, "capacity")
		l.fill(now, full)
		room := full
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			elapsed := rapid.OneOf(rapid.Int64Range(-1e12, 0), rapid.Int64Range(0, 1e6), rapid.Int64Range(0, math.MaxInt32*1000)).Draw(t, "elapsed")
			if rapid.Bool().Draw(t, "change") {
				full = capacity.Draw(t, "capacity")
			}
			now += elapsed
			l.fill(now, full)
			owed := rapid.Int64Range(-full, full).Draw(t, "owed")
			room += max(0, min(elapsed, maxSpan/1000)) * 1000
			if l.missing < 0 || l.missing > 2*maxSpan || l.room() > full || l.room() > room {
				t.Fatalf("%+v has room for %d, at most %d are right", l, l.room(), room)
			}
			before := l.room()
			l.owe(owed)
			if l.missing < 0 || l.missing > maxSpan || l.room() > full {
				t.Fatalf("%+v", l)
			}
			if l.room() < before-owed && owed >= 0 {
				t.Fatalf("%d owed have taken more: the room was %d, and is %d", owed, before, l.room())
			}
			room = l.room()
		}
	})
}

// However often a capacity is changed and changed back, it earns nothing.
func TestChangesEarnNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		full := rapid.Int64Range(1, maxSpan).Draw(t, "capacity")
		var l level
		l.fill(at(0), full)
		l.owe(rapid.Int64Range(0, full).Draw(t, "spent"))
		room := l.room()
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			l.fill(at(0), rapid.Int64Range(1, maxSpan).Draw(t, "another capacity"))
			if l.room() > room {
				t.Fatalf("a room of %d has become one of %d", room, l.room())
			}
			room = l.room()
		}
		l.fill(at(0), full)
		if l.room() > room {
			t.Fatalf("a room of %d has become one of %d", room, l.room())
		}
	})
}
