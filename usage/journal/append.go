package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"tollgate/crash"
)

// Append writes an entry behind all others and returns its sequence: from then on it
// survives the death of the process, and within 100 ms the machine's. Await waits for that.
//
// The error wraps ErrFull, ErrFailing, ErrTooLong or ErrClosed, and the entry was not
// taken then. One that is Owed is not refused by a disk that fails, nor for want of a
// segment that is in the making: it is kept in memory until it can be written, for
// which Written waits. A disk that does not answer at all refuses everything, Owed
// entries after three seconds.
func (l *Log) Append(kind Kind, room Room, payload []byte) (uint64, error) {
	if len(payload) > MaxPayload {
		return 0, ErrTooLong
	}
	if err := l.takeTurn(room.Class.patience()); err != nil {
		return 0, err
	}
	defer l.endTurn()
	l.mu.Lock()
	to, fresh, err := l.placeFor(room, frameSize(len(payload)))
	entry := frame{Entry{l.next, kind, payload}, l.durable}
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	l.scratch = entry.append(l.scratch[:0])
	if fresh {
		err = l.putHeader(to)
	}
	if to != nil && err == nil {
		err = l.put(to, l.scratch)
	}
	return entry.Sequence, l.taken(to, room, err)
}

// patience is how long an entry waits for others to be written.
func (c Class) patience() time.Duration {
	switch c {
	case Owed:
		return grace
	case Optional:
		return 5 * time.Millisecond
	}
	return stall
}

// takeTurn waits until nobody else writes to the files. The state is not locked
// meanwhile: whoever asks for it must not wait for the disk.
func (l *Log) takeTurn(patience time.Duration) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: it has not answered for %s", ErrFailing, patience)
	}
}

func (l *Log) endTurn() { <-l.turn }

// most is how much may wait in memory for an fsync before nothing new is begun.
const most = 16 << 20

// placeFor says which segment an entry goes to, and whether that one is yet to have
// its header; nil: it stays in memory. An error is why it is not taken.
func (l *Log) placeFor(room Room, size int64) (to *segment, fresh bool, err error) {
	if l.closed {
		return nil, false, ErrClosed
	}
	if room.Class != Owed {
		if err := l.refusing(); err != nil {
			return nil, false, err
		}
		if l.room()-size < l.promised+max(0, room.Promise) {
			signal(l.wanting)
			return nil, false, l.shortage()
		}
	}
	if l.active == nil { // and the entry is Owed: the disk fails
		return nil, false, nil
	}
	if l.active.offset+size <= l.active.size {
		return l.active, false, nil
	}
	if len(l.spares) > 0 {
		l.unsynced = append(l.unsynced, l.active)
		l.active = l.takeSpare(l.next)
		l.kept = append(l.kept, l.active)
		return l.active, true, nil
	}
	signal(l.wanting)
	if room.Class == Owed && l.short == nil {
		l.fail(ErrFull) // there will be a segment in a moment
		return nil, false, nil
	}
	return nil, false, l.shortage()
}

// takeSpare makes a segment of a spare that begins with that sequence. It counts when it has its header.
func (l *Log) takeSpare(base uint64) *segment {
	s := l.spares[0]
	l.spares = append(l.spares[:0], l.spares[1:]...)
	s.base, s.offset = base, headerSize
	signal(l.wanting)
	return s
}

// taken notes that an entry, which stands in scratch, was written to a segment, or was not.
func (l *Log) taken(to *segment, room Room, failed error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failed != nil {
		l.fail(failed)
	}
	written := to != nil && failed == nil
	switch {
	case written:
		// Should the segment have been given up meanwhile, it is written again with all others.
		to.offset += int64(len(l.scratch))
	case room.Class != Owed:
		return fmt.Errorf("%w: %w", ErrFailing, failed)
	case l.unwritten == 0:
		l.unwritten = l.next
	}
	l.tail = append(l.tail, l.scratch...)
	l.next++
	l.promised = max(0, l.promised+room.Promise)
	signal(l.dirty)
	if l.room() < l.promised+l.o.segmentSize() {
		signal(l.wanting)
	}
	return nil
}

// refusing says why nothing new is begun for the disk's sake.
func (l *Log) refusing() error {
	switch {
	case l.trouble.err != nil:
		return l.trouble.asError()
	case len(l.tail)+len(l.asked) > most:
		return fmt.Errorf("%w: it is too slow, %d MiB wait for it", ErrFailing, most>>20)
	}
	return nil
}

func (l *Log) shortage() error {
	if l.short != nil {
		return fmt.Errorf("%w: %w", ErrFull, l.short)
	}
	return ErrFull
}

// put writes behind what stands in a segment.
func (l *Log) put(s *segment, raw []byte) error { return l.writeAt(s, raw, s.offset) }

// putHeader makes a segment count, and what others before it hold from its base on not.
func (l *Log) putHeader(s *segment) error {
	crash.Point("rotate.before_header")
	if err := l.writeAt(s, header{s.number, s.base}.encode(), 0); err != nil {
		return err
	}
	crash.Point("rotate.after_header")
	return nil
}

func (l *Log) writeAt(s *segment, raw []byte, offset int64) error {
	l.writing.Store(l.now())
	_, err := s.file.WriteAt(raw, offset)
	l.writing.Store(0)
	return s.named(err)
}

// named says which segment an error is about: its file was opened under another name.
func (s *segment) named(err error) error {
	if err == nil {
		return nil
	}
	if reason := (*fs.PathError)(nil); errors.As(err, &reason) {
		err = reason.Err
	}
	return fmt.Errorf("%s: %w", s.path, err)
}

// now is the time since the log was opened, in nanoseconds, never 0. It does not jump.
func (l *Log) now() int64 { return int64(time.Since(l.began)) + 1 }

// fail notes that the disk has refused what it was given. The files in use are given
// up: what is not durable will be written to another.
func (l *Log) fail(err error) {
	if l.trouble.err == nil {
		l.trouble.since = time.Now()
	}
	l.trouble.err = err
	l.abandoned = append(l.abandoned, l.unsynced...)
	l.unsynced = nil
	if l.active != nil {
		l.abandoned = append(l.abandoned, l.active)
		l.active = nil
	}
	signal(l.urgent)
	signal(l.wanting)
}

// asError is the trouble as it is told.
func (t trouble) asError() error {
	if errors.Is(t.err, ErrFull) {
		return t.err // the disk is well, there is no segment on it yet
	}
	return fmt.Errorf("%w: %w", ErrFailing, t.err)
}

// stall is how long the disk may be at work before nothing new is begun.
const stall = 2 * time.Second

// Err says why entries of class Beginning are refused at this moment; nil: they are
// taken, or will be in a moment. It waits for no disk.
func (l *Log) Err() error {
	for _, began := range [...]int64{l.writing.Load(), l.syncing.Load()} {
		if began != 0 && l.now()-began > int64(stall) {
			return fmt.Errorf("%w: it has not answered for %s", ErrFailing, stall)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch err := l.refusing(); {
	case l.closed:
		return ErrClosed
	case err != nil:
		return err
	case l.short != nil && l.room()-l.o.slack() < l.promised:
		return l.shortage()
	}
	return nil
}

// signal wakes who listens, once.
func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// isFull reports whether an error is for want of room on the disk.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
