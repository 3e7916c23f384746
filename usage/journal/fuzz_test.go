package journal

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// FuzzSurvey gives the survey two segments of any bytes: it ends, and shows only what
// is in them, in order.
func FuzzSurvey(f *testing.F) {
	segment := func(h header, frames []frame) []byte {
		raw := h.encode()
		for _, f := range frames {
			raw = f.append(raw)
		}
		return append(raw, make([]byte, 64)...)
	}
	first, second := segment(header{1, 1}, entries(1, 5, 2)), segment(header{2, 6}, entries(6, 9, 2))
	f.Add(first, second)
	f.Add(first, segment(header{2, 4}, entries(4, 9, 0)))
	f.Add(first[:100], second)
	f.Add(make([]byte, 64), append(make([]byte, headerSize), second[headerSize:]...))
	f.Add(append(first[:headerSize:headerSize], void(1, 1<<63)...), second)
	f.Add(append(first[:headerSize:headerSize], void(1, 1<<64-1)...), second)
	// Behind a segment that cannot be read at all, and behind its own copy, a header cannot be read.
	f.Add(bytes.Repeat([]byte("?"), 64), append(make([]byte, headerSize), second[headerSize:]...))
	f.Add(second, append(bytes.Repeat([]byte("?"), headerSize), second[headerSize:]...))
	// Neither header can be read, and only the second entry of the first segment is before all of the other.
	turned := entries(5, 5, 0)[0].append(entries(7, 7, 0)[0].append(make([]byte, headerSize)))
	f.Add(turned, append(bytes.Repeat([]byte("?"), headerSize), second[headerSize:]...))
	f.Add(first[:20], segment(header{2, forever}, entries(4, 9, 0)))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := t.TempDir()
		for i, raw := range [][]byte{first, second} {
			if err := os.WriteFile(segmentPath(dir, uint64(i+1)), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		last := uint64(0)
		visit := func(e Entry) error {
			if e.Sequence <= last {
				t.Fatalf("entry %d was shown behind entry %d", e.Sequence, last)
			}
			last = e.Sequence
			if !holdsEntry(first, e) && !holdsEntry(second, e) {
				t.Fatalf("entry %d was shown and is not there", e.Sequence)
			}
			return nil
		}
		_, surveyErr := survey(dir, 0, visit)
		last = 0
		if err := Inspect(dir, func(_ Segment, e Entry) error { return visit(e) }); err != nil {
			return // a format that is not known
		}
		report, err := Repair(dir)
		if err != nil {
			t.Fatal(err)
		}
		if errors.Is(surveyErr, ErrDamaged) != (len(report.Damages) > 0) {
			t.Fatalf("the survey says %v, and the repair found %+v", surveyErr, report.Damages)
		}
		if _, err := survey(dir, 0, nil); err != nil {
			t.Fatalf("after the repair: %v", err)
		}
	})
}

// holdsEntry looks for an entry the slow way.
func holdsEntry(raw []byte, e Entry) bool {
	for at := range raw {
		if f, ok := readFrame(raw[at:]); ok && f.Sequence == e.Sequence && f.Kind == e.Kind && bytes.Equal(f.Payload, e.Payload) {
			return true
		}
	}
	return false
}

// FuzzFind compares the search with one that tries every byte.
func FuzzFind(f *testing.F) {
	frames := entries(3, 4, 0)
	raw := append(bytes.Repeat([]byte{0, 0, 1}, 9), frames[1].append(frames[0].append(make([]byte, 21)))...)
	f.Add(raw, uint64(0), uint16(0))
	f.Add(raw, uint64(4), uint16(60))
	f.Fuzz(func(t *testing.T, raw []byte, least uint64, from uint16) {
		var w window
		w.look(bytes.NewReader(raw))
		at, got, ok, err := w.find(int64(from), least, func(frame) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		for i := int(from); i < len(raw); i++ {
			if f, found := wholeFrame(raw[i:]); found && f.Sequence >= least {
				if !ok || at != int64(i) || got.Sequence != f.Sequence {
					t.Fatalf("found %v at %d, entry %d; want entry %d at %d", ok, at, got.Sequence, f.Sequence, i)
				}
				return
			}
		}
		if ok {
			t.Fatalf("found something at %d, and there is nothing", at)
		}
	})
}
