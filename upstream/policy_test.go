package upstream

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// inTurn is whom n requests ask, one after the other.
func inTurn(t *testing.T, m *Model, n int) string {
	t.Helper()
	var names []string
	for range n {
		a := must(t, m)
		names = append(names, a.Provider.Name)
		finish(a, OutcomeClientGone)
	}
	return strings.Join(names, " ")
}

// weightedBy is a model whose candidates a, b, ... have these weights.
func weightedBy(t *testing.T, policy string, weights ...uint64) *Model {
	t.Helper()
	m := several(t, len(weights), "policy: "+policy+",")
	for i, c := range m.candidates {
		c.share, c.weight = weights[i]<<32, float64(weights[i])
	}
	return m
}

func TestWeighted(t *testing.T) {
	in(t, "evenly mixed", func(t *testing.T) {
		m := weightedBy(t, "weighted", 5, 1, 1)
		const whole = "a a b a c a a"
		if got := inTurn(t, m, 14); got != whole+" "+whole {
			t.Errorf("got %s", got)
		}
		m.candidates[1].lane.cooldown.begin(m.clock.now(), OutcomeThrottled, 10*time.Second)
		if got := inTurn(t, m, 12); got != "a a a c a a a a a c a a" {
			t.Errorf("without b: %s", got)
		}
		time.Sleep(15 * time.Second)
		if got := inTurn(t, m, 7); got != whole {
			t.Errorf("with b again: %s", got)
		}
	})
	in(t, "in turn without weights", func(t *testing.T) {
		if got := inTurn(t, weightedBy(t, "weighted", 1, 1, 1), 9); got != "a b c a b c a b c" {
			t.Errorf("got %s", got)
		}
	})
	in(t, "the heaviest there can be", func(t *testing.T) {
		if got := inTurn(t, weightedBy(t, "weighted", maxWeight, maxWeight, maxWeight), 300); got != strings.TrimSpace(strings.Repeat("a b c ", 100)) {
			t.Errorf("got %s", got)
		}
	})
}

func TestLeastPending(t *testing.T) {
	in(t, "fills by weight", func(t *testing.T) {
		m := weightedBy(t, "least_pending", 2, 1, 3)
		for round := range 20 {
			for range 6 {
				must(t, m)
			}
			var got []int64
			for _, c := range m.candidates {
				got = append(got, c.lane.pending.Load()/int64(round+1))
			}
			if diff := cmp.Diff([]int64{2, 1, 3}, got); diff != "" {
				t.Fatalf("after %d requests\n%s", 6*(round+1), diff)
			}
		}
	})
	in(t, "one of equals at random", func(t *testing.T) {
		got := inTurn(t, weightedBy(t, "least_pending", 1, 1, 1), 3000)
		for _, name := range []string{"a", "b", "c"} {
			if n := strings.Count(got, name); n < 900 || n > 1100 {
				t.Errorf("%s is asked %d times of 3000", name, n)
			}
		}
	})
}

