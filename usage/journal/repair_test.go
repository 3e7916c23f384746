package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// read surveys a folder, and returns the payloads by their sequences; those of a Void are "".
func read(t rapid.TB, dir string) (entries map[uint64]string, first uint64, found surveyed, err error) {
	t.Helper()
	entries = map[uint64]string{}
	found, err = survey(dir, 0, func(e Entry) error {
		if first == 0 {
			first = e.Sequence
		}
		for s := e.Sequence; s < e.next() && e.Kind == Void && s < e.Sequence+1000; s++ {
			entries[s] = ""
		}
		if e.Kind != Void {
			entries[e.Sequence] = string(e.Payload)
		}
		return nil
	})
	return entries, first, found, err
}

// Whatever happens to the files: an entry that is still there is shown, or there is an error.
func TestNothingIsMissingWithoutAnError(t *testing.T) {
	inEachFolder(t, func(t *rapid.T, dir string) {
		h := newHistory(t)
		h.live(dir)
		spoil(t, dir)
		entries, _, found, err := read(t, dir)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		h.holds(dir, entries, found.last)
	})
}

// holds checks what a survey has shown against the truth.
func (h *history) holds(dir string, entries map[uint64]string, last uint64) {
	h.t.Helper()
	intact, claimed := h.intact(dir)
	if last < claimed {
		h.t.Fatalf("the journal ends at %d, and %d is known to have been durable", last, claimed)
	}
	for sequence, payload := range intact {
		if shown, ok := entries[sequence]; sequence <= last && (!ok || shown != string(payload)) {
			h.t.Fatalf("entry %d is %q, and was shown as %q", sequence, payload, shown)
		}
	}
	for sequence, payload := range entries {
		if payload != "" && !h.written[sequence][payload] {
			h.t.Fatalf("entry %d was shown as %q, and that was never written", sequence, payload)
		}
	}
}

func TestRepairKeepsAllThatCanBeRead(t *testing.T) {
	inEachFolder(t, func(t *rapid.T, dir string) {
		h := newHistory(t)
		h.live(dir)
		spoil(t, dir)
		before := contents(t, dir)
		intact, claimed := h.intact(dir)
		verified, err := Verify(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
			t.Fatalf("Verify has changed something:\n%s", diff)
		}
		interrupt(t, dir)
		report, err := Repair(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(verified.Damages) == 0 && (len(report.Damages) > 0 || len(report.Originals) > 0) {
			t.Fatalf("a healthy journal was repaired: %+v", report)
		}
		entries, _, found, err := read(t, dir)
		if err != nil {
			t.Fatalf("after the repair: %v", err)
		}
		if found.last != verified.Last || found.last < claimed {
			t.Fatalf("the journal ends at %d, should at %d, and %d was durable", found.last, verified.Last, claimed)
		}
		for sequence, payload := range intact {
			if sequence <= found.last && entries[sequence] != string(payload) {
				t.Fatalf("entry %d is %q, was %q", sequence, entries[sequence], payload)
			}
		}
		after := contents(t, dir)
		if again, err := Repair(dir); err != nil || len(again.Damages) > 0 {
			t.Fatalf("the second repair: %v, %+v", err, again)
		}
		if diff := cmp.Diff(after, contents(t, dir)); diff != "" {
			t.Fatalf("the second repair has changed something:\n%s", diff)
		}
		preserved(t, before, after)
	})
}

// interrupt lets a repair come to some of its steps.
func interrupt(t *rapid.T, dir string) {
	_, fixes, err := plan(dir)
	if err != nil {
		t.Fatal(err)
	}
	steps := rapid.IntRange(0, len(fixes)).Draw(t, "steps of a repair")
	for _, f := range fixes[:steps] {
		if _, err := f.apply(); err != nil {
			t.Fatal(err)
		}
	}
	if steps < len(fixes) && fixes[steps].segment.Base != 0 && rapid.Bool().Draw(t, "and a half") {
		if err := fixes[steps].rewrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := keep(fixes[steps].segment.Path); err != nil {
			t.Fatal(err)
		}
	}
}

func contents(t rapid.TB, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = string(raw)
	}
	return all
}

// preserved checks that every file of before is there as it was, under its name or as a damaged one.
func preserved(t *rapid.T, before, after map[string]string) {
	for name, raw := range before {
		found := slices.ContainsFunc([]string{name, name + ".damaged", name + ".damaged.1"}, func(name string) bool { return after[name] == raw })
		if !found {
			t.Fatalf("%s is not kept as it was", name)
		}
	}
}

