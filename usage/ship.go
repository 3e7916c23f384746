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

	"tollgate/crash"
	"tollgate/telemetry"
	"tollgate/usage/journal"
)

const (
	// shipEvery is how often the ledger is given what is new.
	shipEvery = 100 * time.Millisecond
	// shipBatch is how many records it is given at once.
	shipBatch = 512
	// saveEvery is how often the cursor is saved.
	saveEvery = time.Second
	// firstBackoff and lastBackoff are between two tries of a ledger that fails.
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// shipper gives the ledger what is durable in the journal, in order and at least once.
// Its goroutine owns what is not said to be shared.
type shipper struct {
	dir     string
	log     *slog.Logger
	journal *journal.Log
	ledger  *Ledger
	reader  *journal.Reader
	rejects rejects
	late    func() // writes what the journal could not take before

	opens  map[string]uint64 // request ids and the sequences of their first intents
	batch  []Record          // read, and not yet in the ledger
	aside  []reject          // read, and no records: not yet put aside
	read   uint64            // the sequence up to which all was read
	before uint64            // the sequence up to which all had been shipped before the start
	saved  cursor
	savedAt,
	notBefore time.Time // when a ledger that fails is tried again
	failures int

	// Shared.
	shipped   atomic.Uint64             // the sequence up to which the ledger has everything
	unshipped atomic.Int64              // records in the journal that it has not
	oldest    atomic.Pointer[time.Time] // since when the oldest record of the batch waits, by the monotonic clock; nil: none does
	given     atomic.Uint64             // records that it was given since the start
	failing   atomic.Bool
	kick      chan struct{}
	closing   chan struct{}
	ended     chan struct{}

	mu    sync.Mutex
	round *round
}

// round is what everybody waits for who wants something shipped: done is closed when
// one more batch was given to the ledger, or could not be.
type round struct {
	done chan struct{}
	err  error
}

func newRound() *round { return &round{done: make(chan struct{})} }

// newShipper returns a shipper that goes on where the cursor stands; run starts it.
func newShipper(b *Books, at cursor) *shipper {
	s := &shipper{
		dir: b.dir, log: b.log, journal: b.journal, ledger: b.ledger, late: b.retryLate,
		// It reads what is not shipped any more, too, to know which requests are open.
		reader:  b.journal.Read(at.needed()),
		rejects: rejects{path: filepath.Join(b.dir, rejectedFile), log: b.log},
		opens:   map[string]uint64{},
		read:    at.needed() - 1,
		before:  at.Shipped,
		saved:   at,
		kick:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
		round:   newRound(),
	}
	s.shipped.Store(at.Shipped)
	return s
}

// run ships until the shipper is closed.
func (s *shipper) run() {
	defer close(s.ended)
	tick := time.NewTicker(shipEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			s.step()
			s.save()
			return
		case <-s.kick:
		case now := <-tick.C:
			s.late()
			if now.Before(s.notBefore) {
				continue
			}
		}
		s.step()
		if time.Since(s.savedAt) >= saveEvery {
			s.save()
		}
	}
}

// close ships once more and returns when the goroutine has ended.
func (s *shipper) close() {
	close(s.closing)
	<-s.ended
	if err := s.reader.Close(); err != nil {
		s.log.Warn("a segment of the journal was not closed", telemetry.FieldError, err)
	}
}

// owe notes that there is one more record to ship.
func (s *shipper) owe() {
	if s.unshipped.Add(1) >= shipBatch && !s.failing.Load() {
		s.wake()
	}
}

func (s *shipper) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// upTo returns when the ledger has everything up to a sequence.
func (s *shipper) upTo(ctx context.Context, sequence uint64) error {
	for s.shipped.Load() < sequence {
		s.mu.Lock()
		r := s.round
		s.mu.Unlock()
		if s.shipped.Load() >= sequence {
			return nil
		}
		s.wake()
		select {
		case <-r.done:
			if r.err != nil {
				return r.err
			}
		case <-s.ended:
			if s.shipped.Load() < sequence {
				return fmt.Errorf("the journal was closed before the ledger had everything: %w", journal.ErrClosed)
			}
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting for the ledger: %w", context.Cause(ctx))
		}
	}
	return nil
}

