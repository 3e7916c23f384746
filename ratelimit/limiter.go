package ratelimit

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// maxShards keeps the locks apart: more than any machine has cores that would meet on one.
const maxShards = 64

// Decision is the answer to one question, with the figures a client is told.
type Decision struct {
	// Allowed tells whether the request may pass.
	Allowed bool
	// Limit is the requests per minute in force; 0 means no limit, and the other figures are then zero.
	Limit int
	// Remaining is how many whole requests would pass at this moment, after this one.
	Remaining int
	// Reset is the time until the bucket is full again, in whole milliseconds, rounded up; at most a minute.
	Reset time.Duration
	// RetryAfter is the time until one request would pass, in whole milliseconds, rounded up; zero when Allowed.
	RetryAfter time.Duration
}

// Limiter holds the buckets of the keys that spent something lately: at most
// Config.MaxKeys. To make room it drops buckets that are full again, which loses
// nothing: a key's bucket starts full. Only where all are in use does it drop the
// one that would be full the soonest; that key may then spend once more what it
// had spent, never more than its limit.
type Limiter struct {
	byDefault atomic.Int64
	seed      maphash.Seed
	shards    []shard
	now       func() time.Time
}

// New returns a Limiter whose buckets are all full.
func New(c Config) *Limiter {
	maxKeys := c.MaxKeys
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	// A power of two, so that the hash is masked, and never more shards than keys.
	count := 1 << (bits.Len(uint(min(maxKeys, maxShards))) - 1)
	l := &Limiter{seed: maphash.MakeSeed(), shards: make([]shard, count), now: time.Now}
	for i := range l.shards {
		l.shards[i].buckets = make(map[string]*bucket)
		l.shards[i].most = maxKeys / count
	}
	l.SetDefault(c.Default)
	return l
}

// SetDefault puts another default into force at each key's next call. Buckets keep
// what is in them, so that a reload of the configuration gives nobody a fresh burst.
func (l *Limiter) SetDefault(d Limits) { l.byDefault.Store(int64(d.RequestsPerMinute)) }

// Take spends one request of the key's bucket, or nothing when it is refused.
// perMinute is the key's own limit; 0 means the default. Another perMinute than at
// the last call takes effect at once, without a fresh burst.
func (l *Limiter) Take(id string, perMinute int) Decision {
	limit := l.limit(perMinute)
	if limit == 0 {
		return Decision{Allowed: true}
	}
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := l.now()
	b, known := s.buckets[id]
	if !known {
		s.makeRoom(now)
		b = newBucket(limit)
		s.buckets[id] = b
	}
	b.resize(now, limit)
	return b.take(now)
}

// Peek returns the figures at this moment and spends nothing: Allowed and
// RetryAfter tell what a request would meet.
func (l *Limiter) Peek(id string, perMinute int) Decision {
	limit := l.limit(perMinute)
	if limit == 0 {
		return Decision{Allowed: true}
	}
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, known := s.buckets[id]
	if !known {
		return Decision{Allowed: true, Limit: limit, Remaining: limit}
	}
	now := l.now()
	b.resize(now, limit)
	return b.peek(now)
}

// limit is the requests per minute in force for a key; 0 means no limit.
func (l *Limiter) limit(perMinute int) int {
	if perMinute > 0 {
		return perMinute
	}
	return int(max(l.byDefault.Load(), 0))
}

func (l *Limiter) shard(id string) *shard {
	return &l.shards[maphash.String(l.seed, id)&uint64(len(l.shards)-1)]
}

// shard is a share of the buckets under one lock.
type shard struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	most    int
}

// makeRoom drops every full bucket once the shard holds as many as it may, and the
// one that would be full the soonest when none is. The walk is paid for by the
// insertions that follow it, unless MaxKeys is smaller than the number of busy keys.
func (s *shard) makeRoom(now time.Time) {
	if len(s.buckets) < s.most {
		return
	}
	var soonest string
	var fullAt time.Time
	for id, b := range s.buckets {
		if !b.fullAt.After(now) {
			delete(s.buckets, id)
		} else if soonest == "" || b.fullAt.Before(fullAt) {
			soonest, fullAt = id, b.fullAt
		}
	}
	if len(s.buckets) >= s.most {
		delete(s.buckets, soonest)
	}
}
