package ratelimit

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// outcome is what an order has come to: for each claim whether it was granted and what it lacked, for each line what is
// missing and what is left.
func outcome(o *Order) string {
	var claims, lines []string
	for _, c := range o.Claims {
		text := "granted"
		if c.Refused {
			text = "refused"
		}
		if c.Lacking != 0 {
			text += fmt.Sprintf(" lacking %b", c.Lacking)
		}
		claims = append(claims, text)
	}
	for _, l := range o.Lines {
		lines = append(lines, fmt.Sprintf("%d missing %d left", l.Missing, l.Left))
	}
	return strings.Join(claims, ", ") + ": " + strings.Join(lines, ", ")
}

// claims are one for each of costs at line 0.
func claims(costs ...int64) (all []Claim) {
	for _, cost := range costs {
		all = append(all, Claim{Parts: []Part{{Line: 0, Cost: cost}}})
	}
	return all
}

func TestDecide(t *testing.T) {
	f := func(what string, lines []Line, claims []Claim, want string) {
		t.Helper()
		o := &Order{Lines: lines, Claims: claims}
		o.decide()
		if got := outcome(o); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
		}
	}
	f("no claim", []Line{{Capacity: 100, Missing: 30}}, nil, ": 30 missing 0 left")
	f("exactly what there is", []Line{{Capacity: 100, Missing: 30}}, claims(70), "granted: 100 missing 0 left")
	f("one more", []Line{{Capacity: 100, Missing: 30}}, claims(71), "refused lacking 1: 30 missing 0 left")
	f("debt", []Line{{Capacity: 100, Missing: 101}}, claims(1), "refused lacking 1: 101 missing 0 left")
	f("nothing, of debt", []Line{{Capacity: 100, Missing: 101}}, claims(0), "granted: 101 missing 0 left")
	f("in turn: a small one passes behind a large one", []Line{{Capacity: 10}}, claims(6, 6, 4, 1),
		"granted, refused lacking 1, granted, refused lacking 1: 10 missing 0 left")

	f("a lease at best", []Line{{Capacity: 100, Least: 10, Most: 20}}, claims(1), "granted: 20 missing 19 left")
	f("a lease of what is there", []Line{{Capacity: 100, Missing: 85, Least: 10, Most: 20}}, claims(1), "granted: 100 missing 14 left")
	f("less than the least", []Line{{Capacity: 100, Missing: 91, Least: 10, Most: 20}}, claims(1), "refused lacking 1: 91 missing 0 left")
	f("a claim above the most", []Line{{Capacity: 100, Least: 10, Most: 20}}, claims(30), "granted: 30 missing 0 left")
	f("claims share a lease", []Line{{Capacity: 100, Least: 10, Most: 20}}, claims(7, 7, 6), "granted, granted, granted: 20 missing 0 left")
	f("what is left counts, and the next lease follows", []Line{{Capacity: 100, Least: 10, Most: 20}}, claims(19, 2), "granted, granted: 40 missing 19 left")
	f("what is left suffices where no lease is to be had", []Line{{Capacity: 20, Least: 10, Most: 20}}, claims(19, 1, 1),
		"granted, granted, refused lacking 1: 20 missing 0 left")
	f("what was left of an earlier answer is no claim's", []Line{{Capacity: 10, Missing: 10, Left: 5, drawn: 5}}, claims(1), "refused lacking 1: 10 missing 0 left")

	both := func(shadow ...int) []Claim {
		c := Claim{Parts: []Part{{Line: 0, Cost: 6}, {Line: 1, Cost: 1}, {Line: 2, Cost: 2}}}
		for _, i := range shadow {
			c.Parts[i].Shadow = true
		}
		return []Claim{c, {Parts: slices.Clone(c.Parts)}}
	}
	three := func() []Line {
		return []Line{{Capacity: 10, Least: 1, Most: 7}, {Capacity: 10}, {Limit: KeyConcurrent, Capacity: 3, Missing: 1}}
	}
	f("all or none", three(), both(), "granted, refused lacking 101: 7 missing 1 left, 1 missing 0 left, 3 missing 0 left")
	f("shadow refuses nobody, and spends what is there", three(), both(0, 2), "granted, granted lacking 101: 7 missing 1 left, 2 missing 0 left, 3 missing 0 left")
	f("one that is enforced refuses for all", three(), both(0), "granted, refused lacking 101: 7 missing 1 left, 1 missing 0 left, 3 missing 0 left")
}

