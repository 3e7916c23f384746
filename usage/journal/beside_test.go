package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// walkBeside reads a folder as Verify does, but not past a damage. Visited, unless it
// is nil, is called after each entry: a Tollgate writes at that moment.
func walkBeside(segments []Segment, visited func(sequence uint64)) (shown []uint64, torn int64, err error) {
	w := walk{segments: segments}
	w.damaged = func(d Damage) error {
		return &DamageError{Path: d.Path, Offset: d.Offset, Sequence: d.Sequence}
	}
	w.visit = func(_ *Segment, e Entry) error {
		shown = append(shown, e.Sequence)
		if visited != nil {
			visited(e.Sequence)
		}
		return nil
	}
	err = w.run(0)
	return shown, w.torn, err
}

func listed(t *testing.T, dir string) []Segment {
	t.Helper()
	found, err := list(dir)
	must(t, err)
	return found.segments
}

// Verify and Inspect work beside a running Tollgate: the zeros that they have in memory
// are entries by now, and some of them say that others are safe.
func TestWhatIsWrittenWhileItIsRead(t *testing.T) {
	for name, lag := range map[string]uint64{"later ones say that it is safe": 0, "nobody says that it is safe": 9} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ten := entries(1, 10, lag)
			write(t, dir, piece{1, 1, ten[:2]})
			shown, torn, err := walkBeside(listed(t, dir), func(sequence uint64) {
				if sequence%2 == 0 && sequence < 10 {
					write(t, dir, piece{1, 1, ten[:sequence+2]})
				}
			})
			if diff := cmp.Diff(upTo(1, 10), shown); diff != "" || torn != 0 || err != nil {
				t.Errorf("torn %d, error %v, shown (-want +got):\n%s", torn, err, diff)
			}
		})
	}
}

// Segments that were blank, or were being taken over, when the folder was listed.
func TestSegmentsThatAreBegunWhileOthersAreRead(t *testing.T) {
	first, second, third := piece{1, 1, entries(1, 5, 0)}, piece{2, 6, entries(6, 10, 0)}, piece{3, 11, entries(11, 15, 0)}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"blank":            func(t *testing.T, dir string) { zero(t, segmentPath(dir, 2), 0, testSize) },
		"without a header": func(t *testing.T, dir string) { zero(t, segmentPath(dir, 2), 0, headerSize) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, first, second, third)
			spoil(t, dir)
			shown, torn, err := walkBeside(listed(t, dir), func(sequence uint64) {
				if sequence == 5 {
					write(t, dir, second)
				}
			})
			if diff := cmp.Diff(upTo(1, 15), shown); diff != "" || torn != 0 || err != nil {
				t.Errorf("torn %d, error %v, shown (-want +got):\n%s", torn, err, diff)
			}
		})
	}
}

// aheadOf is a walk that has read entries 1 and 2 of a segment and found no third one.
// By now it is there, and those up to 10, of which the later ones say that it is safe.
// Another segment without a header holds copies: somebody began to take over, in vain.
func aheadOf(t *testing.T) (w *walk, at int64, shown *[]uint64) {
	t.Helper()
	dir, ten := t.TempDir(), entries(1, 10, 2)
	write(t, dir, piece{1, 1, ten[:2]}, piece{2, 5, ten[4:]})
	zero(t, segmentPath(dir, 2), 0, headerSize)
	shown = new([]uint64)
	w = &walk{
		segments: listed(t, dir), expected: 3,
		visit:   func(_ *Segment, e Entry) error { *shown = append(*shown, e.Sequence); return nil },
		damaged: func(d Damage) error { t.Errorf("damage %+v", d); return nil },
	}
	file, err := os.Open(segmentPath(dir, 1))
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	w.reading.look(file)
	at = offsetOf(ten, 3)
	if _, ok, err := w.reading.entry(at, 3); ok || err != nil {
		t.Fatalf("entry 3 is there, or %v", err)
	}
	write(t, dir, piece{1, 1, ten})
	return w, at, shown
}

// An entry that comes after the second look for it, and before what proves it is sought, is no damage.
func TestWhatIsWrittenWhileItIsLookedFor(t *testing.T) {
	w, at, _ := aheadOf(t)
	resume, err := w.broken(0, at)
	if err != nil || resume != at {
		t.Fatalf("reading goes on at %d, %v; want %d, where the entry is", resume, err, at)
	}
	if f, ok, err := w.reading.frame(at); !ok || f.Sequence != 3 || err != nil {
		t.Errorf("there is now %+v, %v, %v; want entry 3", f.Entry, ok, err)
	}
	if s := w.segments[1]; s.Base != 0 {
		t.Errorf("a segment counts from %d on although nothing is missing", s.Base)
	}
}

// A disk that reads an entry only now and then does not hold up the walk.
func TestAnEntryThatIsThereAndNotThere(t *testing.T) {
	w, at, shown := aheadOf(t)
	w.segments = w.segments[:1]
	resume, err := w.missing(0, at)
	if want := at + frameSize(len("entry 3")); err != nil || resume != want {
		t.Errorf("reading goes on at %d, %v; want %d, behind the entry", resume, err, want)
	}
	if diff := cmp.Diff([]uint64{3}, *shown); diff != "" || w.expected != 4 {
		t.Errorf("entry %d is expected, shown (-want +got):\n%s", w.expected, diff)
	}
}

// A log at work is never called damaged, however often it is looked at.
func TestReadingBesideABusyLog(t *testing.T) {
	const looks, writers = 20, 4
	dir := t.TempDir()
	l := opened(t, dir, small())
	must(t, l.Await(t.Context(), appendOwed(t, l, []byte("the first"))))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			payload := bytes.Repeat([]byte("y"), 900)
			for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
				sequence, err := l.Append(Settle, Room{Class: Owed}, payload)
				if err == nil {
					err = l.Await(context.Background(), sequence)
				}
				if err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
					return
				}
			}
		})
	}
	for look := range looks {
		if shown, _, err := walkBeside(listed(t, dir), nil); err != nil || len(shown) == 0 {
			t.Errorf("look %d: %d entries, %v", look, len(shown), err)
			break
		}
	}
	cancel()
	all.Wait()
}