func TestRepairOfEachDamage(t *testing.T) {
	ten, more := entries(1, 10, 2), entries(11, 20, 2)
	for name, c := range map[string]struct {
		spoil     func(t *testing.T, dir string)
		lost      []uint64
		originals []string
	}{
		"entries are wiped": {
			spoil:     func(t *testing.T, dir string) { zero(t, segmentPath(dir, 1), offsetOf(ten, 4), offsetOf(ten, 6)) },
			lost:      []uint64{4, 5},
			originals: []string{"0000000000000001.segment.damaged"},
		},
		"a segment is missing": {
			spoil:     func(t *testing.T, dir string) { _ = os.Remove(segmentPath(dir, 2)) },
			lost:      upTo(11, 20),
			originals: []string{"0000000000000001.segment.damaged"},
		},
		"a header is wiped": {
			spoil:     func(t *testing.T, dir string) { zero(t, segmentPath(dir, 2), 0, headerSize) },
			originals: []string{"0000000000000002.segment.damaged"},
		},
		"a header is wiped and the entries behind it": {
			spoil:     func(t *testing.T, dir string) { zero(t, segmentPath(dir, 2), 0, offsetOf(more, 13)) },
			lost:      []uint64{11, 12},
			originals: []string{"0000000000000002.segment.damaged", "0000000000000001.segment.damaged"},
		},
		"the oldest segment cannot be read at all": {
			spoil: func(t *testing.T, dir string) {
				_ = os.Remove(segmentPath(dir, 1))
				change(t, segmentPath(dir, 2), func(raw []byte) []byte { return bytes.Repeat([]byte("?"), len(raw)) })
			},
			lost:      upTo(1, 20),
			originals: []string{"0000000000000002.segment.damaged"},
		},
		"an earlier repair has kept an original": {
			spoil: func(t *testing.T, dir string) {
				zero(t, segmentPath(dir, 1), offsetOf(ten, 4), offsetOf(ten, 5))
				_ = os.WriteFile(segmentPath(dir, 1)+".damaged", []byte("old"), 0o600)
			},
			lost:      []uint64{4},
			originals: []string{"0000000000000001.segment.damaged.1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, piece{1, 1, ten}, piece{2, 11, more}, piece{3, 21, entries(21, 25, 2)})
			c.spoil(t, dir)
			report, err := Repair(dir)
			if err != nil {
				t.Fatal(err)
			}
			for i := range report.Originals {
				report.Originals[i] = filepath.Base(report.Originals[i])
			}
			if diff := cmp.Diff(c.originals, report.Originals); diff != "" {
				t.Errorf("originals (-want +got):\n%s", diff)
			}
			entries, _, found, err := read(t, dir)
			if err != nil || found.last != 25 {
				t.Fatalf("after the repair the journal ends at %d, %v", found.last, err)
			}
			var lost []uint64
			for s := uint64(1); s <= 25; s++ {
				if entries[s] == "" {
					lost = append(lost, s)
				}
			}
			if diff := cmp.Diff(c.lost, lost); diff != "" {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
		})
	}
}

// No later entry says that those of the newest segment were safe; what stands where its header was does.
func TestRepairOfTheNewestHeader(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, piece{1, 1, entries(1, 5, 0)}, piece{2, 6, entries(6, 7, 6)})
	change(t, segmentPath(dir, 2), func(raw []byte) []byte { raw[9] ^= 1; return raw })
	_, _, _, err := read(t, dir)
	if want := "0000000000000002.segment"; !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
		t.Errorf("before the repair: %v, want that %s is damaged", err, want)
	}
	repaired(t, dir, 1, 7)
}

// What segment 3 holds was written in the place of segment 2, and behind what segment 1 has lost.
func TestRepairOfAHeaderBehindOneThatCounts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, piece{1, 1, entries(1, 5, 2)}, piece{2, 9, entries(9, 9, 4)}, piece{3, 6, entries(6, 9, 4)}, piece{4, 10, entries(10, 11, 0)})
	change(t, segmentPath(dir, 3), func(raw []byte) []byte { clear(raw[:3]); return raw })
	repaired(t, dir, 1, 11)
	dir = t.TempDir()
	write(t, dir, piece{1, 1, entries(1, 5, 2)}, piece{2, 9, entries(9, 9, 4)}, piece{3, 6, entries(6, 9, 4)}, piece{4, 10, entries(10, 11, 0)})
	zero(t, segmentPath(dir, 3), 0, headerSize)
	repaired(t, dir, 1, 11)
}

// Neither header can be read, and only the second entry of the first segment is before all of the other.
func TestRepairOfTwoHeaders(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, piece{1, 5, slices.Concat(entries(7, 7, 0), entries(5, 5, 0))}, piece{2, 6, entries(6, 9, 0)})
	zero(t, segmentPath(dir, 1), 0, headerSize)
	change(t, segmentPath(dir, 2), func(raw []byte) []byte { return slices.Concat(bytes.Repeat([]byte("?"), headerSize), raw[headerSize:]) })
	repaired(t, dir, 5, 9)
}

// repaired repairs a folder, and checks that it has just the entries from first to last.
func repaired(t *testing.T, dir string, first, last uint64) {
	t.Helper()
	if _, err := Repair(dir); err != nil {
		t.Fatal(err)
	}
	want := map[uint64]string{}
	for _, s := range upTo(first, last) {
		want[s] = fmt.Sprintf("entry %d", s)
	}
	got, _, _, err := read(t, dir)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

func TestRepairRefusesWhatItDoesNotKnow(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, piece{1, 1, entries(1, 3, 1)})
	change(t, segmentPath(dir, 1), func(raw []byte) []byte {
		raw[8] = 9
		sum := headerSum(raw)
		raw[12], raw[13], raw[14], raw[15] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		return raw
	})
	_, err := Repair(dir)
	if err == nil || !strings.Contains(err.Error(), "0000000000000001.segment: the segment has format 9, and only 1 is known") {
		t.Errorf("error %v", err)
	}
}

func TestRepairOfAnOpenJournal(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unlock() }()
	if _, err := Repair(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
}
