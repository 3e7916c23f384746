package usage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"tollgate/crash"
	"tollgate/telemetry"
	"tollgate/usage/journal"
)

// What a record is expected to be longer than the intent of its attempt, in bytes: a
// bill has its times, its prices and its trail.
const (
	settleExtra  = 1 << 10
	attemptExtra = 256
	// entryHead is what an entry takes beside its payload, rounded up.
	entryHead = 32
)

// promise is the room in the journal that is held for how a request will end, in
// bytes: in all, and for its settle.
type promise struct{ total, settle int64 }

// promises are those of the requests that are open.
type promises struct {
	mu sync.Mutex
	of map[string]promise
}

// promiseFor is what an intent of that length asks for: it ends with an attempt that
// failed, or with a settle; and whatever the last attempt comes to, there is a settle.
func promiseFor(intent int, first bool) promise {
	p := promise{total: entryHead + int64(intent) + attemptExtra}
	if first {
		p.settle = entryHead + int64(intent) + settleExtra
		p.total += p.settle
	}
	return p
}

func (p *promises) get(requestID string) (promise, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.of[requestID]
	return was, ok
}

func (p *promises) add(requestID string, more promise) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.of[requestID]
	if !ok {
		requestID = strings.Clone(requestID)
	}
	p.of[requestID] = promise{was.total + more.total, was.settle + more.settle}
}

func (p *promises) remove(requestID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, requestID)
}

func (p *promises) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.of)
}

// form is memory for a record on its way into the journal.
type form struct {
	record Record
	raw    []byte
}

// fill checks a record and encodes it.
func (b *Books) fill(r *Record) (f *form, err error) {
	f, ok := b.forms.Get().(*form)
	if !ok {
		f = new(form)
	}
	if f.record, err = r.checked(); err == nil {
		f.raw, err = appendRecord(f.raw[:0], &f.record)
	}
	if err == nil && len(f.raw) > journal.MaxPayload {
		err = fmt.Errorf("%w: it takes %d bytes", ErrBadRecord, len(f.raw))
	}
	if err != nil {
		b.put(f)
		return nil, err
	}
	return f, nil
}

// maxForm bounds the memory that a form keeps.
const maxForm = 32 << 10

// put takes a form back: the texts of the record must not be kept.
func (b *Books) put(f *form) {
	f.record = Record{}
	if cap(f.raw) <= maxForm {
		b.forms.Put(f)
	}
}

