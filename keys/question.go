package keys

import (
	"context"
	"errors"
	"net/netip"
	"runtime/debug"
	"time"

	"tollgate/store"
	"tollgate/telemetry"
)

const (
	// patience is how long a request waits for the confirmation of a key that it could be served with, where that is
	// confirmed often or the store fails: ten times what a healthy Redis needs, and little for an outage to add to an answer.
	patience = 50 * time.Millisecond
	// recently is how many unfedTTL old a record may be that is served after patience. One that is older was not
	// asked for lately, so that it may say nothing of a revocation long ago: it is worth the wait of questionTime.
	recently = 3
	// maxUnmet bounds the questions under way about secrets that are not known, which cost nothing to make up. It is half
	// of the connections that a Redis client keeps: the other half is there for confirmations of known keys.
	maxUnmet = 32
	// questionTime bounds a question, and with it the wait for a key that was never seen. It is longer than the 100 ms
	// that a Redis client waits for a server, whose error says more than the end of our time.
	questionTime = 130 * time.Millisecond
)

var (
	errSlow   = errors.New("the shared store did not answer in time")
	errClosed = errors.New("the key cache is closed")
	errBusy   = errors.New("too many unknown keys are looked up at once")
	errPanic  = errors.New("the look-up panicked")
)

// question is one look-up in the shared store, for all requests that need its answer. It is put within the store's own
// lifetime: the first of them may be gone before the answer is there. There are never more of them than requests came
// within questionTime. What golang.org/x/sync/singleflight lacks is to take a question back together with its answer.
type question struct {
	asked  time.Duration // since the CachedStore started
	done   chan struct{} // closed when record and err are final
	record Record
	err    error
	unmet  bool // one of maxUnmet
}

// ask answers a look-up that the replica cannot answer by itself.
func (s *CachedStore) ask(ctx context.Context, digest Digest, from netip.Addr) (Record, error) {
	if !s.feed.index.has(digest) && !s.strangers.allow(from) {
		if err := s.screen(ctx, digest); err != nil {
			return Record{}, err
		}
	}
	q, seen, how := s.join(digest)
	if q == nil {
		return s.answer(seen, how)
	}
	err := q.wait(ctx, s.limit(seen)-(time.Since(s.started)-q.asked))
	switch {
	case err == nil:
		s.counts[refreshed].Add(1)
		return q.record, nil
	case errors.Is(err, ErrNotFound):
		return s.answer(nil, unknown)
	case errors.Is(err, errBusy):
		if err := s.screen(ctx, digest); err != nil {
			return Record{}, err
		}
		s.logRefusal()
	case seen != nil && !errors.Is(err, ErrUnreadable):
		return s.answer(seen, stale)
	}
	s.counts[unavailable].Add(1)
	return Record{}, asUnavailable(err)
}

// screen judges a digest that nobody may ask about, by what the feed has told: exactly, once it has been heard of
// after the look-up began. There is no error where the feed knows the digest, or knows too little itself.
func (s *CachedStore) screen(ctx context.Context, digest Digest) error {
	if !s.feed.index.ready() || s.feed.index.has(digest) {
		return nil
	}
	heard := s.feed.await(ctx, time.Since(s.started), screenTime)
	switch {
	case !heard && s.feed.silent.Load():
		s.counts[unavailable].Add(1)
		return asUnavailable(errSlow)
	case !heard, !s.feed.index.ready(), s.feed.index.has(digest):
		return nil
	}
	s.counts[screened].Add(1)
	return ErrNotFound
}

// refresh asks about a known key, and lets nobody wait for the answer.
func (s *CachedStore) refresh(digest Digest) { _, _, _ = s.join(digest) }

// limit is how long a look-up waits for its question, when it could be served with seen.
func (s *CachedStore) limit(seen *entry) time.Duration {
	if seen == nil {
		return questionTime
	}
	now, failed := time.Since(s.started), time.Duration(s.failed.Load())
	if now-seen.confirmed < recently*min(s.ttl, unfedTTL) || failed > 0 && now-failed < min(s.ttl, unfedTTL) {
		return patience
	}
	return questionTime
}

// join returns the question about digest that is under way, or a new one, and
// the entry to use should it fail. There is none when its answer has come meanwhile.
func (s *CachedStore) join(digest Digest) (*question, *entry, outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, how := s.recall(digest)
	if how != undecided && how != due {
		return nil, seen, how
	}
	if q := s.questions[digest]; q != nil {
		return q, seen, how
	}
	_, met := s.known.GetEntryQuietly(digest)
	q := &question{asked: time.Since(s.started), done: make(chan struct{}), unmet: !met && !s.feed.index.has(digest)}
	switch {
	case s.lifetime.Err() != nil:
		q.err = errClosed
	case q.unmet && s.unmet == maxUnmet:
		q.err = errBusy
	default:
		if q.unmet {
			s.unmet++
		}
		s.questions[digest] = q
		s.asking.Go(func() { s.put(digest, q) })
		return q, seen, how
	}
	close(q.done)
	return q, seen, how
}

// put asks the shared store.
func (s *CachedStore) put(digest Digest, q *question) {
	ctx, cancel := context.WithTimeout(s.lifetime, questionTime)
	defer cancel()
	q.record, q.err = s.consult(ctx, digest)
	s.note(q.err)
	s.learn(digest, q)
	close(q.done)
}

// consult makes a panic of the shared store the failure of this one question: no request is there to catch it.
func (s *CachedStore) consult(ctx context.Context, digest Digest) (record Record, err error) {
	defer func() {
		if recover() != nil {
			s.log.Error("panic in the look-up of a key", telemetry.FieldStack, string(debug.Stack()))
			record, err = Record{}, errPanic
		}
	}()
	return s.shared.ByDigest(ctx, digest, netip.Addr{})
}

// note remembers whether the shared store answers, and logs what nobody else would.
func (s *CachedStore) note(err error) {
	answered := err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnreadable)
	if answered {
		s.failed.Store(0)
	} else {
		s.failed.Store(int64(time.Since(s.started)))
	}
	quiet := err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, store.ErrRedisDown) || errors.Is(err, errPanic)
	if quiet || s.lifetime.Err() != nil {
		return
	}
	if count := s.failures.due(); count > 0 {
		s.log.Error("keys cannot be looked up, though redis is not down", telemetry.FieldError, err, telemetry.FieldCount, count)
	}
}

func (s *CachedStore) logRefusal() {
	if count := s.refusals.due(); count > 0 {
		s.log.Warn("requests with unknown keys are refused: too many are looked up at once", telemetry.FieldCount, count)
	}
}

// wait returns the question's error, or why there is none yet.
func (q *question) wait(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	late := errSlow
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		late = ctx.Err()
	case <-timer.C:
	}
	select { // an answer that came together with the end of the wait is an answer
	case <-q.done:
		return q.err
	default:
		return late
	}
}
