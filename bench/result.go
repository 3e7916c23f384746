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

// each is the time per unit.
func each(d time.Duration, units int64, in time.Duration) float64 {
	return float64(d) / float64(in) / float64(units)
}

// A result is a scenario with what was found, one element per round.
type result struct {
	scenario        *scenario
	nginx, tollgate []figures
	recorded        int64 // requests that Tollgate served, and records in its ledger
}

// compared are the figures of a row.
type compared struct {
	nginx, tollgate           float64 // medians
	ratio, ratioMin, ratioMax float64 // of the rounds' ratios: the median, the least, the greatest; 0: there is none
}

func (r *result) compare(row int) compared {
	var a, b, ratios []float64
	for round := range r.nginx {
		n, t := r.nginx[round].values[row], r.tollgate[round].values[row]
		a, b = append(a, n), append(b, t)
		if n > 0 { // on a noisy machine, nginx may have been faster than nobody
			ratios = append(ratios, t/n)
		}
	}
	c := compared{nginx: medianOf(a), tollgate: medianOf(b), ratio: medianOf(ratios)}
	if len(ratios) > 0 {
		c.ratioMin, c.ratioMax = slices.Min(ratios), slices.Max(ratios)
	}
	return c
}

// met reports whether a goal is reached.
func (g goal) met(c compared) bool {
	if g.ratio {
		return c.ratio <= g.most
	}
	return c.tollgate <= g.most
}

// medianOf is the middle one, or the mean of the two in the middle; zero of none.
func medianOf[T cmp.Ordered](values []T) (zero T) {
	if len(values) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
