package usage

import (
	"context"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// ErrClosed says that the ledger was closed and takes no more records.
var ErrClosed = errors.New("the ledger is closed")

// Ledger keeps usage records. It is safe for concurrent use.
type Ledger struct{}

// OpenLedger opens the ledger in db, which the caller closes after the ledger.
func OpenLedger(db *bolt.DB) (*Ledger, error) { panic("stub") }

// Record makes r durable: nil means that it was fsynced.
func (l *Ledger) Record(ctx context.Context, r Record) error { panic("stub") }

// ByRequest returns the records of a request, oldest kind first; none is not an error.
func (l *Ledger) ByRequest(ctx context.Context, requestID string) ([]Record, error) { panic("stub") }

// Sum returns the totals that a query asks for, sorted by its dimensions.
func (l *Ledger) Sum(ctx context.Context, q Query) ([]Row, error) { panic("stub") }

// Close writes what was accepted and ends the committer.
func (l *Ledger) Close() error { panic("stub") }
