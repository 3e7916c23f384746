package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// modelBank is a Bank in memory, whose arithmetic is that of Order.decide and Line.settle. RedisBank is checked against
// it, and whoever needs a bank in a test can have it without a server.
type modelBank struct {
	now              func() int64
	slotTTL, beatTTL int64

	mu       sync.Mutex
	buckets  map[modelKey]*modelBucket
	slots    map[modelKey]map[string]modelHolding
	replicas map[string]int64 // by when each must be heard of again
	failure  error
	traded   int
}

type modelKey struct {
	tenant, account string
	limit           Limit
}

type modelBucket struct {
	level
	expires  int64
	postings map[string]modelPosting
}

type modelPosting struct {
	number uint64
	at     int64
}

type modelHolding struct {
	count, expires int64
	number         uint64
}

// newModelBank returns an empty bank by whose clock it is now so many microseconds.
func newModelBank(now func() int64) *modelBank {
	b := &modelBank{now: now, slotTTL: slotTTL.Microseconds(), beatTTL: beatTTL.Microseconds()}
	b.forget()
	return b
}

// fail makes the bank unreachable: each call fails with err until it is nil, and does nothing.
func (b *modelBank) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failure = err
}

// forget makes it lose all that it knows, as a fail-over can.
func (b *modelBank) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buckets, b.slots = make(map[modelKey]*modelBucket), make(map[modelKey]map[string]modelHolding)
	b.replicas = make(map[string]int64)
}

// calls is how many orders have come, those that failed included: each would have been one of a server.
func (b *modelBank) calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.traded
}

// Trade implements Bank.
func (b *modelBank) Trade(ctx context.Context, orders ...*Order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range orders {
		b.traded++
		if o.Err = cmp.Or(o.check(), ctx.Err(), b.failure); o.Err == nil {
			o.Err = b.carryOut(o)
		}
	}
}

func (b *modelBank) carryOut(o *Order) error {
	now := b.now()
	lines := make(map[modelKey]bool)
	for _, l := range o.Lines {
		lines[modelKey{o.Tenant, l.Account, l.Limit}] = true
	}
	if len(lines) < len(o.Lines) {
		return errors.New("a line comes twice")
	}
	after := make([]func(), len(o.Lines))
	for i := range o.Lines {
		l := &o.Lines[i]
		key := modelKey{o.Tenant, l.Account, l.Limit}
		if l.Limit.Dimension() == Concurrent {
			after[i] = b.hold(o, l, key, now)
		} else {
			after[i] = b.settle(o, l, key, now)
		}
	}
	o.decide()
	for _, store := range after {
		store()
	}
	return nil
}

func (b *modelBank) settle(o *Order, l *Line, key modelKey, now int64) (after func()) {
	bucket := b.buckets[key]
	if bucket == nil || bucket.expires <= now {
		bucket = &modelBucket{postings: make(map[string]modelPosting)}
		b.buckets[key] = bucket
	}
	once := *l
	if last, ok := bucket.postings[o.Replica]; l.Owed == 0 || ok && l.Posting <= last.number {
		once.Owed = 0
	} else {
		if !ok {
			bucket.prune()
		}
		bucket.postings[o.Replica] = modelPosting{l.Posting, now}
	}
	once.settle(&bucket.level, now)
	l.Missing = once.Missing
	return func() {
		bucket.missing = l.Missing
		const millisecond = int64(time.Millisecond)
		bucket.expires = now + ((bucket.missing+millisecond-1)/millisecond+bucketGrace.Milliseconds())*1000
	}
}

// prune makes room for another replica's posting.
func (b *modelBucket) prune() {
	if len(b.postings) < postingsKept {
		return
	}
	names := make([]string, 0, len(b.postings))
	for name := range b.postings {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(b.postings[x].at, b.postings[y].at), cmp.Compare(x, y))
	})
	for _, name := range names[:postingsKept/2] {
		delete(b.postings, name)
	}
}

func (b *modelBank) hold(o *Order, l *Line, key modelKey, now int64) (after func()) {
	held := b.slots[key]
	if held == nil {
		held = make(map[string]modelHolding)
		b.slots[key] = held
	}
	l.Missing = 0
	late := false
	live := make(map[string]modelHolding)
	for replica, h := range held {
		if h.expires <= now {
			continue
		}
		if replica == o.Replica {
			late = h.number > o.Number
		}
		h.expires = min(h.expires, now+b.slotTTL) // as if it had been said by this clock
		live[replica] = h
	}
	if !late {
		live[o.Replica] = modelHolding{l.Held, now + b.slotTTL, o.Number}
	}
	for _, h := range live {
		l.Missing = min(l.Missing+h.count, maxSpan)
	}
	if late { // nobody waits for it any more: it gets nothing
		capacity := l.Capacity
		l.Capacity = min(capacity, l.Missing)
		return func() { l.Capacity = capacity }
	}
	return func() {
		live[o.Replica] = modelHolding{l.Held + l.drawn, now + b.slotTTL, o.Number}
		b.slots[key] = live
	}
}

// Beat implements Bank.
func (b *modelBank) Beat(ctx context.Context, replica string) (live int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := cmp.Or(ctx.Err(), b.failure); err != nil {
		return 0, err
	}
	now := b.now()
	b.replicas[replica] = now + b.beatTTL
	for name, expires := range b.replicas {
		if expires <= now {
			delete(b.replicas, name)
		}
	}
	return len(b.replicas), nil
}

// Leave implements Bank.
func (b *modelBank) Leave(ctx context.Context, replica string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := cmp.Or(ctx.Err(), b.failure); err != nil {
		return err
	}
	delete(b.replicas, replica)
	return nil
}
