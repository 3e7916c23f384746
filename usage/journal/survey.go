package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SegmentState says what a segment is good for.
type SegmentState uint8

// The states of a segment.
const (
	// SegmentUsed holds entries, or may.
	SegmentUsed SegmentState = iota
	// SegmentBlank was never begun: all of it is zero.
	SegmentBlank
	// SegmentAbandoned holds nothing that counts: later segments took all of it over.
	SegmentAbandoned
	// SegmentDamaged has a header that cannot be read, or entries that are missing.
	SegmentDamaged
)

// String returns the state's name.
func (s SegmentState) String() string {
	return [...]string{"used", "blank", "abandoned", "damaged"}[min(s, SegmentDamaged)]
}

// Segment is one as it was found in a folder.
type Segment struct {
	// Number is from its name. Base is the sequence of its first entry; 0: its header says nothing.
	Number, Base uint64
	Path         string
	// Size is in bytes.
	Size int64
	// First and Last are the entries of it that count; 0: none does. Entries is how many of them
	// were read; 0 where its header was enough.
	First, Last uint64
	Entries     int
	State       SegmentState

	begin    int64  // where its first entry is
	end      uint64 // the sequence from which on a later segment counts
	headless bool   // there is something in it, and where its header should be there is none
	spoiled  bool   // where its header was there is something else
}

// effective says that something of the segment counts.
func (s *Segment) effective() bool { return s.Base != 0 && s.Base < s.end }

// surveyed is what a folder was found to hold.
type surveyed struct {
	segments []Segment // by number; of what survey returns each has a base
	// last is the sequence of the last entry; 0 for an empty folder.
	last uint64
	// highest is the highest number in use, blank and unfinished segments included.
	highest uint64
	// blank are the files of blank and unfinished segments, and of those that power loss has
	// left without a header and with nothing that counts: they may be removed.
	blank []string
	// torn is how many bytes behind the last entry do not count.
	torn int64
	// unproven are the last entries, as they stand in their segments: as far as none says that they were safe.
	unproven []byte
}

// survey reads a folder and finds where the journal ends. Visit, unless it is nil, is
// given every entry from the sequence from on, in order, and may end the survey by an
// error. A segment that is wholly before from is only looked at by its header, so that
// a start is fast however much is kept. It changes nothing, and returns a *DamageError
// where an entry from there on is missing that was safe once.
func survey(dir string, from uint64, visit func(Entry) error) (surveyed, error) {
	found, err := list(dir)
	if err != nil {
		return surveyed{}, err
	}
	w := walk{segments: found.segments}
	w.damaged = func(d Damage) error {
		return &DamageError{Path: d.Path, Offset: d.Offset, Sequence: d.Sequence}
	}
	w.visit = func(_ *Segment, e Entry) error {
		if visit == nil || e.next() <= from {
			return nil
		}
		return visit(e)
	}
	if err := w.run(from); err != nil {
		return surveyed{}, err
	}
	found.last, found.torn, found.unproven = w.expected-1, w.torn, w.unproven
	found.blank = append(found.blank, w.leftover...)
	found.segments = slices.DeleteFunc(found.segments, func(s Segment) bool { return s.Base == 0 })
	return found, nil
}

// list reads the names and the headers in a folder.
func list(dir string) (surveyed, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return surveyed{}, fmt.Errorf("journal: %w", err)
	}
	var found surveyed
	for _, name := range names {
		path := filepath.Join(dir, name.Name())
		base, unfilled := strings.CutSuffix(name.Name(), newSuffix)
		number, ok := segmentNumber(base)
		if !ok {
			continue
		}
		found.highest = max(found.highest, number)
		if unfilled {
			found.blank = append(found.blank, path)
			continue
		}
		s, err := lookAt(path, number)
		if errors.Is(err, fs.ErrNotExist) {
			continue // nobody needs it any more
		}
		if err != nil {
			return surveyed{}, fmt.Errorf("journal: %s: %w", path, err)
		}
		if s.State == SegmentBlank {
			found.blank = append(found.blank, path)
		}
		found.segments = append(found.segments, s)
	}
	slices.SortFunc(found.segments, func(a, b Segment) int {
		if a.Number < b.Number {
			return -1
		}
		return 1
	})
	chain(found.segments)
	return found, nil
}

// lookAt reads the header of a segment. One whose header says nothing is blank only
// when all of it is zero.
func lookAt(path string, number uint64) (Segment, error) {
	s := Segment{Number: number, Path: path, begin: headerSize}
	file, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return s, err
	}
	s.Size = info.Size()
	raw := make([]byte, headerSize)
	n, err := file.ReadAt(raw, 0)
	if n < headerSize && int64(n) < s.Size {
		return s, err
	}
	h, err := readHeader(raw[:n])
	switch {
	case err == nil && h.number == number:
		s.Base = h.base
	case err == nil:
		s.State = SegmentDamaged // it is another one's file
	case errors.Is(err, errHeader):
		s.State, s.spoiled = SegmentDamaged, true
	case errors.Is(err, errBlank):
		s.State, err = blankOrDamaged(file)
		s.headless = s.State == SegmentDamaged
		return s, err
	default:
		return s, err
	}
	return s, nil
}

func blankOrDamaged(file *os.File) (SegmentState, error) {
	var w window
	w.look(file)
	if extent, err := w.extent(0); err != nil || extent == 0 {
		return SegmentBlank, err
	}
	return SegmentDamaged, nil
}

// forever is the end of a segment that none follows.
const forever = math.MaxUint64

// chain works out how far each segment counts: to the lowest base of all that follow.
// What is left has ever higher bases, and each ends where the next one begins.
func chain(segments []Segment) {
	end := uint64(forever)
	for i := len(segments) - 1; i >= 0; i-- {
		s := &segments[i]
		s.end = end
		if s.Base == 0 {
			continue
		}
		if s.Base >= end {
			s.State = SegmentAbandoned
		}
		end = min(end, s.Base)
	}
}
