package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// piece is a segment as a test writes it.
type piece struct {
	number, base uint64
	frames       []frame
}

// entries makes entries of consecutive sequences; each knows that those more than lag before it are durable.
func entries(first, last, lag uint64) (frames []frame) {
	for s := first; s <= last; s++ {
		f := frame{Entry: Entry{Sequence: s, Kind: Settle, Payload: fmt.Appendf(nil, "entry %d", s)}}
		if s > lag+1 {
			f.durable = s - lag - 1
		}
		frames = append(frames, f)
	}
	return frames
}

const testSize = 4096

// write puts segments into a folder, each filled with zeros to testSize.
func write(t testing.TB, dir string, pieces ...piece) {
	t.Helper()
	for _, p := range pieces {
		raw := header{number: p.number, base: p.base}.encode()
		for _, f := range p.frames {
			raw = f.append(raw)
		}
		if len(raw) < testSize {
			raw = append(raw, make([]byte, testSize-len(raw))...)
		}
		if err := os.WriteFile(segmentPath(dir, p.number), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// change changes the bytes of a segment.
func change(t testing.TB, path string, with func(raw []byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, with(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

// offsetOf says where an entry of frames stands in its segment.
func offsetOf(frames []frame, sequence uint64) (at int64) {
	at = headerSize
	for _, f := range frames {
		if f.Sequence == sequence {
			break
		}
		at += frameSize(len(f.Payload))
	}
	return at
}

// zero wipes some bytes of a segment.
func zero(t testing.TB, path string, from, to int64) {
	t.Helper()
	change(t, path, func(raw []byte) []byte {
		clear(raw[from:min(to, int64(len(raw)))])
		return raw
	})
}

// sequences surveys a folder and returns what it was shown.
func sequences(t testing.TB, dir string, from uint64) (shown []uint64, found surveyed, err error) {
	t.Helper()
	found, err = survey(dir, from, func(e Entry) error {
		shown = append(shown, e.Sequence)
		if want := fmt.Sprintf("entry %d", e.Sequence); e.Kind != Void && string(e.Payload) != want {
			t.Errorf("entry %d holds %q", e.Sequence, e.Payload)
		}
		return nil
	})
	return shown, found, err
}

func upTo(first, last uint64) (all []uint64) {
	for s := first; s <= last; s++ {
		all = append(all, s)
	}
	return all
}

func TestSurvey(t *testing.T) {
	ten := entries(1, 10, 2)
	for name, c := range map[string]struct {
		pieces []piece
		from   uint64
		spoil  func(t *testing.T, dir string)
		shown  []uint64
		last   uint64
		torn   bool
	}{
		"an empty folder": {},
		"a segment without an entry": {
			pieces: []piece{{number: 7, base: 31}}, last: 30,
		},
		"one segment": {
			pieces: []piece{{number: 1, base: 1, frames: ten}}, shown: upTo(1, 10), last: 10,
		},
		"from the middle on": {
			pieces: []piece{{number: 1, base: 1, frames: ten}, {number: 2, base: 11, frames: entries(11, 15, 2)}},
			from:   9, shown: upTo(9, 15), last: 15,
		},
		"a segment before is not read": {
			pieces: []piece{{number: 1, base: 1, frames: ten[:3]}, {number: 2, base: 11, frames: entries(11, 15, 2)}},
			from:   12, shown: upTo(12, 15), last: 15,
		},
		"from beyond the end": {
			pieces: []piece{{number: 1, base: 1, frames: ten}}, from: 99, last: 10,
		},
		"what is kept begins later": {
			pieces: []piece{{number: 4, base: 41, frames: entries(41, 44, 1)}}, from: 7, shown: upTo(41, 44), last: 44,
		},
		"a later segment takes over": {
			pieces: []piece{{number: 1, base: 1, frames: ten}, {number: 2, base: 6, frames: entries(6, 8, 0)}},
			shown:  upTo(1, 8), last: 8,
		},
		"a segment is abandoned": {
			pieces: []piece{{number: 1, base: 1, frames: ten}, {number: 2, base: 11, frames: entries(11, 12, 2)}, {number: 3, base: 9, frames: entries(9, 14, 2)}},
			shown:  upTo(1, 14), last: 14,
		},
		"the end is torn": {
			pieces: []piece{{number: 1, base: 1, frames: ten}},
			spoil:  func(t *testing.T, dir string) { zero(t, segmentPath(dir, 1), offsetOf(ten, 8), offsetOf(ten, 9)) },
			shown:  upTo(1, 7), last: 7, torn: true,
		},
		"the end is torn in the segment before the last": {
			pieces: []piece{{number: 1, base: 1, frames: ten}, {number: 2, base: 11, frames: entries(11, 12, 9)}},
			spoil:  func(t *testing.T, dir string) { zero(t, segmentPath(dir, 1), offsetOf(ten, 10), testSize) },
			shown:  upTo(1, 9), last: 9, torn: true,
		},
		"a segment lost its header and nobody knew": {
			pieces: []piece{{number: 1, base: 1, frames: ten}, {number: 2, base: 11, frames: entries(11, 12, 9)}},
			spoil:  func(t *testing.T, dir string) { zero(t, segmentPath(dir, 2), 0, headerSize) },
			shown:  upTo(1, 10), last: 10, torn: true,
		},
		"a rewritten segment lost its header": {
			pieces: []piece{{number: 1, base: 1, frames: ten}, {number: 2, base: 6, frames: entries(6, 10, 9)}, {number: 3, base: 11, frames: entries(11, 12, 0)}},
			spoil:  func(t *testing.T, dir string) { zero(t, segmentPath(dir, 2), 0, headerSize) },
			shown:  upTo(1, 12), last: 12,
		},
		"a file is cut within an entry": {
			pieces: []piece{{number: 1, base: 1, frames: ten}},
			spoil: func(t *testing.T, dir string) {
				change(t, segmentPath(dir, 1), func(raw []byte) []byte { return raw[:offsetOf(ten, 10)+20] })
			},
			shown: upTo(1, 9), last: 9, torn: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.pieces...)
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			shown, found, err := sequences(t, dir, c.from)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.shown, shown); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
			if found.last != c.last || found.torn > 0 != c.torn {
				t.Errorf("last %d, torn %d bytes; want %d, torn %v", found.last, found.torn, c.last, c.torn)
			}
		})
	}
}

func TestSurveyDamage(t *testing.T) {
	ten, more := entries(1, 10, 2), entries(11, 20, 2)
	for name, c := range map[string]struct {
		spoil    func(t *testing.T, dir string)
		segment  uint64
		offset   int64
		sequence uint64
	}{
		"an entry is wiped": {
			spoil:   func(t *testing.T, dir string) { zero(t, segmentPath(dir, 1), offsetOf(ten, 4), offsetOf(ten, 5)) },
			segment: 1, offset: offsetOf(ten, 4), sequence: 4,
		},
		"a bit is flipped": {
			spoil: func(t *testing.T, dir string) {
				change(t, segmentPath(dir, 2), func(raw []byte) []byte { raw[offsetOf(more, 13)+30] ^= 4; return raw })
			},
			segment: 2, offset: offsetOf(more, 13), sequence: 13,
		},
		"the rest of a segment is wiped that another follows": {
			spoil:   func(t *testing.T, dir string) { zero(t, segmentPath(dir, 1), offsetOf(ten, 9), testSize) },
			segment: 1, offset: offsetOf(ten, 9), sequence: 9,
		},
		"a segment is missing": {
			spoil: func(t *testing.T, dir string) {
				if err := os.Remove(segmentPath(dir, 2)); err != nil {
					t.Fatal(err)
				}
			},
			segment: 1, offset: offsetOf(ten, 11), sequence: 11,
		},
		"a header is wiped": {
			spoil:   func(t *testing.T, dir string) { zero(t, segmentPath(dir, 2), 0, headerSize) },
			segment: 2, sequence: 11,
		},
		"the header of the first segment is wiped": {
			spoil:   func(t *testing.T, dir string) { zero(t, segmentPath(dir, 1), 0, headerSize) },
			segment: 1, sequence: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, piece{1, 1, ten}, piece{2, 11, more}, piece{3, 21, entries(21, 25, 2)})
			c.spoil(t, dir)
			_, _, err := sequences(t, dir, 0)
			var damage *DamageError
			if !errors.As(err, &damage) || !errors.Is(err, ErrDamaged) {
				t.Fatalf("error %v, want a DamageError", err)
			}
			if want := (DamageError{segmentPath(dir, c.segment), c.offset, c.sequence}); *damage != want {
				t.Errorf("damage %+v, want %+v", *damage, want)
			}
		})
	}
}

func TestSurveyFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, piece{3, 1, entries(1, 4, 1)})
	for name, size := range map[string]int{"0000000000000005.segment": testSize, "0000000000000006.segment.new": 10, "0000000000000007.segment.new": 0, "0000000000000001.segment.damaged": 9, "lock": 0} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := survey(dir, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.segments) != 1 || found.highest != 7 || found.last != 4 {
		t.Errorf("found %+v", found)
	}
	want := []string{filepath.Join(dir, "0000000000000005.segment"), filepath.Join(dir, "0000000000000006.segment.new"), filepath.Join(dir, "0000000000000007.segment.new")}
	if diff := cmp.Diff(want, found.blank); diff != "" {
		t.Errorf("blank (-want +got):\n%s", diff)
	}
}
