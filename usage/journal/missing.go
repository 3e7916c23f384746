package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// broken deals with an entry of segment i that cannot be read, and says where reading
// goes on: 0 where the journal ends. It goes on behind at, or with a later entry: whatever
// the disk says, there is an end.
func (w *walk) broken(i int, at int64) (resume int64, err error) {
	s := &w.segments[i]
	proof, err := w.proof(i, at, w.expected)
	if err != nil {
		return 0, err
	}
	if !proof {
		if w.torn, err = w.reading.extent(at); err != nil {
			return 0, fmt.Errorf("journal: %s: %w", s.Path, err)
		}
		return 0, nil
	}
	// A Tollgate that runs may have written it, and what says that it is safe, since it was
	// looked for. If it is there now, it is in the window, where the next look finds it.
	if _, ok, err := w.reading.anew(at, w.expected); err != nil {
		return 0, fmt.Errorf("journal: %s: %w", s.Path, err)
	} else if ok {
		return at, nil
	}
	return w.missing(i, at)
}

// missing deals with an entry of segment i that was safe and is not there, and says
// where reading goes on.
func (w *walk) missing(i int, at int64) (resume int64, err error) {
	s := &w.segments[i]
	if err := w.begun(i); err != nil {
		return 0, err
	}
	if w.expected >= s.end {
		return at, nil
	}
	d := Damage{Path: s.Path, Offset: at, Sequence: w.expected}
	goesOn := func() (f frame, ok bool, err error) {
		d.resume, f, ok, err = w.seek(s.Path, at, w.expected, func(f frame) bool { return f.Sequence < s.end })
		return f, ok, err
	}
	f, ok, err := goesOn()
	if err != nil {
		return 0, err
	}
	accept := w.hadHeader
	if !ok && s.end == forever { // there is nothing that it could stand in the way of
		accept = whatever
	}
	if err := w.adopt(i, span{w.expected, s.end}, accept); err != nil {
		return 0, err
	}
	if f, ok, err = goesOn(); err != nil {
		return 0, err
	}
	if ok && d.resume == at && f.Sequence == w.expected { // a disk that reads now this, now that
		return at + frameSize(len(f.Payload)), w.take(s, f)
	}
	if ok {
		w.expected = f.Sequence
	} else {
		w.expected, d.resume = s.end, 0
	}
	d.Lost = w.expected - d.Sequence
	if d.Lost == 0 && !ok { // an adopted segment goes on exactly here
		return at, nil
	}
	s.State = SegmentDamaged
	return max(d.resume, at), w.damaged(d)
}

// proof looks, from offset at of segment i on and in all later ones, for an entry that says
// that the one called sequence was safe.
func (w *walk) proof(i int, at int64, sequence uint64) (bool, error) {
	if sequence <= w.proven {
		return true, nil
	}
	for j := max(i, 0); j < len(w.segments); j++ {
		s := &w.segments[j]
		if s.State == SegmentBlank {
			continue
		}
		if j != i {
			at = headerSize
		}
		_, f, ok, err := w.seek(s.Path, at, sequence, func(f frame) bool { return f.durable >= sequence })
		if ok {
			w.proven = f.durable
		}
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// begun looks once more at those segments behind segment i whose headers said nothing: a
// Tollgate that runs may have begun them since, and what is missing is in them.
func (w *walk) begun(i int) error {
	for j := i + 1; j < len(w.segments); j++ {
		s := &w.segments[j]
		if s.Base != 0 {
			continue
		}
		now, err := lookAt(s.Path, s.Number)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("journal: %s: %w", s.Path, err)
		}
		if now.Base != 0 {
			*s = now
		}
	}
	chain(w.segments)
	return nil
}

// adopt makes those segments behind segment i count whose headers cannot be read: each from
// its first entry on in a span. It may stand behind others that count, for it may have been
// written in their place. The last goes first: where two hold the same, the later one counts,
// and the earlier one ends where that begins.
// It is only done where something is missing, or may be: an unreadable header may as well
// belong to a segment that was never synced, and whose entries all are elsewhere. Accept says
// whether to believe a headless one behind which no header stands: those of a tail's copy are
// written from the last to the first.
func (w *walk) adopt(i int, in span, accept func(s *Segment, at int64, first uint64) (bool, error)) error {
	synced := false
	for j := len(w.segments) - 1; j > i; j-- {
		s := &w.segments[j]
		if s.Base == 0 && s.State == SegmentDamaged {
			at, f, ok, err := w.seek(s.Path, headerSize, in.from, func(f frame) bool { return f.Sequence < in.end })
			if ok && s.headless && !synced {
				ok, err = accept(s, at, f.Sequence)
			}
			if err != nil {
				return err
			}
			if ok {
				s.Base, s.begin = f.Sequence, at
			}
		}
		if s.Base != 0 {
			synced = true
			in.end = min(in.end, s.Base) // what it holds from there on counts in no earlier one
		}
	}
	chain(w.segments)
	return nil
}

// span is some sequences: those from from on, below end.
type span struct{ from, end uint64 }

// whatever believes in any segment.
func whatever(*Segment, int64, uint64) (bool, error) { return true, nil }

// hadHeader believes in a headless segment that says itself that its first entry was safe, as none says whose header never
// came to the disk: such as that of a tail's copy when the power went. The copy has no more than its originals, perhaps less.
func (w *walk) hadHeader(s *Segment, at int64, first uint64) (ok bool, err error) {
	_, _, ok, err = w.seek(s.Path, at, first, func(f frame) bool { return f.durable >= first })
	return ok, err
}

// adoptSpoiled adopts where a header is something else than one. A header lies within one
// sector of the disk: it is there or it is not, so that segment was begun, and was damaged
// later. It may hold the newest entries, of which no other one says that they were safe.
func (w *walk) adoptSpoiled() error {
	counts := false
	end := uint64(forever)
	for j := len(w.segments) - 1; j >= 0; j-- {
		s := &w.segments[j]
		base := s.Base
		if s.spoiled && s.Base == 0 {
			_, f, ok, err := w.seek(s.Path, headerSize, 1, func(f frame) bool { return f.Sequence < end })
			if err != nil {
				return err
			}
			if ok {
				base, counts = f.Sequence, true
			}
		}
		if base != 0 {
			end = min(end, base)
		}
	}
	if !counts {
		return nil
	}
	if err := w.begun(-1); err != nil { // a Tollgate that runs may have been about to write it
		return err
	}
	if !slices.ContainsFunc(w.segments, func(s Segment) bool { return s.spoiled && s.Base == 0 }) {
		return nil
	}
	accept := whatever
	if w.start(0) >= 0 { // there are others to believe
		accept = w.hadHeader
	}
	return w.adopt(-1, span{1, forever}, accept)
}

// seek finds an entry in a segment.
func (w *walk) seek(path string, offset int64, least uint64, accept func(frame) bool) (at int64, f frame, ok bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, frame{}, false, nil
	}
	if err != nil {
		return 0, frame{}, false, fmt.Errorf("journal: %w", err)
	}
	defer func() { _ = file.Close() }()
	w.seeking.look(file)
	at, f, ok, err = w.seeking.find(offset, least, accept)
	if err != nil {
		err = fmt.Errorf("journal: %s: %w", path, err)
	}
	return at, f, ok, err
}
