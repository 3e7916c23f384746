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
		return s.judgeParam(e.Param, got, effectUnseen)
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

// closest returns a value that is taken, as close to a refused end as one more
// request tells: half of the end, or the value from the middle.
func (s *session) closest(ctx context.Context, e ends, end float64) float64 {
	middle, _ := strconv.ParseFloat(e.value, 64) // a literal of trials
	half := end / 2
	if between := (half-middle)*(half-end) < 0; between && half == math.Trunc(half) {
		if s.ask(ctx, e.request(number(half))).reception == accepted {
			return half
		}
	}
	return middle
}
