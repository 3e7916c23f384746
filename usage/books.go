package usage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/usage/journal"
)

// ErrUnavailable says that what is about to begin cannot be put on record, so it must
// not begin. The error that wraps it says why, and what to do.
var ErrUnavailable = errors.New("the usage journal takes no new requests")

// BooksOptions is what Books need to know.
type BooksOptions struct {
	// Dir is the folder of the journal; it is created when it is missing.
	Dir string
	// Config is the section `usage`.
	Config JournalConfig
	// Ledger is given what is billed; whoever opened it closes it after the Books.
	Ledger *Ledger
	// Prices are what requests are billed by that a crash has left open; nil: nothing costs anything.
	Prices *PriceBook
	// Synced is told of every fsync of the journal, how long it took and how it went; nil: nobody asks. It must not block.
	Synced func(took time.Duration, err error)
	// Log takes what went wrong; nil discards.
	Log *slog.Logger

	create func(path string) (journal.File, error) // makes the files of the journal; nil: on the disk
}

// BooksStats is what there is to see of Books.
type BooksStats struct {
	// Journal is the state of the journal.
	Journal journal.Stats
	// Unshipped counts the records in the journal that the ledger was not yet given, and Shipped those that it was
	// given since the start.
	Unshipped, Shipped uint64
	// Lag is the age of the oldest record that the ledger should have been given and was not; 0: there is none.
	Lag time.Duration
	// Open counts the requests that have begun and have no bill on record yet.
	Open int
	// Refused counts the requests and attempts that were refused since the start, and Dropped the notes and bills that were not written.
	Refused, Dropped uint64
	// Rejected counts the records that can never be kept; they stand in rejected.jsonl beside the journal.
	Rejected uint64
	// Recovered counts the bills that were made at the start for requests that a crash had left open.
	Recovered uint64
}

// Books keep the bills: what happens is written into a journal at once, and from there
// given to a Ledger, at least once, which counts it once. A request that has begun has
// an entry before a provider has heard of it, so that a crash leaves no bill unwritten:
// the next start settles what it finds open.
//
// Books are safe for concurrent use. Close ends the goroutine that ships.
type Books struct {
	dir     string
	config  JournalConfig
	log     *slog.Logger
	journal *journal.Log
	ledger  *Ledger
	shipper *shipper
	forms   sync.Pool // of *form
	open    promises
	late    postponed
	missed  atomic.Bool // the last question was not given everything

	refused, dropped, recovered atomic.Uint64

	closing sync.Once
	stage   atomic.Uint32 // how much of the closing is done
	closed  error
}

// startTimeout is how long a start waits for the disk to confirm the bills that it has made.
const startTimeout = 30 * time.Second

// OpenBooks opens the journal, and settles what a crash has left open: an error wraps
// journal.ErrLocked where another process holds the folder, and journal.ErrDamaged
// where something is gone that had been safe.
func OpenBooks(o BooksOptions) (*Books, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	at := readCursor(o.Dir, o.Log)
	log, found, err := openJournal(o, at)
	if err != nil {
		return nil, err
	}
	next := log.Stats().Next
	if at.Shipped >= next {
		o.Log.Warn("the journal's cursor is ahead of the journal, so all that is in the journal is shipped again")
		// It must be gone before anything is taken: the next start would believe it of a journal that has grown past it.
		if err := errors.Join(log.Close(), remove(filepath.Join(o.Dir, cursorFile))); err != nil {
			return nil, fmt.Errorf("the journal's cursor is another journal's: %w", err)
		}
		at = cursor{}
		if log, found, err = openJournal(o, at); err != nil {
			return nil, err
		}
	}
	_ = remove(filepath.Join(o.Dir, newCursorFile)) // a crash has left it; it is of no use and does no harm
	found.report(at, next, o.Log)
	b := &Books{dir: o.Dir, config: o.Config, log: o.Log, journal: log, ledger: o.Ledger}
	b.open.of = map[string]promise{}
	b.shipper = newShipper(b, at)
	b.shipper.unshipped.Store(found.unshipped)
	b.recover(found, o.Prices)
	go b.shipper.run()
	return b, nil
}

// openJournal opens the journal and reads what happened since the cursor was saved.
func openJournal(o BooksOptions, at cursor) (*journal.Log, *recovery, error) {
	found := &recovery{shipped: at.Shipped, open: map[string]*begun{}}
	log, err := journal.Open(o.Dir, journal.Options{
		MaxSize: int64(o.Config.MaxJournal),
		Keep:    o.Config.KeepShipped,
		From:    at.needed(),
		Visit:   found.visit,
		Create:  o.create,
		Synced:  o.Synced,
		Log:     o.Log,
	})
	return log, found, err
}

// ByRequest returns the records of a request as Ledger.ByRequest does, after whatever
// is durable was given to the ledger, if that takes less than a second.
func (b *Books) ByRequest(ctx context.Context, requestID string) ([]Record, error) {
	b.catchUp(ctx)
	return b.ledger.ByRequest(ctx, requestID)
}

