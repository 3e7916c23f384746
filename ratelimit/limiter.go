package ratelimit

import (
	"sync/atomic"
	"time"
)

// Rate is a bucket of Burst requests, refilled evenly at PerMinute.
type Rate struct {
	// PerMinute is how many requests come back in a minute; 0 is no rate of one's own: a key has the default then, a
	// tenant no limit.
	PerMinute int
	// Burst is how many requests may come at once; 0 means PerMinute.
	Burst int
}

// Account is who spends: a key, or a tenant over all its keys.
type Account struct {
	// ID tells it from the others of its kind: a key's id and a tenant's name may be the same and never meet.
	ID string
	// Rate is its own, as it is now. Another one than at the last call takes effect at once, without a fresh burst.
	Rate Rate
}

// Decision is the answer of one bucket, with the figures a client is told.
type Decision struct {
	// Allowed tells whether the bucket has a request. Where it has, and another refuses, it keeps it.
	Allowed bool
	// Limit is the requests per minute in force; 0 means no limit, and the other figures are then zero.
	Limit int
	// Remaining is how many whole requests would pass at this moment, after this one: more than Limit where the burst is.
	Remaining int
	// Reset is the time until the bucket is full again, in whole milliseconds, rounded up: at most what the rate needs for
	// the burst, a minute where there is none.
	Reset time.Duration
	// RetryAfter is the time until one request would pass, in whole milliseconds, rounded up; zero when Allowed.
	RetryAfter time.Duration
}

// Answer is that of both buckets. A request passes when both have it.
type Answer struct{ Key, Tenant Decision }

// Allowed tells whether the request may pass.
func (a Answer) Allowed() bool { return a.Key.Allowed && a.Tenant.Allowed }

// Stricter returns what a client is told: of the buckets that refuse the one that does so for longer, else the
// one with less left; and whether it is the tenant's. The key's where they are alike.
func (a Answer) Stricter() (d Decision, ofTenant bool) {
	switch {
	case a.Key.RetryAfter != a.Tenant.RetryAfter:
		ofTenant = a.Tenant.RetryAfter > a.Key.RetryAfter
	case a.Tenant.Limit == 0:
	case a.Key.Limit == 0:
		ofTenant = true
	default:
		ofTenant = a.Tenant.Remaining < a.Key.Remaining
	}
	if ofTenant {
		return a.Tenant, true
	}
	return a.Key, false
}

// Limiter holds the buckets of the keys and of the tenants that spent something
// lately: at most Config.MaxKeys of each. To make room it drops buckets that are full
// again, which loses nothing: a bucket starts full. Only where all are in use does
// it drop the one that would be full the soonest; its owner may then spend once more
// what it had spent, never more than its limit.
type Limiter struct {
	byDefault     atomic.Int64
	keys, tenants buckets
	now           func() time.Time
}

// New returns a Limiter whose buckets are all full.
func New(c Config) *Limiter {
	most := c.MaxKeys
	if most <= 0 {
		most = defaultMaxKeys
	}
	l := &Limiter{keys: newBuckets(most), tenants: newBuckets(most), now: time.Now}
	l.SetDefault(c.Default)
	return l
}

// SetDefault puts another default into force at each key's next call. Buckets keep
// what is in them, so that a reload of the configuration gives nobody a fresh burst.
func (l *Limiter) SetDefault(d Limits) { l.byDefault.Store(int64(d.RequestsPerMinute)) }

// Take spends one request of both buckets, or nothing of either when it is refused.
func (l *Limiter) Take(key, tenant Account) Answer { return l.ask(key, tenant, spend) }

// Peek returns the figures at this moment and spends nothing: Allowed and
// RetryAfter tell what a request would meet.
func (l *Limiter) Peek(key, tenant Account) Answer { return l.ask(key, tenant, look) }

// purpose is what a bucket is asked for.
type purpose uint8

const (
	look purpose = iota
	spend
)

// ask decides under the locks of both buckets, the key's first, and with one time that is read under both:
// nobody can come between the question and the taking.
func (l *Limiter) ask(key, tenant Account, p purpose) Answer {
	if key.Rate.PerMinute <= 0 {
		key.Rate = Rate{PerMinute: int(max(l.byDefault.Load(), 0))}
	}
	k, t := l.keys.open(key, p), l.tenants.open(tenant, p)
	defer k.close()
	defer t.close()
	now := l.now()
	k.prepare(now)
	t.prepare(now)
	keyHas, tenantHas := k.has(now), t.has(now)
	if p == spend && keyHas && tenantHas {
		k.take(now)
		t.take(now)
	}
	return Answer{Key: k.decision(now, keyHas), Tenant: t.decision(now, tenantHas)}
}
