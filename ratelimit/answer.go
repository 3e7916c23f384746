package ratelimit

import "time"

// Decision is the answer of one limit, with the figures a client is told.
type Decision struct {
	// Allowed tells whether the limit has what the request needs. Where it has, and another refuses, it keeps it.
	Allowed bool
	// Shadow says that the limit is not enforced: it refuses nobody, whatever it decides.
	Shadow bool
	// Limit is what is in force, per minute or at once; 0 means no limit, and the other figures are then zero.
	Limit int64
	// Remaining is how many whole requests, tokens or slots are left at this moment, after this request. Between
	// replicas it is what this one knows, at most half a second old.
	Remaining int64
	// Reset is the time until all of the burst is there again, in whole milliseconds, rounded up; zero for slots.
	Reset time.Duration
	// RetryAfter is the time until the request would pass, in whole milliseconds, rounded up; zero when Allowed. Nobody
	// knows when a slot is given back: for one it is a second.
	RetryAfter time.Duration
}

// Refuses tells whether the request must not pass because of it.
func (d Decision) Refuses() bool { return !d.Allowed && !d.Shadow }

// Answer is that of all limits, each at its own index.
type Answer [LimitCount]Decision

// Allowed tells whether the request may pass.
func (a *Answer) Allowed() bool {
	for i := range a {
		if a[i].Refuses() {
			return false
		}
	}
	return true
}

// Strictest returns the limit that a client is told of: of those that refuse the one that does so for longer, and the
// first of them where they are alike. It is only of use where Allowed is false.
func (a *Answer) Strictest() Limit {
	var strictest Limit
	for i, longest := 0, time.Duration(-1); i < LimitCount; i++ {
		if a[i].Refuses() && a[i].RetryAfter > longest {
			strictest, longest = Limit(i), a[i].RetryAfter
		}
	}
	return strictest
}

// Tightest returns, of the key's and the tenant's decision on a dimension, the one with less left; false where
// there is no such limit. One that refuses is tighter than one that does not, and one in shadow counts only where
// there is no other.
func (a *Answer) Tightest(d Dimension) (Decision, bool) {
	key, tenant := a[2*d], a[2*d+1]
	switch {
	case key.Limit == 0:
		return tenant, tenant.Limit > 0
	case tenant.Limit == 0:
		return key, true
	case key.Shadow != tenant.Shadow:
		if key.Shadow {
			return tenant, true
		}
	case key.RetryAfter != tenant.RetryAfter:
		if tenant.RetryAfter > key.RetryAfter {
			return tenant, true
		}
	case tenant.Remaining < key.Remaining:
		return tenant, true
	}
	return key, true
}
