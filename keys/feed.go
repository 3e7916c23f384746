package keys

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"tollgate/store"
	"tollgate/telemetry"
)

const (
	// pollEvery is how often the feed is asked for where no news arrive: with it a change is obeyed well within a second.
	pollEvery = 250 * time.Millisecond
	// pollGap is the least time from one question to the next, so that a flood of changes is heard of in larger portions.
	pollGap = 5 * time.Millisecond
	// hurryGap is the least time to the next question that somebody waits for: a flood of unknown keys costs fifty a second.
	hurryGap = 20 * time.Millisecond
	// feedPatience is for how long after the feed was last heard all that is remembered is taken to be true. It leaves
	// room for one question that is answered late, and for the next.
	feedPatience = time.Second
	// feedTime bounds a question to the feed.
	feedTime = 200 * time.Millisecond
	// screenTime is longer than from one poll to the end of the next.
	screenTime = 2*pollEvery + feedTime
	// indexTime bounds the reading of all digests; a million take a few seconds.
	indexTime = time.Minute
	// indexGap is the least time from one reading to the next.
	indexGap = 100 * time.Millisecond
	// indexPause is the wait after that has failed.
	indexPause = 5 * time.Second
	// maxSkew is how far the clocks of a replica and of the shared store may be apart without a warning.
	maxSkew = 2 * time.Second
)

// feed is what a replica has heard of the changes in the shared store.
type feed struct {
	version  uint64       // up to which all is known; the following goroutine's alone
	last     atomic.Int64 // when the last question was put that was answered, since the start; 0: none was
	silent   atomic.Bool  // the last question was not answered, because the store does not answer
	suspect  atomic.Int64 // what was confirmed before this time must be asked about anew
	index    *index
	hurry    chan struct{}                 // somebody waits for the next question
	next     atomic.Pointer[chan struct{}] // closed when a question has been answered, or not
	failures throttle
	skews    throttle
	losses   throttle
	unread   throttle
}

// hearing is how well a replica hears the feed.
type hearing int

const (
	deaf    hearing = iota // something is wrong, and not that the store does not answer
	current                // all changes are known
	silent                 // the store does not answer
)

func (f *feed) heard(now time.Duration) hearing {
	last := time.Duration(f.last.Load())
	switch {
	case last > 0 && now-last < feedPatience:
		return current
	case f.silent.Load():
		return silent
	default:
		return deaf
	}
}

// trusts tells whether what was confirmed then is still worth something: the store may have lost its last changes since.
func (f *feed) trusts(confirmed time.Duration) bool {
	return int64(confirmed) >= f.suspect.Load()
}

// await waits until the feed has answered a question that was put after the time since, for at most limit.
func (f *feed) await(ctx context.Context, since, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case f.hurry <- struct{}{}:
		default:
		}
		next := *f.next.Load()
		switch {
		case time.Duration(f.last.Load()) > since:
			return true
		case f.silent.Load():
			return false
		}
		select {
		case <-next:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// pulse wakes all who await.
func (f *feed) pulse() {
	old := f.next.Swap(new(make(chan struct{})))
	close(*old)
}

// follow listens to the feed until the lifetime ends.
func (s *CachedStore) follow() {
	ctx := s.lifetime
	wake := s.shared.Wake(ctx)
	s.asking.Go(func() { s.fillIndex(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-wake:
		case <-s.feed.hurry:
			if !sleep(ctx, hurryGap) {
				return
			}
		}
		wait := pollEvery
		if s.catchUp(ctx) {
			wait = pollGap
		}
		if !sleep(ctx, pollGap) {
			return
		}
		timer.Reset(wait)
	}
}

// sleep reports whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// catchUp hears what was changed since the last time, and reports whether there is more.
func (s *CachedStore) catchUp(ctx context.Context) (more bool) {
	defer s.feed.pulse()
	ctx, cancel := context.WithTimeout(ctx, feedTime)
	defer cancel()
	asked := time.Since(s.started)
	changes, err := s.shared.Changes(ctx, s.feed.version)
	if err != nil {
		s.unheard(err)
		return false
	}
	// An empty store has version 0, which asks for the version alone: 1 is below all that will ever be given.
	version := max(changes.Version, 1)
	lost := version < s.feed.version
	switch {
	case s.feed.version == 0:
		s.suspect() // what was learned before may have changed since, and nobody tells
	case lost:
		s.distrust(changes.Version)
	}
	for _, record := range changes.Records {
		s.heed(record, asked)
	}
	s.tenants.heed(changes.Tenants...)
	s.distrustKeys(changes.Unreadable)
	s.feed.version = version
	s.clock(changes.Now)
	s.feed.silent.Store(false)
	if more = changes.More || lost; !more {
		s.feed.last.Store(int64(max(asked, 1)))
	}
	return more
}

// suspect makes all that was asked about before now be asked about anew.
func (s *CachedStore) suspect() { s.feed.suspect.Store(int64(time.Since(s.started)) + 1) }

// unheard notes why the feed was not heard. Outages are the store's to log.
func (s *CachedStore) unheard(err error) {
	if s.lifetime.Err() != nil {
		return
	}
	down := errors.Is(err, store.ErrRedisDown) || errors.Is(err, context.DeadlineExceeded)
	s.feed.silent.Store(down)
	if down {
		return
	}
	if count := s.feed.failures.due(); count > 0 {
		s.log.Error("changes of keys cannot be followed: they are obeyed later, and each key is asked for anew every second",
			telemetry.FieldError, err, telemetry.FieldCount, count)
	}
}

// distrustKeys makes all who have one of these keys ask for it anew: nobody knows any more what it may. Their
// digests may be new, so that all are read again.
func (s *CachedStore) distrustKeys(ids []string) {
	if len(ids) == 0 {
		return
	}
	s.mu.Lock()
	for digest, e := range s.known.All() {
		if slices.Contains(ids, e.record.Key.ID) {
			s.known.Invalidate(digest)
		}
	}
	clear(s.questions) // their answers may be older than the change
	s.unknown.InvalidateAll()
	s.mu.Unlock()
	s.feed.index.outdate()
}

// clock compares the store's clock with ours.
func (s *CachedStore) clock(theirs time.Time) {
	if theirs.IsZero() {
		return
	}
	skew := time.Until(theirs)
	if skew.Abs() <= maxSkew {
		return
	}
	if count := s.feed.skews.due(); count > 0 {
		s.log.Warn("the clock differs from the key store's, by which keys expire: synchronise the clocks",
			telemetry.FieldDuration, skew.Milliseconds())
	}
}

// FeedAge is how long ago the changes in the shared store were last heard of completely; since the start, if never.
func (s *CachedStore) FeedAge() time.Duration {
	return time.Since(s.started) - time.Duration(s.feed.last.Load())
}
