package keys

import (
	"context"
	"errors"
	"time"
)

const (
	// patience is how long a request waits for the confirmation of a key that it could be served with: ten times what a
	// healthy Redis needs, and the most that its failure may add to an answer.
	patience = 50 * time.Millisecond
	// questionTime bounds a question, and with it the wait for a key that was never seen. It is longer than the 100 ms
	// that a Redis client waits for a server, whose error says more than the end of our time.
	questionTime = 150 * time.Millisecond
)

var (
	errSlow   = errors.New("the shared store did not answer in time")
	errClosed = errors.New("the key cache is closed")
)

// question is one look-up in the shared store, for all requests that need its answer. It is put within the store's own
// lifetime: the first of them may be gone before the answer is there. There are never more of them than requests came
// within questionTime. What golang.org/x/sync/singleflight lacks is to take a question back together with its answer.
type question struct {
	asked  time.Duration // since the CachedStore started
	done   chan struct{} // closed when record and err are final
	record Record
	err    error
}

// ask answers a look-up that the replica cannot answer by itself.
func (s *CachedStore) ask(ctx context.Context, digest Digest) (Record, error) {
	q, seen, how := s.join(digest)
	if q == nil {
		return s.answer(seen, how)
	}
	limit := questionTime
	if seen != nil {
		limit = patience
	}
	err := q.wait(ctx, limit-(time.Since(s.started)-q.asked))
	switch {
	case err == nil:
		s.counts[refreshed].Add(1)
		return q.record, nil
	case errors.Is(err, ErrNotFound):
		return s.answer(nil, unknown)
	case seen != nil:
		return s.answer(seen, stale)
	default:
		s.counts[unavailable].Add(1)
		return Record{}, asUnavailable(err)
	}
}

// join returns the question about digest that is under way, or a new one, and
// the entry to use should it fail. There is none when its answer has come meanwhile.
func (s *CachedStore) join(digest Digest) (*question, *entry, outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, how := s.recall(digest)
	if how != undecided {
		return nil, seen, how
	}
	q := s.questions[digest]
	if q == nil {
		q = &question{asked: time.Since(s.started), done: make(chan struct{})}
		if s.lifetime.Err() != nil {
			q.err = errClosed
			close(q.done)
			return q, seen, how
		}
		s.questions[digest] = q
		s.asking.Go(func() { s.put(digest, q) })
	}
	return q, seen, how
}

// put asks the shared store.
func (s *CachedStore) put(digest Digest, q *question) {
	ctx, cancel := context.WithTimeout(s.lifetime, questionTime)
	defer cancel()
	q.record, q.err = s.shared.ByDigest(ctx, digest)
	s.learn(digest, q)
	close(q.done)
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
