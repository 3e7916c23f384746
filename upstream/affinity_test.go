package upstream

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
)

// anchored is whom an anchor chooses when nobody is busy.
func anchored(t *testing.T, m *Model, anchor uint64) string {
	t.Helper()
	a := mustOf(t, m, RouteOptions{Anchor: anchor})
	finish(a, OutcomeClientGone)
	return a.Provider.Name
}

// anchorOf is what the n-th conversation has in common.
func anchorOf(n int) uint64 { return xxhash.Sum64([]byte{byte(n), byte(n >> 8)}) }

// TestAnchorsStay holds the very choices: another process, on another machine, with
// another version, must make the same, or every prompt cache is cold.
func TestAnchorsStay(t *testing.T) {
	m := several(t, 4, "")
	var got []string
	for n := range 32 {
		got = append(got, anchored(t, m, anchorOf(n)))
	}
	const want = "d c a d d d c c b a c c a d d b a d a a a c b a d c c a d b c c"
	if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
		t.Error(diff)
	}
}

func TestAnchors(t *testing.T) {
	const n = 10_000
	t.Run("choose the same in another table, whatever its policy", func(t *testing.T) {
		one, other := several(t, 5, ""), several(t, 5, "policy: weighted, affinity: key,")
		for i := range 1000 {
			if a, b := anchored(t, one, anchorOf(i)), anchored(t, other, anchorOf(i)); a != b {
				t.Fatalf("anchor %d chooses %s, and %s in another table", i, a, b)
			}
		}
	})
	t.Run("move only when their candidate is gone", func(t *testing.T) {
		all, less := several(t, 5, ""), several(t, 4, "") // without e
		moved := make(map[string]int)
		for i := range n {
			was, is := anchored(t, all, anchorOf(i)), anchored(t, less, anchorOf(i))
			switch {
			case was == "e":
				moved[is]++
			case was != is:
				t.Fatalf("anchor %d moves from %s to %s", i, was, is)
			}
		}
		for name, count := range moved {
			if count < 400 || count > 600 {
				t.Errorf("%s inherits %d anchors, want about 500", name, count)
			}
		}
	})
	t.Run("spread by weight", func(t *testing.T) {
		m := several(t, 4, "")
		got := make(map[string]float64)
		for i, weight := range []float64{5, 3, 1, 1} {
			m.candidates[i].weight = weight
		}
		for i := range n {
			got[anchored(t, m, anchorOf(i))] += 100. / n
		}
		near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 2 })
		if diff := cmp.Diff(map[string]float64{"a": 50, "b": 30, "c": 10, "d": 10}, got, near); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("do not move with the kind of answer", func(t *testing.T) {
		m := several(t, 4, "")
		m.candidates[2].lane.first.observe(m.clock.now(), time.Minute)
		for i := range 1000 {
			a := mustOf(t, m, RouteOptions{Kind: Streamed, Anchor: anchorOf(i)})
			finish(a, OutcomeClientGone)
			if plain := anchored(t, m, anchorOf(i)); a.Provider.Name != plain {
				t.Fatalf("anchor %d chooses %s for a stream, %s for a plain answer", i, a.Provider.Name, plain)
			}
		}
	})
}

// TestAnchorsYield has a candidate that cannot take all that belongs to it.
func TestAnchorsYield(t *testing.T) {
	t.Run("beyond a quarter more than the mean, and come back", func(t *testing.T) {
		m := several(t, 4, "")
		first := anchored(t, m, 7)
		var attempts []*Attempt
		for total := 1.0; total <= 400; total++ {
			attempts = append(attempts, mustOf(t, m, RouteOptions{Anchor: 7}))
			for _, c := range m.candidates {
				if pending := float64(c.lane.pending.Load()); pending > math.Ceil(1.25*total/4) {
					t.Fatalf("of %.0f requests, %.0f are at one of four", total, pending)
				}
			}
		}
		for _, c := range m.candidates {
			if pending := c.lane.pending.Load(); c.Provider.Name == first && pending != 125 {
				t.Errorf("of 400 requests %d are where they belong, want 125", pending)
			}
		}
		for _, a := range attempts {
			finish(a, OutcomeClientGone)
		}
		if again := anchored(t, m, 7); again != first {
			t.Errorf("when nobody is busy any more it chooses %s, not %s", again, first)
		}
	})
	t.Run("by weight", func(t *testing.T) {
		m := several(t, 2, "")
		m.candidates[0].weight, m.candidates[1].weight = 3, 1
		for range 400 {
			mustOf(t, m, RouteOptions{Anchor: 7})
		}
		if a, b := m.candidates[0].lane.pending.Load(), m.candidates[1].lane.pending.Load(); (a != 375 || b != 25) && (a != 275 || b != 125) {
			t.Errorf("of 400 requests %d and %d are in progress, want 1.25 times a share at one of them", a, b)
		}
	})
	in(t, "when it cannot be asked, always to the same", func(t *testing.T) {
		m := several(t, 4, "")
		first := anchored(t, m, 7)
		for _, c := range m.candidates {
			if c.Provider.Name == first {
				c.lane.cooldown.begin(m.clock.now(), OutcomeThrottled, 10*time.Second)
			}
		}
		second := anchored(t, m, 7)
		for range 100 {
			if got := anchored(t, m, 7); got != second || got == first {
				t.Fatalf("it yields to %s and to %s", second, got)
			}
		}
		time.Sleep(15 * time.Second)
		if got := anchored(t, m, 7); got != first {
			t.Errorf("afterwards it chooses %s, not %s", got, first)
		}
	})
	in(t, "to another for a second attempt", func(t *testing.T) {
		m := several(t, 2, "")
		route, _ := m.Route(&Needs{}, RouteOptions{Anchor: 7})
		a, _ := onward(&route)
		finish(a, OutcomeServerError)
		b, err := onward(&route)
		if err != nil || a.Candidate == b.Candidate {
			t.Errorf("a second attempt is made at %v, %v", b, err)
		}
	})
}

func TestAffinityByName(t *testing.T) {
	f := func(name string, want Affinity, known bool) {
		t.Helper()
		if got, ok := AffinityByName(name); got != want || ok != known {
			t.Errorf("%q is %d, %t; want %d, %t", name, got, ok, want, known)
		}
	}
	f("", AffinityNone, true)
	f("none", AffinityNone, true)
	f("prefix", AffinityPrefix, true)
	f("key", AffinityKey, true)
	f("cookie", AffinityNone, false)
	if m := several(t, 1, "affinity: prefix,"); m.Affinity != AffinityPrefix {
		t.Errorf("a model with affinity prefix has %d", m.Affinity)
	}
}
