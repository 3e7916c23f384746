package keys

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"tollgate/store"
	"tollgate/telemetry"
)

// index is which digests there are, by eight bytes of each: enough to tell that
// a secret is nobody's without asking for it, at some 20 bytes for each digest. Digests that go
// stay in it until it is read anew, which does no harm: they are asked about.
type index struct {
	mu       sync.RWMutex
	digests  map[uint64]struct{}
	coming   map[uint64]struct{} // what is being read, with what is heard of meanwhile; nil: nothing is
	complete bool
	read     int // how many there were when all were read
	outdated chan struct{}
}

// indexSlack is how many digests may come, beyond as many as there were, before all are read anew.
const indexSlack = 10_000

func newIndex() *index {
	return &index{digests: make(map[uint64]struct{}), outdated: make(chan struct{}, 1)}
}

func mark(d Digest) uint64 { return binary.BigEndian.Uint64(d[:]) }

// ready tells whether a digest that the index does not have is nobody's.
func (x *index) ready() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.complete
}

func (x *index) has(d Digest) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, ok := x.digests[mark(d)]
	return ok
}

func (x *index) add(digests ...Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, d := range digests {
		x.digests[mark(d)] = struct{}{}
		if x.coming != nil {
			x.coming[mark(d)] = struct{}{}
		}
	}
	if x.complete && len(x.digests) > 2*x.read+indexSlack {
		x.renew()
	}
}

// outdate says that the index may lack digests, until it is read anew.
func (x *index) outdate() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.complete, x.coming = false, nil
	x.renew()
}

// renew asks for all digests to be read. The caller holds mu.
func (x *index) renew() {
	select {
	case x.outdated <- struct{}{}:
	default:
	}
}

// begin is called before all digests are read.
func (x *index) begin() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.coming = make(map[uint64]struct{})
}

// take adds digests that were read. Those of a reading that was outdated meanwhile are no loss.
func (x *index) take(digests []Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, d := range digests {
		if x.coming != nil {
			x.coming[mark(d)] = struct{}{}
		}
	}
}

// giveUp is called when not all could be read.
func (x *index) giveUp() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.coming = nil
}

// end is called when all were read. What had been outdated meanwhile stays so.
func (x *index) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.coming != nil {
		x.digests, x.coming, x.complete, x.read = x.coming, nil, true, len(x.coming)
	}
}

// fillIndex reads all digests once the feed is heard, and anew whenever they are outdated.
func (s *CachedStore) fillIndex(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.readIndex(ctx); err != nil {
			if count := s.feed.unread.due(); count > 0 && !errors.Is(err, store.ErrRedisDown) && ctx.Err() == nil {
				s.log.Warn("the digests of all keys cannot be read: unknown keys are looked up one by one", telemetry.FieldError, err, telemetry.FieldCount, count)
			}
			sleep(ctx, indexPause)
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.feed.index.outdated:
			sleep(ctx, indexGap)
		}
	}
}

// readIndex reads all digests and tenants. What changes meanwhile, the feed tells.
func (s *CachedStore) readIndex(ctx context.Context) error {
	for !s.feed.await(ctx, 0, pollEvery) {
		if !sleep(ctx, pollEvery) {
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, indexTime)
	defer cancel()
	reading := s.tenants.reading()
	tenants, err := s.Tenants(ctx)
	if err != nil {
		return err
	}
	s.tenants.replace(tenants, reading)
	s.feed.index.begin()
	if err := s.shared.EachDigest(ctx, s.feed.index.take); err != nil {
		s.feed.index.giveUp()
		return err
	}
	s.feed.index.end()
	return nil
}
