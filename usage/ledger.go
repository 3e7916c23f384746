package usage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// storage keeps records and their totals. One contract suite runs over every
// implementation; all methods are safe for concurrent use, but write has one caller.
type storage interface {
	// write makes the records that are not there yet durable, and adds them to their
	// totals, all in one transaction: an error means that nothing was written. An
	// error that is a *rejection names the one record to leave out. A record whose key
	// is there already, or earlier in the batch, changes nothing; the keys of settles
	// do not differ by their attempts.
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

// Rejection is a record that the ledger can never keep, and why.
type Rejection struct {
	Record Record
	// Err wraps ErrBadRecord.
	Err error
}

// RejectedError says which records of a batch can never be kept. All others are in the ledger.
type RejectedError struct{ Rejections []Rejection }

// Error implements error.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("the usage ledger can never keep %d of the records; the first: %v", len(e.Rejections), e.Rejections[0].Err)
}

// Unwrap returns the reasons.
func (e *RejectedError) Unwrap() []error {
	errs := make([]error, len(e.Rejections))
	for i := range e.Rejections {
		errs[i] = e.Rejections[i].Err
	}
	return errs
}

// Ledger keeps usage records, each exactly once, and their totals by day. It is safe
// for concurrent use; Close ends it.
type Ledger struct {
	storage storage

	mu     sync.Mutex // storage.write has one caller
	closed bool
}

func newLedger(s storage) *Ledger { return &Ledger{storage: s} }

// Add makes a batch of records durable, each with its totals: nil means that all of
// them are in the ledger. A record whose request id, kind and attempt are there before
// changes nothing, so any batch may be given again, in any order. There is one settle
// per request, whatever its attempt says: the first one stands.
//
// A *RejectedError says that some records can never be kept, and that all others are.
// After any other error, of the disk mostly, or ErrClosed, nothing was kept that had
// not been there, and the batch may be given again. The batch is neither changed nor retained.
func (l *Ledger) Add(ctx context.Context, batch []Record) error {
	var rejected []Rejection
	records := make([]Record, 0, len(batch))
	for i := range batch {
		if r, err := batch[i].checked(); err != nil {
			rejected = append(rejected, Rejection{batch[i], err})
		} else {
			records = append(records, r)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("the usage records were not written: %w", err)
	}
	for len(records) > 0 {
		err := l.storage.write(ctx, records)
		if err == nil {
			break
		}
		// A record that cannot be kept must not take the others with it: they are written without it.
		var bad *rejection
		if !errors.As(err, &bad) {
			return err
		}
		rejected = append(rejected, Rejection{records[bad.index], bad.err})
		records = slices.Delete(records, bad.index, bad.index+1)
	}
	if len(rejected) > 0 {
		return &RejectedError{rejected}
	}
	return nil
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

// Close takes no more records; it returns when none is being written. Whoever opened
// the database closes it afterwards. Closing twice is closing once.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}
