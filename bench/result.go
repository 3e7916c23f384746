package main

import (
	"cmp"
	"slices"
	"time"
)

// figures are what one measurement found.
type figures struct {
	values []float64 // one for each row
	inUse  float64   // of one core, by the gateway; 0: not looked at
	others float64   // of one core, by who has no part in this
}

// figures of a load: values, and how busy the core was with it.
func (u used) figures(values ...float64) figures {
	f := figures{values: values}
	if u.wall > 0 {
		f.inUse = u.cpu.Seconds() / u.wall.Seconds()
		f.others = max(0, (u.all-u.cpu-u.own).Seconds()/u.wall.Seconds())
	}
	return f
}

// each is the time per unit in microseconds.
func each(d time.Duration, units int64) float64 {
	return float64(d) / float64(time.Microsecond) / float64(units)
}

// ms is the time in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// A result is a scenario with what was found, one element per round.
type result struct {
	scenario        *scenario
	nginx, tollgate []figures
	relaxed, before []figures // Tollgate with usage.sync relaxed, and an earlier one; nil: not measured
	recorded        int64     // requests that Tollgate served, and records in its ledger
}

// compared are the figures of a row: medians over the rounds.
type compared struct {
	nginx, tollgate float64
	ratio           spread // to nginx; zero: there is none
	overNginx       spread
	overRelaxed     spread
	overBefore      spread
}

// A spread is the median, the least and the greatest of what the rounds show, each
// of which compares what was measured in it.
type spread struct{ middle, least, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	return spread{medianOf(values), slices.Min(values), slices.Max(values)}
}

func (r *result) compare(row int) compared {
	var ratios []float64
	for round := range r.nginx {
		n, t := r.nginx[round].values[row], r.tollgate[round].values[row]
		if n > 0 { // on a noisy machine, nginx may have been faster than nobody
			ratios = append(ratios, t/n)
		}
	}
	return compared{
		nginx: medianOf(column(r.nginx, row)), tollgate: medianOf(column(r.tollgate, row)),
		ratio:       spreadOf(ratios),
		overNginx:   r.over(r.nginx, row),
		overRelaxed: r.over(r.relaxed, row),
		overBefore:  r.over(r.before, row),
	}
}

// over is what Tollgate adds to another's figure.
func (r *result) over(other []figures, row int) spread {
	var added []float64
	for round, f := range other {
		added = append(added, r.tollgate[round].values[row]-f.values[row])
	}
	return spreadOf(added)
}

// column is what the rounds found for a row.
func column(found []figures, row int) (values []float64) {
	for _, f := range found {
		values = append(values, f.values[row])
	}
	return values
}

// met reports whether a goal is reached.
func (g goal) met(c compared) bool {
	switch g.of {
	case theRatio:
		return c.ratio.middle <= g.most
	case overNginx:
		return c.overNginx.middle <= g.most
	case overBefore:
		return c.overBefore.middle <= g.most
	}
	return c.tollgate <= g.most
}

// medianOf is the middle one, or the lesser of the two in the middle; zero of none.
func medianOf[T cmp.Ordered](values []T) T { return quantileOf(values, 50) }

// quantileOf is the least value that at least so many percent of them do not exceed;
// zero of none.
func quantileOf[T cmp.Ordered](values []T, percent int) (zero T) {
	if len(values) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
