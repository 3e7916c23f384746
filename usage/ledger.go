package usage

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// storage keeps records and their totals. One contract suite runs over every
// implementation; all methods are safe for concurrent use, but write has one caller.
type storage interface {
	// write makes the records that are not there yet durable, and adds them to their
	// totals, all in one transaction: an error means that nothing was written. An
	// error that is a *rejection names the one record to leave out. A record whose key
	// is there already, or earlier in the batch, changes nothing.
	write(ctx context.Context, batch []Record) error
	// byRequest returns a request's records in the order of their kinds and attempts.
	byRequest(ctx context.Context, requestID string) ([]Record, error)
	// sum answers a valid query.
	sum(ctx context.Context, q Query) ([]Row, error)
}

// rejection is why a storage cannot take one record of a batch.
type rejection struct {
	index int
	err   error
}

func (r *rejection) Error() string { return r.err.Error() }
func (r *rejection) Unwrap() error { return r.err }

// ErrClosed says that the ledger was closed and takes no more records.
var ErrClosed = errors.New("the usage ledger is closed")

// maxWaiting bounds the records that wait for a commit; beyond it Record waits for a place.
const maxWaiting = 4096

// Ledger keeps usage records, each exactly once, and their totals by day. One
// goroutine commits for everybody who waits, so that many records share one fsync.
// A Ledger is safe for concurrent use; Close ends it.
type Ledger struct {
	storage storage
	waiting chan *pending
	drained chan struct{}

	// closing is held for reading by those who put records into waiting, and for writing by who closes it.
	closing sync.RWMutex
	closed  bool
}

// pending is a record on its way; committed is told once.
type pending struct {
	record    Record
	committed chan error
}

// newLedger starts the committer over a storage.
func newLedger(s storage) *Ledger {
	l := &Ledger{storage: s, waiting: make(chan *pending, maxWaiting), drained: make(chan struct{})}
	c := &committer{storage: s, waiting: l.waiting}
	go func() {
		defer close(l.drained)
		c.run()
	}()
	return l
}

// Record makes r durable: nil means that it was fsynced with its totals, or that a
// record of the same request id, kind and attempt was there before, which then
// stays as it was. ErrBadRecord means that r can never be kept, and ErrClosed that
// the ledger takes no more; after any other error, a failed disk mostly, the same
// record may be given again.
//
// The context bounds the waiting, not the writing, and must not be one that ends
// when the client leaves. When it ends first, the error wraps its cause and the
// outcome is open: a record that had got its place in the queue is still written.
// Giving it again is always safe.
func (l *Ledger) Record(ctx context.Context, r Record) error {
	r, err := r.checked()
	if err != nil {
		return err
	}
	p := &pending{record: r, committed: make(chan error, 1)}
	if err := l.enqueue(ctx, p); err != nil {
		return err
	}
	select {
	case err := <-p.committed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("gave up waiting for the usage record, which is still being written: %w", context.Cause(ctx))
	}
}

func (l *Ledger) enqueue(ctx context.Context, p *pending) error {
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closed {
		return ErrClosed
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("the usage record was not written: %w", err)
	}
	select {
	case l.waiting <- p:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the usage record was not written, the queue is full: %w", context.Cause(ctx))
	}
}

// ByRequest returns the records of a request in the order of their kinds and
// attempts; a request without any gives none, and no error.
func (l *Ledger) ByRequest(ctx context.Context, requestID string) ([]Record, error) {
	return l.storage.byRequest(ctx, requestID)
}

// Sum returns the totals that a query asks for, in the order of its dimensions. It
// reads totals only, never records. The error wraps ErrBadQuery when the query asks
// for something that does not exist, or for more than 100,000 rows.
func (l *Ledger) Sum(ctx context.Context, q Query) ([]Row, error) {
	if err := q.validate(); err != nil {
		return nil, err
	}
	return l.storage.sum(ctx, q)
}

// Close takes no more records, writes those it has taken, and returns when the
// committer has ended. Whoever opened the database closes it afterwards. Closing
// twice is closing once.
func (l *Ledger) Close() error {
	l.closing.Lock()
	if !l.closed {
		l.closed = true
		close(l.waiting)
	}
	l.closing.Unlock()
	<-l.drained
	return nil
}
