package usage

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"sync"

	"tollgate/telemetry"
	"tollgate/usage/journal"
)

// maxLate bounds the records that are kept in memory: at 1 KiB each, some MiB.
const maxLate = 4096

// postponed are records that the journal could not take, although they were owed.
type postponed struct {
	writing sync.Mutex // held by who writes them, which may take seconds

	mu      sync.Mutex
	records []late
	ended   bool // nobody will write them any more
}

// late is one of them.
type late struct {
	requestID string
	kind      journal.Kind
	raw       []byte
}

func lateOf(f *form) late {
	return late{strings.Clone(f.record.RequestID), journalKind(f.record.Kind), bytes.Clone(f.raw)}
}

// journalKind is the kind of the entry for a record that the ledger is given.
func journalKind(k Kind) journal.Kind {
	switch k {
	case KindAttempt:
		return journal.Attempt
	case KindAdjust:
		return journal.Adjust
	}
	return journal.Settle
}

// postpone keeps a record that could not be written, until it can be. Where too many
// wait, the log has it. Of a request that has begun an empty bill is kept in its place:
// there are no more of those than open requests, and each holds the journal from there on.
func (b *Books) postpone(f *form) {
	if b.late.add(lateOf(f), maxLate) {
		return
	}
	b.lose(f)
	if _, begun := b.open.get(f.record.RequestID); !begun || f.record.Kind != KindSettle {
		return
	}
	bare := f.record.bare()
	if f, err := b.fill(&bare); err == nil {
		b.late.add(lateOf(f), math.MaxInt)
		b.put(f)
	}
}

// lose says that a record is not written, and all that was in it.
func (b *Books) lose(f *form) {
	b.dropped.Add(1)
	b.log.Error("a usage record is lost: the journal does not take it, and too many wait for that or there is no time left",
		telemetry.FieldRequestID, strings.Clone(f.record.RequestID), telemetry.FieldError, inWords(&f.record, errNotTaken))
}

var errNotTaken = errors.New("it was not written")

// add keeps one more, unless there are so many.
func (p *postponed) add(l late, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.records) >= most {
		return false
	}
	p.records = append(p.records, l)
	return true
}

// first is the one that waits longest.
func (p *postponed) first() (late, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.records) == 0 {
		return late{}, false
	}
	return p.records[0], true
}

// removeFirst is called by who holds writing, so that the first one is the same, unless
// all were given up meanwhile.
func (p *postponed) removeFirst() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.records) == 0 {
		return
	}
	p.records[0] = late{}
	if p.records = p.records[1:]; len(p.records) == 0 {
		p.records = nil
	}
}

// writeLate writes what was postponed, as far as the journal takes it.
func (b *Books) writeLate() {
	b.late.writing.Lock()
	defer b.late.writing.Unlock()
	written := 0
	for {
		l, more := b.late.first()
		if !more {
			break
		}
		err := b.writeOne(l)
		if errors.Is(err, journal.ErrFull) || errors.Is(err, journal.ErrFailing) || errors.Is(err, journal.ErrClosed) {
			break
		}
		b.late.removeFirst()
		if err != nil { // it never will be, and the others must not wait for it
			b.dropped.Add(1)
			b.log.Error("a usage record is lost: the journal can never take it", telemetry.FieldRequestID, l.requestID, telemetry.FieldError, err)
			continue
		}
		written++
	}
	if written > 0 {
		b.log.Info("records that the journal could not take before are written", telemetry.FieldCount, written)
	}
}

// retryLate is writeLate for who has other things to do than to wait for a disk that does not answer.
func (b *Books) retryLate() {
	if !errors.Is(b.journal.Err(), journal.ErrFailing) {
		b.writeLate()
	}
}

// writeOne writes what was postponed.
func (b *Books) writeOne(l late) error {
	room := journal.Room{Class: journal.Owed}
	if l.kind == journal.Settle {
		promised, _ := b.open.get(l.requestID)
		room.Promise = -promised.total
	}
	if _, err := b.journal.Append(l.kind, room, l.raw); err != nil {
		return err
	}
	b.shipper.owe()
	if l.kind == journal.Settle {
		b.open.remove(l.requestID)
	}
	return nil
}

// loseLate gives up what is postponed, because nobody will write it any more. Whoever is
// writing one of them is not waited for: the disk does not answer him.
func (b *Books) loseLate() {
	b.late.mu.Lock()
	lost := b.late.records
	b.late.records, b.late.ended = nil, true
	b.late.mu.Unlock()
	if len(lost) == 0 {
		return
	}
	b.dropped.Add(uint64(len(lost)))
	b.log.Error("usage records are lost: the journal did not take them before the end; requests without a bill are settled at the next start",
		telemetry.FieldCount, len(lost))
	for _, l := range lost {
		if r, err := decodeRecord(l.raw); err == nil {
			b.log.Error("a usage record is lost", telemetry.FieldRequestID, l.requestID, telemetry.FieldError, inWords(&r, errNotTaken))
		}
	}
}
