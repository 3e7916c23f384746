package ratelimit

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"time"
)

// maxShards keeps the locks apart: more than any machine has cores that would meet on one.
const maxShards = 64

// buckets are those of one kind of account.
type buckets struct {
	seed   maphash.Seed
	shards []shard
}

func newBuckets(most int) buckets {
	// A power of two, so that the hash is masked, and never more shards than accounts.
	count := 1 << (bits.Len(uint(min(most, maxShards))) - 1)
	b := buckets{seed: maphash.MakeSeed(), shards: make([]shard, count)}
	for i := range b.shards {
		b.shards[i].buckets = make(map[string]*bucket)
		b.shards[i].most = most / count
	}
	return b
}

// open locks the shard of an account, unless the account has no limit. The caller closes it.
func (b *buckets) open(a Account, p purpose) slot {
	if a.Rate.PerMinute <= 0 {
		return slot{}
	}
	if a.Rate.Burst <= 0 {
		a.Rate.Burst = a.Rate.PerMinute
	}
	s := &b.shards[maphash.String(b.seed, a.ID)&uint64(len(b.shards)-1)]
	s.mu.Lock()
	return slot{shard: s, account: a, purpose: p}
}

// slot is the place of one account's bucket while its shard is locked; the zero slot
// has no limit. Whoever only looks at an account that never spent makes no bucket for it.
type slot struct {
	shard   *shard
	account Account
	purpose purpose
	bucket  *bucket // nil: as good as full
}

func (s *slot) close() {
	if s.shard != nil {
		s.shard.mu.Unlock()
	}
}

// prepare finds the bucket, or makes it for one who spends, and puts its rate into force.
func (s *slot) prepare(now time.Time) {
	if s.shard == nil {
		return
	}
	s.bucket = s.shard.buckets[s.account.ID]
	if s.bucket == nil && s.purpose == spend {
		s.shard.makeRoom(now)
		s.bucket = newBucket(s.account.Rate)
		s.shard.buckets[s.account.ID] = s.bucket
	}
	if s.bucket != nil {
		s.bucket.resize(now, s.account.Rate)
	}
}

func (s *slot) has(now time.Time) bool { return s.bucket == nil || s.bucket.has(now) }

func (s *slot) take(now time.Time) {
	if s.bucket != nil {
		s.bucket.take(now)
	}
}

func (s *slot) decision(now time.Time, had bool) Decision {
	switch {
	case s.shard == nil:
		return Decision{Allowed: true}
	case s.bucket == nil:
		return Decision{Allowed: true, Limit: s.account.Rate.PerMinute, Remaining: s.account.Rate.Burst}
	case had:
		return s.bucket.allowed(now)
	}
	return s.bucket.refused(now)
}

// shard is a share of the buckets under one lock.
type shard struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	most    int
}

// makeRoom drops every full bucket once the shard holds as many as it may, and the
// one that would be full the soonest when none is. The walk is paid for by the
// insertions that follow it, unless MaxKeys is smaller than the number of busy accounts.
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