// Sum returns the totals that a query asks for as Ledger.Sum does, after whatever is
// durable was given to the ledger, if that takes less than a second.
func (b *Books) Sum(ctx context.Context, q Query) ([]Row, error) {
	b.catchUp(ctx)
	return b.ledger.Sum(ctx, q)
}

// catchUpWithin bounds how long a question waits for what is not yet in the ledger.
const catchUpWithin = time.Second

// catchUp lets everybody read what was settled before. Whatever comes of it, the
// ledger is asked afterwards: what it has is better than no answer, and Behind says
// what is not in it.
func (b *Books) catchUp(ctx context.Context) {
	if b.shipper.failing.Load() {
		return
	}
	within, cancel := context.WithTimeout(ctx, catchUpWithin)
	defer cancel()
	if err := b.Ship(within); err == nil || ctx.Err() == nil {
		b.missed.Store(err != nil)
	}
}

// Behind is how many records the answer to the last question lacks, because the ledger
// was not given them although it should have been; 0 while all is well.
func (b *Books) Behind() uint64 {
	if b.shipper.failing.Load() || b.missed.Load() {
		return b.shipper.owed()
	}
	return 0
}

// Ship gives the ledger everything that is durable now; with usage.sync relaxed,
// everything that is written. An error says that it was not possible, or not before
// ctx had ended; it is tried again anyway.
func (b *Books) Ship(ctx context.Context) error {
	if b.config.Sync == SyncRelaxed {
		if err := b.journal.Await(ctx, b.journal.Stats().Next-1); err != nil && !errors.Is(err, journal.ErrClosed) {
			return err
		}
	}
	return b.shipper.upTo(ctx, b.journal.Durable())
}

// Err says why no new request may begin; nil: they may.
func (b *Books) Err() error {
	if err := b.journal.Err(); err != nil {
		return b.unavailable(err)
	}
	return nil
}

// Recordable is Err for whoever is about to refuse a request for it: it counts as refused.
func (b *Books) Recordable() error {
	err := b.Err()
	if err != nil {
		b.refused.Add(1)
	}
	return err
}

// unavailable says what to do about it.
func (b *Books) unavailable(err error) error {
	switch {
	case errors.Is(err, journal.ErrFull):
		return fmt.Errorf("%w: %w: make room on the disk of %s, or raise usage.max_journal (%s)", ErrUnavailable, err, b.dir, b.config.MaxJournal)
	case errors.Is(err, journal.ErrFailing):
		return fmt.Errorf("%w: %w: look after the disk of %s", ErrUnavailable, err, b.dir)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Stats returns the state of the books.
func (b *Books) Stats() BooksStats {
	return BooksStats{
		Journal:   b.journal.Stats(),
		Unshipped: b.shipper.owed(),
		Shipped:   b.shipper.given.Load(),
		Lag:       b.shipper.lag(),
		Open:      b.open.count(),
		Refused:   b.refused.Load(),
		Dropped:   b.dropped.Load(),
		Rejected:  b.shipper.rejects.count.Load(),
		Recovered: b.recovered.Load(),
	}
}

const (
	// closeTimeout is how long Close waits for what is written to become durable, so that it is shipped, too.
	closeTimeout = 5 * time.Second
	// stuckTimeout is how long the closing may get no further at all, before Close gives it up.
	stuckTimeout = 10 * time.Second
)

// Close ships what there is, saves how far that went and closes the journal, not the
// ledger. What could not be shipped stands in the journal, and the next start goes on
// with it. The error says what may not survive the machine's death. Closing twice is closing once.
//
// A disk that does not answer is not waited for: three seconds after the rest of the
// closing, or when that has got no further for ten to twenty, Close returns an error.
// The closing goes on in goroutines that nothing can end; the journal stays locked until
// they are through, or the process has ended. The ledger may be closed meanwhile.
func (b *Books) Close() error {
	b.closing.Do(func() {
		ended := make(chan error, 1)
		go func() { ended <- b.end() }()
		b.closed = b.awaitEnd(ended)
	})
	return b.closed
}

// end closes everything in its order, whenever the disks let it.
func (b *Books) end() error {
	b.writeLate()
	b.stage.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// If it fails, closing the journal tries it again, and says so.
	_ = b.journal.Await(ctx, b.journal.Stats().Next-1)
	b.stage.Add(1)
	b.shipper.close()
	b.loseLate()
	b.stage.Add(1)
	return b.journal.Close()
}

// awaitEnd waits for the end as long as it comes nearer.
func (b *Books) awaitEnd(ended <-chan error) error {
	look := time.NewTicker(stuckTimeout)
	defer look.Stop()
	for before := b.progress(); ; {
		select {
		case err := <-ended:
			return err
		case <-look.C:
		}
		now := b.progress()
		if now == before {
			b.loseLate()
			return fmt.Errorf("the disk of the journal or of the ledger has not answered for %s: the journal is not closed, and stays locked until this process has ended", stuckTimeout)
		}
		before = now
	}
}

// progress is how far the closing has got.
type progress struct {
	stage                  uint32
	next, durable, shipped uint64
	given                  uint64
}

func (b *Books) progress() progress {
	s := b.journal.Stats()
	return progress{b.stage.Load(), s.Next, s.Durable, b.shipper.shipped.Load(), b.shipper.given.Load()}
}
