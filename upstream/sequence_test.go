package upstream

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSequence compares with a plain list of what is undecided.
func TestSequence(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var s sequence
		open := make(map[uint64]bool)
		last := uint64(0)
		for range rapid.IntRange(0, 3000).Draw(r, "attempts") {
			last = s.begin()
			if open[last] = true; rapid.Bool().Draw(r, "decided") {
				s.end(last)
				delete(open, last)
			}
		}
		// Of those that are further back nothing is known; they are decided in time.
		for n := range open {
			if n+sequenceLength <= last {
				delete(open, n)
			}
		}
		first := rapid.Uint64Range(1, last+1).Draw(r, "first")
		to := rapid.Uint64Range(first-1, last).Draw(r, "to")
		if to+sequenceLength <= last {
			return
		}
		want := 0
		for n := range open {
			if n >= first && n <= to {
				want++
			}
		}
		if first+sequenceLength <= last {
			return // the bits of numbers so far apart are shared
		}
		if got := s.between(first, to); got != want {
			r.Fatalf("%d undecided from %d to %d, want %d", got, first, to, want)
		}
	})
}

// TestSequenceForgets lets numbers come round: an old attempt that is still
// undecided is neither counted twice nor taken for one that is decided.
func TestSequenceForgets(t *testing.T) {
	var s sequence
	old := s.begin()
	for range sequenceLength - 1 {
		s.end(s.begin())
	}
	if got := s.between(1, s.last.Load()); got != 1 {
		t.Errorf("%d are undecided, want the first", got)
	}
	young := s.begin() // it has the same bit
	if got := s.between(2, young); got != 1 {
		t.Errorf("%d are undecided, want the last", got)
	}
	s.end(old)
	s.end(young)
	if got := s.between(0, young); got != 0 {
		t.Errorf("%d are undecided, want none", got)
	}
}
