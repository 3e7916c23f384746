package ratelimit

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

const (
	// leaseTime is how long a lease may be spent before what is left of it goes back, in microseconds.
	leaseTime = int64(500 * time.Millisecond / time.Microsecond)
	// leaseSpan is how much is drawn at best, in nanoseconds of refill: what comes back in a tenth of a second.
	leaseSpan = int64(100 * time.Millisecond)
	// leastLeased is the lowest rate at which more is drawn than is needed, per minute: 20 a second.
	leastLeased = 20 * 60
	// freshFor is how long a bucket that lacks something is believed to, in microseconds: others may give back.
	freshFor = int64(250 * time.Millisecond / time.Microsecond)
	// jitter keeps replicas that wait for the same moment apart, in nanoseconds.
	jitter = int64(5 * time.Millisecond)
)

// bucket is what one replica knows and has of one bucket. Its group's lock protects it.
type bucket struct {
	rate tokenRate // as of the last request; perMinute 0: no limit

	// Where replicas share it:
	lease    *rate.Limiter // drawn and not spent; never refilled; nil: nothing
	ends     int64         // when the lease does
	owed     int64         // to be posted; negative: to be given back
	posting  int64         // on its way to the bank, and not acknowledged
	number   uint64        // of that posting
	seen     level         // as of the last order, by this replica's clock
	seenAt   int64         // when that was
	known    bool          // seen holds something
	patience int64         // how much more than what it needs this replica waits for, after it was refused

	// Alone:
	share level // at a rate of 1/N
	began level // what share would be, had nothing been drawn since the bank was lost, or was last told
	spell uint64

	line int // its place in the order that is being made, from 1
}

// bounds are the least and the most that is drawn beyond a need; 0, 0 where each request is asked for. Low rates
// and small bursts are: what lies in one replica's lease is missed in the others.
func (b *bucket) bounds(replicas int64) (least, most int64) {
	if b.rate.perMinute < leastLeased || b.rate.burst < 4*replicas {
		return 0, 0
	}
	most = min(leaseSpan, b.rate.capacity()/(2*replicas))
	return most / 2, most
}

// covers tells whether the lease has cost.
func (b *bucket) covers(cost, now int64) bool {
	return cost == 0 || now < b.ends && b.left() >= cost
}

// spend takes a cost that the lease covers.
func (b *bucket) spend(cost int64) {
	if cost > 0 {
		b.lease.AllowN(time.Time{}, int(cost)) // as it is never refilled, the time is all the same to it
	}
}

// charge takes as much of a cost as the lease has, and returns the rest. What is negative it returns as it is.
func (b *bucket) charge(cost int64) (rest int64) {
	paid := min(cost, b.left())
	if paid <= 0 {
		return cost
	}
	b.spend(paid)
	return cost - paid
}

// left is what the lease has.
func (b *bucket) left() int64 {
	if b.lease == nil {
		return 0
	}
	return int64(b.lease.TokensAt(time.Time{}))
}

// endLease gives what is left of the lease back, with the next order.
func (b *bucket) endLease() {
	b.owed = clamp(b.owed-b.left(), maxSpan)
	b.lease = nil
}

// room is what could be drawn now, as far as this replica knows: all of it, where it knows nothing.
func (b *bucket) room(now int64) int64 {
	return b.rate.capacity() - b.missing(now)
}

func (b *bucket) missing(now int64) int64 {
	if !b.known {
		return max(0, b.owed)
	}
	b.seen.fill(now, b.rate.capacity())
	return max(0, b.seen.missing+b.owed+b.posting)
}

// needed is the room that a cost takes at the bank.
func (b *bucket) needed(cost, replicas int64) int64 {
	least, _ := b.bounds(replicas)
	return max(cost, least)
}

// awaited is the room that this replica waits for: never more than a full bucket has.
func (b *bucket) awaited(cost, replicas int64) int64 {
	return min(b.rate.capacity(), b.needed(cost, replicas)+b.patience)
}

// refuses tells whether the bank is known to refuse a cost at this moment.
func (b *bucket) refuses(cost, replicas, now int64) bool {
	return cost > 0 && b.known && now-b.seenAt < freshFor && b.room(now) < b.awaited(cost, replicas)
}

// wait is how long a cost that is refused has to wait, in nanoseconds.
func (b *bucket) wait(cost, replicas, now int64) int64 {
	return b.awaited(cost, replicas) - b.room(now)
}

// heed takes in what the bank has said of the bucket.
func (b *bucket) heed(line *Line, now int64) {
	b.seen = level{missing: line.Missing, capacity: line.Capacity, asOf: now}
	b.seenAt, b.known, b.patience = now, true, 0
	if line.Owed != 0 {
		b.posting = 0
	}
}

// refused makes the replica wait a little longer than it needs to, so that not all come at the same moment, and so that
// there is more to be had then.
func (b *bucket) refused(replicas int64) {
	_, most := b.bounds(replicas)
	b.patience = rand.Int64N(max(jitter, most)) //nolint:gosec // no secret: it spreads calls
}

// post makes what is owed a posting, unless the last one is still on its way. No posting is more than the bucket
// holds: the rest follows.
func (b *bucket) post(number func() uint64) {
	if b.posting != 0 || b.owed == 0 {
		return
	}
	b.posting = clamp(b.owed, b.rate.capacity())
	b.owed -= b.posting
	b.number = number()
}

// due tells whether the bank must hear of it. A lease that has ended goes back.
func (b *bucket) due(now int64) bool {
	if b.rate.perMinute == 0 { // the limit was taken away
		b.lease, b.owed, b.posting = nil, 0, 0
	}
	if b.lease != nil && now >= b.ends {
		b.endLease()
	}
	return b.owed != 0 || b.posting != 0
}

// fullIn is how long it takes until nothing is lost when the bucket is forgotten, in nanoseconds.
func (b *bucket) fullIn(now int64) int64 {
	if b.share.capacity == 0 {
		return 0 // nobody has ever drawn of it
	}
	b.share.fill(now, b.share.capacity)
	return b.share.missing
}

// clamp bounds n to most, and to -most.
func clamp(n, most int64) int64 { return max(-most, min(n, most)) }

// times is n * by, maxSpan at most, and -maxSpan at least.
func times(n, by int64) int64 {
	if n < 0 {
		return -scale(-n, by, 1)
	}
	return scale(n, by, 1)
}