func TestP2C(t *testing.T) {
	in(t, "asks a slow one hardly ever, but does", func(t *testing.T) {
		m := several(t, 2, "")
		takes := map[string]time.Duration{"a": 100 * time.Millisecond, "b": time.Second}
		asked := make(map[string]int)
		for range 20 * 120 { // 20 a second for two minutes
			a := must(t, m)
			asked[a.Provider.Name]++
			go func() {
				time.Sleep(takes[a.Provider.Name])
				a.Report(Report{Outcome: OutcomeOK, Took: takes[a.Provider.Name]})
				a.End(EndingUnknown)
			}()
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if slow := asked["b"]; slow < 3 || slow > 200 {
			t.Errorf("of 2400 requests the slow one gets %d", slow)
		}
	})
	in(t, "sends no flood to one that it does not know", func(t *testing.T) {
		for _, known := range []time.Duration{time.Millisecond, time.Second, time.Minute} {
			m := several(t, 2, "")
			m.candidates[0].lane.answer.observe(m.clock.now(), known)
			for range 100 {
				must(t, m)
			}
			if a, b := m.candidates[0].lane.pending.Load(), m.candidates[1].lane.pending.Load(); a != 50 || b != 50 {
				t.Errorf("beside one that takes %s, of 100 requests at once it gets %d", known, b)
			}
		}
	})
	in(t, "is not drawn to one that fails at once", func(t *testing.T) {
		m := several(t, 2, "")
		asked := make(map[string]int)
		for range 1000 {
			a := must(t, m)
			asked[a.Provider.Name]++
			outcome, took := OutcomeOK, 300*time.Millisecond
			if n := asked["a"]; a.Provider.Name == "a" && n%3 == 0 { // not enough to trip
				outcome, took = OutcomeServerError, time.Millisecond
			} else if a.Provider.Name == "a" {
				outcome = OutcomeRequestRefused // 400s are quick, and no answers
			}
			a.Report(Report{Outcome: outcome, Took: took})
			a.End(EndingUnknown)
			time.Sleep(20 * time.Millisecond)
		}
		if asked["a"] > 300 {
			t.Errorf("of 1000 requests %d go where a third fails", asked["a"])
		}
	})
	in(t, "sends hardly anybody to one that falls silent", func(t *testing.T) {
		m := several(t, 2, "")
		var silent time.Time // from then on b never answers
		sent := 0
		for i := range 10 * 120 {
			if i == 300 {
				silent = time.Now()
			}
			a := mustOf(t, m, RouteOptions{Kind: Streamed})
			if a.Provider.Name == "b" && !silent.IsZero() {
				sent++
			} else {
				go func() {
					time.Sleep(300 * time.Millisecond)
					a.Report(Report{Outcome: OutcomeOK, Took: 300 * time.Millisecond})
					a.End(EndingWhole)
				}()
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if sent > 12 {
			t.Errorf("within 90s it gets %d of 900 requests", sent)
		}
	})
	in(t, "never asks the worst of three", func(t *testing.T) {
		m := several(t, 3, "")
		for i, c := range m.candidates {
			c.lane.first.observe(m.clock.now(), time.Duration(3-i)*time.Second)
		}
		seen := make(map[string]int)
		for range 3000 {
			a := mustOf(t, m, RouteOptions{Kind: Streamed})
			seen[a.Provider.Name]++
			finish(a, OutcomeClientGone)
		}
		if seen["a"] != 0 || seen["b"] < 900 || seen["b"] > 1100 {
			t.Errorf("of 3s, 2s and 1s it chooses %v; want none, a third, and two thirds", seen)
		}
	})
}

// TestPick holds for each policy and every pool: who is picked is in it.
func TestPick(t *testing.T) {
	m := model(t, seeded(t, manyCandidates(64)))
	rapid.Check(t, func(r *rapid.T) {
		for _, c := range m.candidates {
			c.lane.pending.Store(int64(rapid.IntRange(0, 3).Draw(r, "pending")))
			c.lane.answer.word.Store(0)
			if rapid.Bool().Draw(r, "known") {
				c.lane.answer.observe(1, time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(r, "latency")))
			}
			weight := rapid.Uint64Range(1, maxWeight).Draw(r, "weight")
			c.share, c.weight = weight<<32, float64(weight)
		}
		for _, known := range policies() {
			policy := known.make()
			for range 20 {
				p := pool{m, set(rapid.Uint64Range(1, 1<<64-1).Draw(r, "pool")), Plain, 2}
				if i := policy.pick(p); i < 0 || i > 63 || p.set&(1<<i) == 0 {
					r.Fatalf("%s picks %d of %b", known.name, i, p.set)
				}
				if i := pickByAnchor(p, rapid.Uint64().Draw(r, "anchor")); i < 0 || i > 63 || p.set&(1<<i) == 0 {
					r.Fatalf("an anchor picks %d of %b", i, p.set)
				}
			}
		}
	})
}