// Intend puts on record that an attempt is about to be sent to a provider. When it
// returns nil, that survives the death of the process, and there is room for how the
// attempt will end. After an error, which wraps ErrUnavailable, nothing may be sent.
// The record, a KindIntent, is not retained.
func (b *Books) Intend(r *Record) error {
	f, err := b.fill(r)
	if err != nil {
		b.refused.Add(1)
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer b.put(f)
	_, begun := b.open.get(r.RequestID)
	asked := promiseFor(len(f.raw), !begun)
	crash.Point("intend.before_write")
	if err := b.begin(f.raw, asked); err != nil {
		b.refused.Add(1)
		return b.unavailable(err)
	}
	b.open.add(r.RequestID, asked)
	crash.Point("intend.after_write")
	return nil
}

// firstPause and lastPause are between two tries of an intent for which a segment is in
// the making, an eighth of a second in all.
const (
	firstPause = time.Millisecond
	lastPause  = 64 * time.Millisecond
)

// begin writes an intent. When many begin at once, the journal needs a moment to make
// room for them: that is no reason to refuse them. It has one when its error says more.
func (b *Books) begin(raw []byte, asked promise) error {
	room := journal.Room{Class: journal.Beginning, Promise: asked.total}
	for pause := firstPause; ; pause *= 2 {
		_, err := b.journal.Append(journal.Intent, room, raw)
		if err != journal.ErrFull || pause > lastPause { //nolint:errorlint // wrapped, it says why there is no room
			return err
		}
		time.Sleep(pause)
	}
}

// Note puts on record how a request goes on: a KindAttempt, which failed, or a
// KindCheckpoint. It becomes durable within 100 ms. What cannot be written is counted;
// the log has a KindAttempt that is no valid record. The record is not retained.
func (b *Books) Note(r *Record) {
	f, err := b.fill(r)
	if err != nil {
		b.dropped.Add(1)
		if r.Kind != KindCheckpoint {
			b.log.Error("a usage record can never be kept", telemetry.FieldRequestID, r.RequestID, telemetry.FieldError, inWords(r, err))
		}
		return
	}
	defer b.put(f)
	if r.Kind == KindCheckpoint {
		if _, err := b.journal.Append(journal.Checkpoint, journal.Room{Class: journal.Optional}, f.raw); err != nil {
			b.dropped.Add(1)
		}
		crash.Point("checkpoint.after_write")
		return
	}
	if _, err := b.write(f, promise{}); err != nil {
		b.postpone(f)
		return
	}
	crash.Point("note.after_write")
}

// Settle puts the bill of a request on record, a KindSettle. When it returns nil, the
// bill survives the loss of power (usage.sync strict) or the death of the process (relaxed).
//
// After an error it may or may not: what the journal did not take is kept in memory and
// tried again. One that is no valid record (ErrBadRecord) is put aside, and an empty bill
// takes its place. The context bounds the waiting, not the writing, and must not be one
// that ends when the client leaves. The record is not retained.
func (b *Books) Settle(ctx context.Context, r *Record) error {
	f, err := b.fill(r)
	if err != nil {
		b.settleBare(r, err)
		return err
	}
	defer b.put(f)
	promised, _ := b.open.get(r.RequestID)
	crash.Point("settle.before_write")
	sequence, err := b.write(f, promised)
	if err != nil {
		b.postpone(f)
		return fmt.Errorf("the bill of the request is not on record yet: %w", err)
	}
	b.open.remove(r.RequestID)
	crash.Point("settle.after_write")
	return b.safe(ctx, sequence)
}

// safe waits until a bill is as safe as usage.sync wants it.
func (b *Books) safe(ctx context.Context, sequence uint64) error {
	if b.config.Sync == SyncRelaxed {
		// A disk that fails has not taken it yet: it is in memory alone.
		if err := b.journal.Written(ctx, sequence); err != nil {
			return fmt.Errorf("the bill of the request is not on record yet: %w", err)
		}
		return nil
	}
	if err := b.journal.Await(ctx, sequence); err != nil {
		return fmt.Errorf("the bill of the request is written and may not be safe: %w", err)
	}
	crash.Point("settle.after_sync")
	return nil
}

// write appends a record that the ledger is given. It is money, and may take room that
// was promised to others. Its remarks are not: they only take room that nobody was
// promised, and are left out before the record is.
func (b *Books) write(f *form, promised promise) (sequence uint64, err error) {
	room := journal.Room{Class: journal.Owed, Promise: -promised.total}
	if f.hasRemarks() && entryHead+int64(len(f.raw)) > promised.settle {
		room.Class = journal.Optional
	}
	for {
		sequence, err = b.journal.Append(journalKind(f.record.Kind), room, f.raw)
		switch {
		case err == nil:
			b.shipper.owe()
			return sequence, nil
		case errors.Is(err, journal.ErrFull) && f.hasRemarks():
			if err := f.shorten(); err != nil {
				return 0, err
			}
		case room.Class == journal.Owed:
			return 0, err
		}
		room.Class = journal.Owed // an Optional entry is not waited for as one that is owed
	}
}

func (f *form) hasRemarks() bool { return f.record.Trail != "" || f.record.Rejected != "" }

// shorten encodes the record once more, without its remarks.
func (f *form) shorten() (err error) {
	f.record.Trail, f.record.Rejected = "", ""
	f.raw, err = appendRecord(f.raw[:0], &f.record)
	return err
}
