package usage

import (
	"context"
	"errors"
	"io"
	"time"

	"tollgate/usage/journal"
)

// fill reads until a batch is full or the journal is read, and says which.
func (s *shipper) fill() (ended bool, err error) {
	for len(s.batch)+len(s.aside) < shipBatch {
		e, err := s.reader.Next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		s.take(e)
		s.read = e.Sequence
	}
	return false, nil
}

// take notes what an entry says.
func (s *shipper) take(e journal.Entry) {
	if e.Kind == journal.Intent {
		if id := requestID(e.Payload); id != "" && s.opens[id] == 0 {
			s.opens[id] = e.Sequence
		}
		return
	}
	if !shipped(e.Kind) {
		return
	}
	if e.Kind == journal.Settle {
		delete(s.opens, requestID(e.Payload))
	}
	if e.Sequence <= s.before {
		return
	}
	r, err := decodeRecord(e.Payload)
	if err != nil {
		s.aside = append(s.aside, rejectEntry(e.Sequence, e.Payload, err))
		return
	}
	if len(s.batch) == 0 {
		now := time.Now()
		since := now.Add(-max(0, now.Sub(r.lastSeen()))) // a step of the wall clock changes nothing from here on
		s.oldest.Store(&since)
	}
	s.batch = append(s.batch, r)
}

// shipped says whether the ledger is given entries of a kind.
func shipped(kind journal.Kind) bool {
	return kind == journal.Settle || kind == journal.Attempt || kind == journal.Adjust
}

// Reship gives the ledger once more everything durable that the journal has kept, and
// returns how many records that were: what the ledger has lost comes back, what it has
// changes nothing. What is pruned meanwhile is left out. An error says that not all were given.
func (b *Books) Reship(ctx context.Context) (records int, err error) {
	reader := keptReader{journal: b.journal, Reader: b.journal.Read(0)}
	defer func() { err = errors.Join(err, reader.Close()) }()
	until := b.journal.Durable()
	var batch []Record
	give := func() error {
		if err := b.shipper.rejects.except(b.ledger.Add(ctx, batch)); err != nil {
			return err
		}
		records += len(batch)
		batch = batch[:0]
		return nil
	}
	for {
		e, err := reader.next()
		if errors.Is(err, io.EOF) || err == nil && e.Sequence > until {
			return records, give()
		}
		if err != nil {
			return records, err
		}
		if !shipped(e.Kind) {
			continue
		}
		r, err := decodeRecord(e.Payload)
		if err != nil {
			continue // it was put aside when it was shipped
		}
		if batch = append(batch, r); len(batch) == shipBatch {
			if err := give(); err != nil {
				return records, err
			}
		}
	}
}

// keptReader reads what the journal keeps, while some of it may be pruned.
type keptReader struct {
	*journal.Reader
	journal *journal.Log
	lost    uint64 // the last entry that was missing
}

// next returns the next entry. Where it is missing, it begins again with the oldest
// entry that is kept from there on: what was pruned is passed over then, and what is
// damaged is missing again.
func (k *keptReader) next() (journal.Entry, error) {
	for {
		e, err := k.Next()
		var damage *journal.DamageError
		if !errors.As(err, &damage) || damage.Sequence <= k.lost {
			return e, err
		}
		k.lost = damage.Sequence
		if err := k.Close(); err != nil {
			return e, err
		}
		k.Reader = k.journal.Read(k.lost)
	}
}
