package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// walk reads the entries that count, segment by segment, and tells a torn end from damage.
//
// Where the next entry cannot be read, the journal ends, unless an entry further on
// says that the missing one was safe when it was written: then something is damaged.
// Power loss may take any page that was not synced, and keep pages behind it; but
// nobody was told of an entry that no other one knows to be safe.
type walk struct {
	segments []Segment // by number, chained
	// visit is given each entry, damaged each damage; their errors end the walk.
	visit   func(*Segment, Entry) error
	damaged func(Damage) error

	expected uint64   // the sequence of the next entry
	proven   uint64   // entries up to here are known to have been safe
	torn     int64    // bytes behind the last entry
	leftover []string // headless segments that are not needed
	safe     uint64   // entries up to here were safe, as the last ones that were read say
	unproven []byte   // the entries behind it, as they stand in their segments
	reading  window   // the segment that is read
	seeking  window   // any segment, ahead of that
}

// run walks from the segment that holds from to the end of the journal. If no segment
// goes back so far, it begins with the oldest.
func (w *walk) run(from uint64) error {
	if err := w.adoptSpoiled(); err != nil {
		return err
	}
	start := w.start(from)
	if start < 0 || from < w.segments[start].Base {
		if err := w.leading(start); err != nil {
			return err
		}
		start = w.start(from)
	}
	if start < 0 {
		w.expected = 1
		return w.cut(-1, 0)
	}
	for i := range w.segments[:start] {
		if s := &w.segments[i]; s.effective() {
			s.First, s.Last = s.Base, s.end-1
		}
	}
	w.expected = w.segments[start].Base
	for i := start; i < len(w.segments); i++ {
		if !w.segments[i].effective() {
			continue
		}
		if ended, err := w.segment(i); err != nil {
			return err
		} else if ended {
			return w.cut(i, start)
		}
	}
	return nil
}

// start is the last segment that counts and begins no later than from; else the first one, or -1.
func (w *walk) start(from uint64) int {
	start := -1
	for i := range w.segments {
		if s := &w.segments[i]; s.effective() && (start < 0 || s.Base <= from) {
			start = i
		}
	}
	return start
}

// leading deals with the segments before the first one that counts whose headers cannot
// be read. Nothing says where the journal began, so they are known to be needed by what
// is in them.
func (w *walk) leading(first int) error {
	in, accept := span{1, forever}, whatever
	if first >= 0 {
		in.end, accept = w.segments[first].Base, w.hadHeader
	} else if proof, err := w.proof(-1, headerSize, 1); err != nil || !proof {
		return err
	}
	var spoiled []*Segment // in which nothing can be read that counts
	for i := range w.segments {
		if s := &w.segments[i]; s.State == SegmentDamaged && !s.headless {
			spoiled = append(spoiled, s)
		}
	}
	if err := w.adopt(-1, in, accept); err != nil {
		return err
	}
	start := w.start(0)
	if start < 0 { // nobody has needed it any more since the folder was listed
		return nil
	}
	oldest := &w.segments[start]
	for _, s := range spoiled {
		if s.Number >= oldest.Number || oldest.Base == 1 {
			break
		}
		if err := w.damaged(Damage{Path: s.Path, Sequence: oldest.Base - 1}); err != nil {
			return err
		}
	}
	return nil
}

// segment reads what counts of segment i; ended says that the journal ends in it.
func (w *walk) segment(i int) (ended bool, err error) {
	s := &w.segments[i]
	file, err := os.Open(s.Path)
	if errors.Is(err, fs.ErrNotExist) { // nobody has needed it any more since the folder was listed
		w.expected = s.end
		return s.end == forever, nil
	}
	if err != nil {
		return false, fmt.Errorf("journal: %w", err)
	}
	defer func() { _ = file.Close() }()
	w.reading.look(file)
	if s.State == SegmentDamaged { // it was adopted
		if err := w.damaged(Damage{Path: s.Path, Sequence: s.Base, resume: s.begin}); err != nil {
			return false, err
		}
	}
	for at := s.begin; w.expected < s.end; {
		f, ok, err := w.reading.entry(at, w.expected)
		if err != nil {
			return false, fmt.Errorf("journal: %s: %w", s.Path, err)
		}
		if !ok {
			if at, err = w.broken(i, at); err != nil || at == 0 {
				return at == 0, err
			}
			continue
		}
		if err := w.take(s, f); err != nil {
			return false, err
		}
		at += frameSize(len(f.Payload))
	}
	return false, nil
}

// take counts an entry and shows it.
func (w *walk) take(s *Segment, f frame) error {
	w.expected = min(f.next(), s.end)
	if s.Entries == 0 {
		s.First = f.Sequence
	}
	s.Entries, s.Last = s.Entries+1, w.expected-1
	w.keepUnproven(f)
	return w.visit(s, f.Entry)
}

// keepUnproven keeps an entry until a later one says that it was safe.
func (w *walk) keepUnproven(f frame) {
	if w.safe = max(w.safe, f.durable); f.Kind == Void {
		w.safe = max(w.safe, f.next()-1) // a repair has fsynced it
	}
	w.unproven = f.append(w.unproven)
	for len(w.unproven) > 0 {
		first, _ := readFrame(w.unproven)
		if first.next() > w.safe+1 {
			return
		}
		w.unproven = w.unproven[frameSize(len(first.Payload)):]
	}
}

// cut ends the journal in segment i: it counts what stands behind as torn, and knows
// that a headless segment behind the one called start is not needed.
func (w *walk) cut(i, start int) error {
	for j := start; j < len(w.segments); j++ {
		s := &w.segments[j]
		if s.headless && (s.Base == 0 || j > i && s.State == SegmentDamaged) {
			w.leftover = append(w.leftover, s.Path)
		}
		if j <= i || !s.effective() && s.State != SegmentDamaged {
			continue
		}
		if s.State == SegmentDamaged {
			s.Base = 0 // adopted for nothing: its file is left alone
		}
		s.State = SegmentAbandoned
		extent, err := extentOf(s.Path)
		if err != nil {
			return err
		}
		w.torn += extent
	}
	return nil
}

// extentOf is how many bytes there are behind the header of a segment, until only zeros follow.
func extentOf(path string) (int64, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	defer func() { _ = file.Close() }()
	var w window
	w.look(file)
	extent, err := w.extent(headerSize)
	if err != nil {
		return 0, fmt.Errorf("journal: %s: %w", path, err)
	}
	return extent, nil
}
