package upstream

import (
	"math/rand/v2"
)

// shares are how likely each of a model's candidates is to be asked, by position.
type shares [maxCandidates]float64

const (
	// mostTossed is how many candidates that have recovered a tier may have for every
	// case of who of them is passed by to be looked at.
	mostTossed = 6
	// sampledCases is how many of the cases are looked at where there are more.
	sampledCases = 256
)

// shares is about how likely each of those who can be asked is to be the first: what
// choose would do, tier by tier. Those who wait for probes take every request; else,
// what comes to a tier goes on to the next as often as all of it are passed by. It is
// exact, but for more than mostTossed in one tier that have recovered, and for the
// policy weighted, whose turns depend on those before.
func (r *Route) shares(open set, now instant) (each shares) {
	p := pool{model: r.model, kind: r.kind, now: now}
	rest, lowest := 1.0, set(0) // what has not found anybody yet
	for _, tier := range r.model.tiers {
		if p.set = open & tier; p.set == 0 || rest == 0 {
			continue
		}
		if lowest == 0 {
			lowest = p.set
		}
		rest = r.sharesOf(p, rest, &each)
	}
	if lowest != 0 && rest > 0 { // all are passed by: then nobody is
		p.set = lowest
		r.add(p, rest, &each)
	}
	return each
}

// sharesOf adds what the candidates of a tier get of what comes to it, and returns what
// goes on to the next.
func (r *Route) sharesOf(p pool, comes float64, each *shares) (goesOn float64) {
	m, whole := r.model, p.set
	var probes, steady set
	var tossed []toss
	for rest := whole; rest != 0; rest &= rest - 1 {
		i := rest.first()
		c := m.candidates[i]
		switch share := c.ramp(p.now, p.kind); {
		case m.MaxAttempts > 1 && c.awaitsProbes(p.kind):
			probes |= 1 << i
		case share < 1:
			tossed = append(tossed, toss{1 << i, share})
		default:
			steady |= 1 << i
		}
	}
	if probes != 0 {
		p.set = probes
		r.add(p, comes, each)
		return 0
	}
	eachCase(tossed, func(in set, likely float64) {
		if p.set = steady | in; p.set == 0 {
			goesOn += comes * likely
		} else if likely > 0 {
			r.add(p, comes*likely, each)
		}
	})
	return goesOn
}

// add adds the shares of a pool, times weight.
func (r *Route) add(p pool, weight float64, each *shares) {
	if r.anchor != 0 {
		each[pickByAnchor(p, r.anchor)] += weight
		return
	}
	r.model.policy.shares(p, weight, each)
}

// toss is a candidate, as a set, that is passed by unless a number is below its share.
type toss struct {
	candidate set
	share     float64
}

// eachCase tells who is not passed by, and how likely that is.
func eachCase(tossed []toss, tell func(in set, likely float64)) {
	if len(tossed) > mostTossed {
		sampleCases(tossed, tell)
		return
	}
	for who := range uint64(1) << len(tossed) {
		in, likely := set(0), 1.0
		for i, t := range tossed {
			if who&(1<<i) != 0 {
				in, likely = in|t.candidate, likely*t.share
			} else {
				likely *= 1 - t.share
			}
		}
		tell(in, likely)
	}
}

// sampleCases tells some of the cases, the same each time, that stand for all: each
// candidate is in as many of them as its share says (a Latin hypercube sample).
func sampleCases(tossed []toss, tell func(in set, likely float64)) {
	var cases [sampledCases]set
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // nothing secret: a sample
	for _, t := range tossed {
		for number, which := range random.Perm(sampledCases) {
			if float64(number)+0.5 < t.share*sampledCases {
				cases[which] |= t.candidate
			}
		}
	}
	for _, in := range cases {
		tell(in, 1./sampledCases)
	}
}
