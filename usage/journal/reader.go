package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// place is where an entry is to be found.
type place struct {
	path         string
	number, base uint64
	// end is the first sequence that is not to be read there: a later segment has it, or it is not yet durable.
	end uint64
}

// Reader gives the entries of a Log in order, as they become durable. It belongs to one goroutine.
type Reader struct {
	locate func(sequence uint64) (place, bool)
	wanted uint64 // the sequence of the entry to be given next
	given  bool   // an entry was given
	number uint64 // the segment that is open
	file   *os.File
	window window
	at     int64  // where in it the next entry is
	passed uint64 // the sequence of that entry
}

// newReader reads from the entry called from on; locate finds the segment that has an
// entry, and is false where there is none yet.
func newReader(from uint64, locate func(sequence uint64) (place, bool)) *Reader {
	return &Reader{locate: locate, wanted: max(from, 1)}
}

// Next returns the next entry; its payload holds until the next call. When all that is
// durable was given it returns io.EOF, and may be called again later. Where an entry
// is missing that is durable, the error is a *DamageError, now and ever after.
//
// A Reader that begins below the oldest entry that is kept begins with that one.
func (r *Reader) Next() (Entry, error) {
	for {
		p, ok := r.locate(r.wanted)
		if !ok || r.wanted >= p.end {
			return Entry{}, io.EOF
		}
		if err := r.turn(p); err != nil {
			return Entry{}, err
		}
		f, err := r.frame(p)
		if err != nil {
			return Entry{}, err
		}
		r.at += frameSize(len(f.Payload))
		r.passed = f.next()
		if r.passed <= r.wanted {
			continue // on the way to the first one
		}
		r.wanted, r.given = min(r.passed, p.end), true
		return f.Entry, nil
	}
}

// turn opens the segment that the next entry is in, unless it is open.
func (r *Reader) turn(p place) error {
	if r.file != nil && r.number == p.number {
		return nil
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if p.base > r.wanted {
		if r.given {
			return &DamageError{Path: p.path, Sequence: r.wanted}
		}
		r.wanted = p.base
	}
	file, err := os.Open(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return &DamageError{Path: p.path, Sequence: r.wanted}
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	r.window.look(file)
	r.file, r.number, r.at, r.passed = file, p.number, headerSize, p.base
	return nil
}

// frame reads the entry at hand.
func (r *Reader) frame(p place) (frame, error) {
	f, ok, err := r.window.entry(r.at, r.passed)
	if err != nil {
		return frame{}, fmt.Errorf("journal: %s: %w", p.path, err)
	}
	if !ok {
		return frame{}, &DamageError{Path: p.path, Offset: r.at, Sequence: r.passed}
	}
	return f, nil
}

// entry reads the entry of that sequence at offset; ok is false where it is not. The file
// may have grown since its bytes were read: they are read once more before that is said.
func (w *window) entry(offset int64, sequence uint64) (f frame, ok bool, err error) {
	f, ok, err = w.frame(offset)
	if err != nil || ok && f.Sequence == sequence {
		return f, ok, err
	}
	return w.anew(offset, sequence)
}

// anew is entry, from the file and never from what is in memory.
func (w *window) anew(offset int64, sequence uint64) (f frame, ok bool, err error) {
	raw, err := w.reread(offset)
	if err != nil {
		return frame{}, false, err
	}
	f, ok = wholeFrame(raw)
	return f, ok && f.Sequence == sequence, nil
}

// Close closes the segment that is open.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
