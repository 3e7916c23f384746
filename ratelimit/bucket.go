package ratelimit

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// bucket is what one key may spend. Its shard's lock protects it, and every time
// it is given was read under that lock: rate.Limiter refills twice for an
// interval that it is led through backwards.
type bucket struct {
	tokens    *rate.Limiter
	perMinute int
	fullAt    time.Time // then it is as good as a new one, if nothing is taken before
}

func newBucket(perMinute int) *bucket {
	return &bucket{tokens: rate.NewLimiter(perSecond(perMinute), perMinute), perMinute: perMinute}
}

// resize puts another limit into force. What is in the bucket stays, cut to the new
// capacity: a raised limit gives no burst that was not earned, at the old rate until now.
func (b *bucket) resize(now time.Time, perMinute int) {
	if b.perMinute == perMinute {
		return
	}
	b.tokens.SetLimitAt(now, perSecond(perMinute))
	b.tokens.SetBurstAt(now, perMinute)
	b.perMinute = perMinute
}

// take spends one request, or nothing when there is none.
func (b *bucket) take(now time.Time) Decision {
	return b.decision(now, b.tokens.AllowN(now, 1))
}

// peek tells what take would meet.
func (b *bucket) peek(now time.Time) Decision {
	return b.decision(now, b.whole(now) >= 1)
}

// decision is the answer, with the figures as they stand after it.
func (b *bucket) decision(now time.Time, allowed bool) Decision {
	d := Decision{Allowed: allowed, Limit: b.perMinute, Reset: b.untilHas(b.perMinute, now)}
	b.fullAt = now.Add(d.Reset)
	if allowed {
		d.Remaining = b.whole(now)
	} else {
		d.RetryAfter = max(b.untilHas(1, now), time.Millisecond)
	}
	return d
}

// whole is how many whole requests are in the bucket. AllowN lets one pass that
// comes less than a nanosecond early; so does this, or the two would contradict
// each other after every wait that is not a whole number of nanoseconds.
func (b *bucket) whole(now time.Time) int {
	perNanosecond := float64(perSecond(b.perMinute)) * time.Nanosecond.Seconds()
	return max(0, int(math.Floor(b.tokens.TokensAt(now)+perNanosecond)))
}

// untilHas is the time until so many requests are in the bucket, in whole milliseconds, rounded up.
func (b *bucket) untilHas(requests int, now time.Time) time.Duration {
	missing := float64(requests) - b.tokens.TokensAt(now)
	wait := time.Duration(missing / float64(perSecond(b.perMinute)) * float64(time.Second))
	if wait <= 0 {
		return 0
	}
	return (wait + time.Millisecond - 1).Truncate(time.Millisecond)
}

func perSecond(perMinute int) rate.Limit {
	return rate.Limit(float64(perMinute) / time.Minute.Seconds())
}
