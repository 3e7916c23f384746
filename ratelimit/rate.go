package ratelimit

import (
	"math/bits"
	"time"
)

// maxSpan is the longest that a bucket may take to fill, in nanoseconds: 46 days. Two of them add up to less than
// 2^53, as far as Lua, whose numbers are doubles, counts exactly.
const maxSpan = 4_000_000 * int64(time.Second)

// tokenRate is what fills one bucket: perMinute, evenly, to burst at most. Both are above 0.
//
// A bucket is measured in nanoseconds of its own refill: what it lacks of being full is how long it takes to be so.
// That is GCRA (ITU-T I.371, Annex A), whose theoretical arrival time is the present plus what is lacking.
type tokenRate struct{ perMinute, burst int64 }

// cost is what n requests or tokens take out of the bucket: the time in which they come back, rounded down, so that
// exactly burst fit into a full bucket; at least a nanosecond, and maxSpan at most. Nothing costs nothing.
func (r tokenRate) cost(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return max(1, scale(n, int64(time.Minute), r.perMinute))
}

// capacity is what a full bucket holds.
func (r tokenRate) capacity() int64 { return r.cost(r.burst) }

// worth is how many requests or tokens cost span nanoseconds at most, together; none where it is negative, and no more
// than the burst.
func (r tokenRate) worth(span int64) int64 {
	if span <= 0 || r.perMinute <= 0 {
		return 0
	}
	// As cost is rounded down, n of them cost no more where n * minute < (span + 1) * perMinute.
	high, low := bits.Mul64(uint64(span)+1, uint64(r.perMinute))
	low, borrow := bits.Sub64(low, 1, 0)
	count, _ := bits.Div64(high-borrow, low, uint64(time.Minute)) // span <= maxSpan and perMinute <= 1e12: high is below a minute
	return min(int64(count), r.burst)
}

// scale is n * by / over, rounded down, and maxSpan at most. None is negative, and over is not 0.
func scale(n, by, over int64) int64 {
	high, low := bits.Mul64(uint64(n), uint64(by))
	if high >= uint64(over) {
		return maxSpan
	}
	scaled, _ := bits.Div64(high, low, uint64(over))
	return int64(min(scaled, uint64(maxSpan)))
}

// level is how far one bucket is from full. The zero level is that of a bucket that nobody has ever drawn from.
type level struct {
	missing  int64 // nanoseconds of refill until it is full, as of asOf; above capacity: debt
	capacity int64 // that it was last filled to; 0: none yet
	asOf     int64 // microseconds, by the one clock that the bucket lives by
}

// fill lets the bucket fill until now, and gives it a capacity. What room it has it keeps, cut to the new capacity: to
// raise a burst gives nobody a fresh one, and to change it to and fro earns nothing. A clock that was set back costs
// the time between: with the old one the bucket would stand still until then.
func (l *level) fill(now, capacity int64) {
	if elapsed := min(now-l.asOf, maxSpan/1000); elapsed > 0 {
		l.missing = max(0, l.missing-elapsed*1000)
	}
	if l.capacity != 0 {
		l.missing = max(0, l.missing+capacity-l.capacity)
	}
	l.capacity, l.asOf = capacity, now
}

// owe takes n out of the bucket, be it there or not, or gives -n back. No more is given back than is missing.
func (l *level) owe(n int64) { l.missing = min(max(0, l.missing+n), maxSpan) }

// room is what can be drawn; negative: debt.
func (l *level) room() int64 { return l.capacity - l.missing }
