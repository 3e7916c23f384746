package probe

import (
	"context"
	"math"
	"strconv"
	"strings"

	"tollgate/upstream"
)

// ends are the documented ends of a number's range, tried in place of one value
// from its middle.
type ends struct {
	trial
	upstream.Range
	tried []float64 // those that are documented
}

// mostTried is the highest end that is tried: above it, a documented one means no more than "large".
const mostTried = 1000

// endsOf returns the ends that are worth a request: none where no range is
// documented, or where the field has an effect that a value at the end would hide.
func endsOf(c *upstream.Contract, t trial) ends {
	e := ends{trial: t}
	if t.effect != nil || !c.Takes(t.param) {
		return e
	}
	for _, r := range c.Ranges {
		if r.Param != t.param {
			continue
		}
		e.Range = r
		for _, end := range [...]float64{r.Least, r.Most} {
			if math.Abs(end) <= mostTried {
				e.tried = append(e.tried, end)
			}
		}
	}
	return e
}

// String says which values are taken.
func (e ends) String() string { return rangeText(e.Range) }

func rangeText(r upstream.Range) string {
	least, most := "", ""
	if math.Abs(r.Least) <= mostTried {
		least = "from " + number(r.Least)
	}
	if math.Abs(r.Most) <= mostTried {
		most = "to " + number(r.Most)
	}
	return strings.Join(strings.Fields(seenTaken+" "+least+" "+most), " ")
}

// run tries the ends. Where one is refused, a value from the middle tells a
// narrower range from a field that is not taken at all.
func (e ends) run(ctx context.Context, s *session) result {
	var bad []float64
	why := ""
	for _, end := range e.tried {
		switch got := s.ask(ctx, e.request(number(end))); got.reception {
		case accepted:
		case refused:
			bad = append(bad, end)
			why = got.why
		default:
			return undecided(got.why)
		}
	}
	if len(bad) == 0 {
		return asDocumented(e.String())
	}
	got := s.ask(ctx, e.request(e.value))
	if got.reception != accepted {
		return s.judgeParam(e.Param, got, effectNone)
	}
	if s.closer += mostSteps * len(bad); s.closer > maxCloser {
		return undecided("an end is refused, and this run has looked closer often enough: take over what it saw and probe again")
	}
	seen := e.Range
	for _, end := range bad {
		taken := s.closest(ctx, e, end)
		if end == e.Most {
			seen.Most = taken
		} else {
			seen.Least = taken
		}
	}
	if s.stopped != "" {
		return undecided("")
	}
	s.limit(seen)
	return deviates(rangeText(seen), why)
}

const (
	// mostSteps is how many values are tried at most between a refused end and one that is taken.
	mostSteps = 5
	// maxCloser is how many are tried in a run: a provider with ranges of its own must not use it up.
	// A range that was looked at too little would be too narrow, and later runs could not tell.
	maxCloser = 3 * mostSteps
)

// closest returns a value that is taken, as close to a refused end as a few requests
// tell: most ranges leave out the end alone, or are half as wide. The middle is taken.
func (s *session) closest(ctx context.Context, e ends, end float64) float64 {
	taken, _ := strconv.ParseFloat(e.value, 64) // a literal of trials
	bad := end
	for step := range mostSteps {
		next, found := e.next(step, taken, bad)
		if !found {
			break
		}
		switch s.ask(ctx, e.request(number(next))).reception {
		case accepted:
			taken = next
		case refused:
			bad = next
		default:
			return taken
		}
	}
	return taken
}

// next is what is tried between a value that is taken and one that is not: first the
// neighbour of the end, then half of the end, then what halves the distance. It is false
// where nothing is left between.
func (e ends) next(step int, taken, bad float64) (float64, bool) {
	perUnit := 100.0 // a hundredth is near enough
	if e.Whole {
		perUnit = 1
	}
	unit := 1 / perUnit
	between := func(v float64) bool {
		return math.Abs(v-taken) > unit/2 && math.Abs(v-bad) > unit/2 && (v-taken)*(v-bad) < 0
	}
	round := func(v float64) float64 { return math.Round(v*perUnit) / perUnit }
	halved := round((taken + bad) / 2)
	v := halved
	switch step {
	case 0:
		v = round(bad + math.Copysign(unit, taken-bad))
	case 1: // bad is the end's neighbour
		if half := round(bad / 2); bad != 0 && between(half) {
			v = half
		}
	}
	if !between(v) {
		v = halved
	}
	return v, between(v)
}
