package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// logOf is a Log as far as a Reader sees it: its segments, and how far it is durable.
func logOf(dir string, durable uint64, pieces ...piece) *Log {
	l := &Log{durable: durable}
	for _, p := range pieces {
		l.kept = append(l.kept, &segment{path: segmentPath(dir, p.number), number: p.number, base: p.base})
	}
	return l
}

// next reads all that a Reader has, until io.EOF.
func next(t *testing.T, r *Reader) (shown []uint64) {
	t.Helper()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return shown
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("entry %d", e.Sequence); string(e.Payload) != want {
			t.Fatalf("entry %d holds %q", e.Sequence, e.Payload)
		}
		shown = append(shown, e.Sequence)
	}
}

func TestReader(t *testing.T) {
	pieces := []piece{{2, 11, entries(11, 20, 2)}, {3, 16, entries(16, 25, 2)}}
	for name, c := range map[string]struct {
		from, durable uint64
		want          []uint64
	}{
		"from the beginning":           {11, 25, upTo(11, 25)},
		"from nothing":                 {0, 25, upTo(11, 25)},
		"from before what is kept":     {4, 25, upTo(11, 25)},
		"from the middle of a segment": {14, 25, upTo(14, 25)},
		"from the last segment":        {17, 25, upTo(17, 25)},
		"only what is durable":         {12, 13, upTo(12, 13)},
		"nothing yet":                  {12, 11, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, pieces...)
			r := logOf(dir, c.durable, pieces...).Read(c.from)
			defer func() { _ = r.Close() }()
			if diff := cmp.Diff(c.want, next(t, r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The zeros that a Reader has in its buffer are entries by now.
func TestReaderFollows(t *testing.T) {
	dir := t.TempDir()
	ten := entries(1, 10, 2)
	first, second := piece{1, 1, ten[:2]}, piece{2, 5, entries(5, 12, 2)}
	write(t, dir, first)
	l := logOf(dir, 2, first)
	r := l.Read(1)
	defer func() { _ = r.Close() }()
	got := [][]uint64{next(t, r)}

	first.frames = ten
	write(t, dir, first)
	l.durable = 4
	got = append(got, next(t, r), next(t, r))

	write(t, dir, second) // the first one was abandoned behind entry 4
	l.kept, l.durable = logOf(dir, 0, first, second).kept, 7
	got = append(got, next(t, r))
	l.durable = 12
	got = append(got, next(t, r))
	if diff := cmp.Diff([][]uint64{{1, 2}, {3, 4}, nil, {5, 6, 7}, upTo(8, 12)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReaderDamage(t *testing.T) {
	ten := entries(1, 10, 2)
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  DamageError
	}{
		"an entry is wiped": {
			func(t *testing.T, dir string) { zero(t, segmentPath(dir, 1), offsetOf(ten, 7), offsetOf(ten, 8)) },
			DamageError{Offset: offsetOf(ten, 7), Sequence: 7},
		},
		"an entry before the first one that is asked for is wiped": {
			func(t *testing.T, dir string) { zero(t, segmentPath(dir, 1), offsetOf(ten, 2), offsetOf(ten, 3)) },
			DamageError{Offset: offsetOf(ten, 2), Sequence: 2},
		},
		"the file is gone": {
			func(t *testing.T, dir string) { _ = os.Remove(segmentPath(dir, 1)) },
			DamageError{Sequence: 5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, piece{1, 1, ten})
			c.spoil(t, dir)
			r := logOf(dir, 10, piece{1, 1, ten}).Read(5)
			defer func() { _ = r.Close() }()
			var err error
			for err == nil {
				_, err = r.Next()
			}
			_, again := r.Next()
			c.want.Path = segmentPath(dir, 1)
			var damage *DamageError
			if !errors.As(err, &damage) || *damage != c.want || again == nil || again.Error() != err.Error() {
				t.Errorf("error %v, and then %v; want %v", err, again, &c.want)
			}
		})
	}
}

func TestReaderGivesAVoidOnce(t *testing.T) {
	dir := t.TempDir()
	frames := entries(1, 2, 0)
	v, _ := readFrame(void(3, 5))
	frames = append(append(frames, v), entries(8, 9, 0)...)
	p := piece{1, 1, frames}
	write(t, dir, p)
	r := logOf(dir, 9, p).Read(5)
	defer func() { _ = r.Close() }()
	e, err := r.Next()
	if err != nil || e.Kind != Void || e.Sequence != 3 || e.next() != 8 {
		t.Fatalf("%+v, %v; want a Void from 3 up to 8", e, err)
	}
	if diff := cmp.Diff([]uint64{8, 9}, next(t, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
