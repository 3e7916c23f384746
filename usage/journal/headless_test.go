package journal

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// A tail, 15 to 25, was being copied to segment 4 when the power went: it has no header. Whatever else is damaged,
// the originals count, which have more of it.
func TestACopyWithoutAHeaderReplacesNothing(t *testing.T) {
	tail := entries(15, 25, 0)
	for i := range tail {
		tail[i].durable = 14
	}
	two := slices.Concat(entries(11, 14, 0), tail[:6])
	f := func(spoil func(dir string), lost ...uint64) {
		t.Helper()
		dir := t.TempDir()
		write(t, dir, piece{1, 1, entries(1, 10, 0)}, piece{2, 11, two}, piece{3, 21, tail[6:]}, piece{4, 15, tail[:3]})
		zero(t, segmentPath(dir, 4), 0, headerSize)
		spoil(dir)
		if _, err := Repair(dir); err != nil {
			t.Fatal(err)
		}
		got, _, found, err := read(t, dir)
		if err != nil || found.last != 25 {
			t.Fatalf("it ends at %d, want 25: %v", found.last, err)
		}
		for _, s := range upTo(1, 25) {
			want := fmt.Sprintf("entry %d", s)
			if slices.Contains(lost, s) {
				want = ""
			}
			if got[s] != want {
				t.Errorf("entry %d is %q, want %q", s, got[s], want)
			}
		}
	}
	f(func(string) {})
	f(func(dir string) { change(t, segmentPath(dir, 1), func(raw []byte) []byte { raw[9] ^= 1; return raw }) })
	f(func(dir string) { zero(t, segmentPath(dir, 2), offsetOf(two, 12), offsetOf(two, 13)) }, 12)
}

// What is left behind a torn end is no damage, and is removed, beside an old header that was damaged, too.
func TestWhatATornEndLeavesIsRemoved(t *testing.T) {
	two := entries(11, 20, 4)
	f := func(spoil func(dir string)) {
		t.Helper()
		dir := t.TempDir()
		write(t, dir, piece{1, 1, entries(1, 10, 0)}, piece{2, 11, two}, piece{3, 21, entries(21, 25, 20)})
		zero(t, segmentPath(dir, 3), 0, headerSize)
		zero(t, segmentPath(dir, 2), offsetOf(two, 19), testSize)
		spoil(dir)
		found, err := survey(dir, 11, nil)
		if err != nil || found.last != 18 || !slices.Equal(found.blank, []string{segmentPath(dir, 3)}) {
			t.Errorf("it ends at %d, want 18, and leaves %q: %v", found.last, found.blank, err)
		}
	}
	f(func(string) {})
	f(func(dir string) { change(t, segmentPath(dir, 1), func(raw []byte) []byte { raw[9] ^= 1; return raw }) })
}

// A file that somebody has copied under another number replaces nothing.
func TestACopyOfASegmentReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, piece{1, 1, entries(1, 10, 0)}, piece{2, 11, entries(11, 20, 0)}, piece{3, 21, entries(21, 25, 0)})
	raw, err := os.ReadFile(segmentPath(dir, 1))
	if err == nil {
		err = os.WriteFile(segmentPath(dir, 4), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, found, err := read(t, dir); err != nil || found.last != 25 {
		t.Errorf("it ends at %d, want 25: %v", found.last, err)
	}
}