// endRound tells those who wait how it went.
func (s *shipper) endRound(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round.err = err
	close(s.round.done)
	s.round = newRound()
}

// step ships what is durable at this moment.
func (s *shipper) step() {
	err := s.ship(s.journal.Durable())
	defer s.endRound(err) // whoever waits finds how things stand
	if err != nil {
		now := time.Now()
		s.oldest.CompareAndSwap(nil, &now) // it is not even read
		s.notBefore = now.Add(min(lastBackoff, firstBackoff<<min(s.failures, 8)))
		s.failures++
		if !s.failing.Swap(true) {
			s.log.Warn("usage records cannot be given to the ledger; they are safe in the journal, and it is tried again", telemetry.FieldError, err)
		}
		return
	}
	s.failures, s.notBefore = 0, time.Time{}
	if s.failing.Swap(false) {
		s.log.Info("usage records are given to the ledger again")
	}
}

// ship gives the ledger everything up to a sequence, batch by batch. What was read
// before something that cannot be read is not held up by it.
func (s *shipper) ship(durable uint64) error {
	for {
		ended, err := s.fill()
		if ended {
			s.read = max(s.read, durable) // the last ones may be gaps
		}
		if err := errors.Join(err, s.deliver(err)); err != nil {
			return err
		}
		if ended || s.read >= durable {
			return nil
		}
		s.endRound(nil)
		if time.Since(s.savedAt) >= saveEvery {
			s.save()
		}
	}
}

// deliver gives the ledger the batch. What it can never keep is put aside. unread is why
// no more could be read, if that failed: then something waits, whatever is delivered.
func (s *shipper) deliver(unread error) error {
	if len(s.batch) > 0 {
		crash.Point("ship.before_write")
		if err := s.rejects.except(s.ledger.Add(context.Background(), s.batch)); err != nil {
			return err
		}
		crash.Point("ship.after_write")
		s.unshipped.Add(-int64(len(s.batch)))
		s.given.Add(uint64(len(s.batch)))
		clear(s.batch)
		s.batch = s.batch[:0]
	}
	if err := s.rejects.keep(s.aside); err != nil {
		return err
	}
	s.unshipped.Add(-int64(len(s.aside)))
	s.aside = nil
	if unread == nil {
		s.oldest.Store(nil)
	}
	s.shipped.Store(max(s.read, s.shipped.Load()))
	return nil
}

// save saves the cursor, and lets go of the segments that are not needed by whoever reads it.
func (s *shipper) save() {
	s.savedAt = time.Now()
	at := cursor{Shipped: s.shipped.Load()}
	for _, sequence := range s.opens {
		if sequence <= at.Shipped && (at.OldestOpen == 0 || sequence < at.OldestOpen) {
			at.OldestOpen = sequence
		}
	}
	if s.read < s.before {
		return // it does not yet know which requests are open
	}
	if at != s.saved {
		if err := at.save(s.dir); err != nil {
			s.log.Warn("the journal's cursor cannot be saved: after a crash, more is shipped again", telemetry.FieldError, err)
		} else {
			s.saved = at
		}
	}
	s.journal.Prune(s.saved.needed()) // whoever starts next sees what is saved
}

// lag is the age of the oldest record that was read and is not in the ledger, or for
// how long nothing can be read.
func (s *shipper) lag() time.Duration {
	oldest := s.oldest.Load()
	if oldest == nil {
		return 0
	}
	return max(0, time.Since(*oldest))
}

// owed is how many records the ledger has not.
func (s *shipper) owed() uint64 { return uint64(max(0, s.unshipped.Load())) }
