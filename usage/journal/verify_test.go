package journal

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	ten, more := entries(1, 10, 2), entries(11, 20, 2)
	more[0].Kind = Intent
	write(t, dir, piece{1, 1, ten}, piece{2, 11, more}, piece{3, 40, nil}, piece{5, 21, entries(21, 25, 2)}, piece{6, 23, entries(23, 30, 9)})
	zero(t, segmentPath(dir, 1), offsetOf(ten, 3), offsetOf(ten, 5))
	zero(t, segmentPath(dir, 2), offsetOf(more, 19), testSize)
	last := entries(23, 30, 9)
	zero(t, segmentPath(dir, 6), offsetOf(last, 29), offsetOf(last, 30))
	got, err := Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Report{
		Segments: []Segment{
			{Number: 1, Base: 1, Size: testSize, First: 1, Last: 10, Entries: 8, State: SegmentDamaged},
			{Number: 2, Base: 11, Size: testSize, First: 11, Last: 18, Entries: 8, State: SegmentDamaged},
			{Number: 3, Base: 40, Size: testSize, State: SegmentAbandoned},
			{Number: 5, Base: 21, Size: testSize, First: 21, Last: 22, Entries: 2},
			{Number: 6, Base: 23, Size: testSize, First: 23, Last: 28, Entries: 6},
		},
		Entries: map[Kind]uint64{Settle: 23, Intent: 1},
		First:   1, Last: 28,
		Torn: 2 * frameSize(len("entry 29")),
		Damages: []Damage{
			{Path: segmentPath(dir, 1), Offset: offsetOf(ten, 3), Sequence: 3, Lost: 2},
			{Path: segmentPath(dir, 2), Offset: offsetOf(more, 19), Sequence: 19, Lost: 2},
		},
		Lost: 4,
	}
	for i := range want.Segments {
		want.Segments[i].Path = segmentPath(dir, want.Segments[i].Number)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Segment{}, Damage{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVerifyAfterRepair(t *testing.T) {
	dir := t.TempDir()
	ten := entries(1, 10, 2)
	write(t, dir, piece{1, 1, ten})
	zero(t, segmentPath(dir, 1), offsetOf(ten, 3), offsetOf(ten, 5))
	if _, err := Repair(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Verify(dir)
	if err != nil || len(got.Damages) != 0 || got.Lost != 0 || got.Void != 2 || got.Last != 10 {
		t.Errorf("%+v, %v; want no damage, and a Void of 2", got, err)
	}
}

func TestInspect(t *testing.T) {
	dir := t.TempDir()
	ten := entries(1, 10, 2)
	write(t, dir, piece{1, 1, ten}, piece{2, 8, entries(8, 12, 2)})
	zero(t, segmentPath(dir, 1), offsetOf(ten, 3), offsetOf(ten, 5))
	var got []string
	stop := errors.New("enough")
	err := Inspect(dir, func(s Segment, e Entry) error {
		got = append(got, fmt.Sprintf("%d: %d %s %s", s.Number, e.Sequence, e.Kind, e.Payload))
		if e.Sequence == 9 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want the visitor's", err)
	}
	var want []string
	for _, s := range []uint64{1, 2, 5, 6, 7} {
		want = append(want, fmt.Sprintf("1: %d settle entry %d", s, s))
	}
	want = append(want, "2: 8 settle entry 8", "2: 9 settle entry 9")
	if !slices.Equal(want, got) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestDamageErrorSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  DamageError
		want string
	}{
		{
			DamageError{"j/0000000000000042.segment", 4096, 117},
			"the journal is damaged: j/0000000000000042.segment, at byte 4096: entry 117 was safe on the disk once and cannot be read any more: " +
				"run `tollgate journal verify -c config.yaml` to see what is lost and `tollgate journal repair -c config.yaml` to go on without it",
		},
		{
			DamageError{"j/0000000000000042.segment", 0, 117},
			"the journal is damaged: j/0000000000000042.segment, at byte 0: its header cannot be read, and entry 117 must be in it: " +
				"run `tollgate journal verify -c config.yaml` to see what is lost and `tollgate journal repair -c config.yaml` to go on without it",
		},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
