package ratelimit

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// bucket is what one account may spend. Its shard's lock protects it, and every
// time it is given was read under that lock: rate.Limiter refills twice for an
// interval that it is led through backwards.
type bucket struct {
	tokens *rate.Limiter
	rate   Rate      // with its Burst, never 0
	fullAt time.Time // then it is as good as a new one, if nothing is taken before
}

func newBucket(r Rate) *bucket {
	return &bucket{tokens: rate.NewLimiter(r.perSecond(), r.Burst), rate: r}
}

// resize puts another rate into force. What is in the bucket stays, cut to the new
// capacity: a raised limit gives no burst that was not earned, at the old rate until now.
func (b *bucket) resize(now time.Time, r Rate) {
	if b.rate == r {
		return
	}
	b.tokens.SetLimitAt(now, r.perSecond())
	b.tokens.SetBurstAt(now, r.Burst)
	b.rate = r
}

// has tells whether a request may be taken now. It computes what AllowN does, to the
// last bit: what has promised, take keeps.
func (b *bucket) has(now time.Time) bool { return b.wait(1, now) <= 0 }

// take spends the request that has promised.
func (b *bucket) take(now time.Time) { b.tokens.AllowN(now, 1) }

// allowed is the answer to a request that may pass, with the figures as they stand after it.
func (b *bucket) allowed(now time.Time) Decision {
	d := b.figures(now)
	d.Allowed, d.Remaining = true, b.whole(now)
	return d
}

// refused is the answer to a request that may not.
func (b *bucket) refused(now time.Time) Decision {
	d := b.figures(now)
	d.RetryAfter = max(b.untilHas(1, now), time.Millisecond)
	return d
}

func (b *bucket) figures(now time.Time) Decision {
	d := Decision{Limit: b.rate.PerMinute, Reset: b.untilHas(b.rate.Burst, now)}
	b.fullAt = now.Add(d.Reset)
	return d
}

// whole is how many whole requests are in the bucket. AllowN lets one pass that
// comes less than a nanosecond early; so does this, or the two would contradict
// each other after every wait that is not a whole number of nanoseconds.
func (b *bucket) whole(now time.Time) int {
	perNanosecond := float64(b.rate.perSecond()) * time.Nanosecond.Seconds()
	return max(0, int(math.Floor(b.tokens.TokensAt(now)+perNanosecond)))
}

// untilHas is the time until so many requests are in the bucket, in whole milliseconds, rounded up.
func (b *bucket) untilHas(requests int, now time.Time) time.Duration {
	wait := b.wait(requests, now)
	if wait <= 0 {
		return 0
	}
	if wait > math.MaxInt64-time.Millisecond {
		return wait.Truncate(time.Millisecond)
	}
	return (wait + time.Millisecond - 1).Truncate(time.Millisecond)
}

// wait is the same to the nanosecond, and not positive where they are there.
func (b *bucket) wait(requests int, now time.Time) time.Duration {
	missing := float64(requests) - b.tokens.TokensAt(now)
	nanoseconds := missing / float64(b.rate.perSecond()) * float64(time.Second)
	if nanoseconds >= math.MaxInt64 {
		return math.MaxInt64 // a bucket of 1e9 that is refilled once per minute
	}
	return time.Duration(nanoseconds)
}

func (r Rate) perSecond() rate.Limit {
	return rate.Limit(float64(r.PerMinute) / time.Minute.Seconds())
}