func TestSettle(t *testing.T) {
	f := func(l Line, b level, now, want int64) {
		t.Helper()
		if l.settle(&b, now); l.Missing != want || b.missing != want {
			t.Errorf("%+v: %d are missing, and the answer is %d; want %d", b, b.missing, l.Missing, want)
		}
	}
	f(Line{Capacity: 100, Owed: 30}, level{}, 7, 30)
	f(Line{Capacity: 100_000, Owed: 50}, level{missing: 7000, capacity: 100_000, asOf: 7}, 10, 4050)
	f(Line{Capacity: 100_000, Owed: -50}, level{missing: 7000, capacity: 100_000, asOf: 7}, 10, 3950)
	f(Line{Capacity: 100_000, Owed: -5000}, level{missing: 7000, capacity: 100_000, asOf: 7}, 10, 0)
	f(Line{Capacity: 100_000, Owed: 99_000}, level{missing: 100_000, capacity: 100_000, asOf: 10}, 10, 199_000)
	f(Line{Capacity: maxSpan, Owed: maxSpan}, level{missing: maxSpan, capacity: 1, asOf: 10}, 10, maxSpan)
}

// drawOrder is an order at lines of any state, small figures being more likely.
func drawOrder(t *rapid.T) *Order {
	o := &Order{}
	amount := func(most int64) *rapid.Generator[int64] {
		return rapid.OneOf(rapid.Int64Range(0, min(most, 100)), rapid.Int64Range(0, most))
	}
	for range rapid.IntRange(1, 6).Draw(t, "lines") {
		l := Line{Capacity: amount(maxSpan).Draw(t, "capacity"), Missing: amount(2*maxSpan).Draw(t, "missing")}
		if rapid.Bool().Draw(t, "leased") {
			l.Most = rapid.Int64Range(0, l.Capacity).Draw(t, "most")
			l.Least = rapid.Int64Range(0, l.Most).Draw(t, "least")
		}
		o.Lines = append(o.Lines, l)
	}
	for range rapid.IntRange(0, 12).Draw(t, "claims") {
		var c Claim
		for line := range o.Lines {
			if rapid.Bool().Draw(t, "of the line") {
				c.Parts = append(c.Parts, Part{line, amount(o.Lines[line].Capacity).Draw(t, "cost"), rapid.IntRange(0, 3).Draw(t, "shadow") == 0})
			}
		}
		o.Claims = append(o.Claims, c)
	}
	return o
}

// What is drawn was there, and is either spent by those that were granted or left; and none is drawn in small change.
func TestDecideAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		before := slices.Clone(o.Lines)
		o.decide()
		spent := make([]int64, len(o.Lines))
		for _, c := range o.Claims {
			enforced := false
			for i, p := range c.Parts {
				lacks := c.Lacking&(1<<i) != 0
				enforced = enforced || lacks && !p.Shadow
				if !lacks && !c.Refused {
					spent[p.Line] += p.Cost
				}
			}
			if c.Refused != enforced {
				t.Fatalf("%+v: refused %v", c, c.Refused)
			}
		}
		for i, l := range o.Lines {
			drawn := l.Missing - before[i].Missing
			if l.Left < 0 || drawn != spent[i]+l.Left {
				t.Fatalf("line %d: %d are drawn, %d spent and %d left", i, drawn, spent[i], l.Left)
			}
			if drawn != 0 && (drawn < before[i].Least || l.Missing > l.Capacity) {
				t.Fatalf("line %d: %d are drawn of %+v", i, drawn, before[i])
			}
		}
	})
}

// An order is decided as it would be without the claims that it refuses: they change nothing. And what is granted
// one by one is granted together, as long as nothing is drawn in advance.
func TestRefusedClaimsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		again := &Order{Lines: slices.Clone(o.Lines)}
		single := &Order{Lines: slices.Clone(o.Lines)}
		o.decide()
		for _, c := range o.Claims {
			if !c.Refused {
				again.Claims = append(again.Claims, Claim{Parts: c.Parts})
			}
		}
		again.decide()
		if !slices.Equal(o.Lines, again.Lines) {
			t.Fatalf("with those that are refused: %+v\nwithout: %+v", o.Lines, again.Lines)
		}
		for i := range single.Lines {
			if single.Lines[i].Most > 0 {
				return
			}
		}
		for _, c := range o.Claims {
			single.Claims = []Claim{{Parts: c.Parts}}
			single.decide()
			if got := single.Claims[0]; got.Refused != c.Refused || got.Lacking != c.Lacking {
				t.Fatalf("alone: %+v\ntogether: %+v", got, c)
			}
		}
		for i := range single.Lines {
			if single.Lines[i].Missing != o.Lines[i].Missing {
				t.Fatalf("line %d: one by one %d are missing, together %d", i, single.Lines[i].Missing, o.Lines[i].Missing)
			}
		}
	})
}

// Costs beyond all bounds are refused, and nothing wraps around.
func TestHugeCosts(t *testing.T) {
	for _, cost := range []int64{maxSpan + 1, 1 << 53, math.MaxInt64} {
		o := &Order{Lines: []Line{{Capacity: maxSpan, Least: 1, Most: maxSpan}}, Claims: claims(1, cost, 1)}
		o.decide()
		if got, want := outcome(o), fmt.Sprintf("granted, refused lacking 1, granted: %d missing %d left", maxSpan, maxSpan-2); got != want {
			t.Errorf("cost %d: got %s, want %s", cost, got, want)
		}
	}
}
