package upstream

import "math/bits"

// p2c takes the better of two candidates chosen at random: the lower product of
// its latency and of the requests in progress there, for its weight. Two choices
// keep a crowd from running after whoever looks best at the moment (Mitzenmacher,
// "The power of two choices in randomized load balancing", 2001).
type p2c struct{}

func (p2c) pick(p pool) int {
	m, size := p.model, bits.OnesCount64(uint64(p.set))
	if size == 1 {
		return p.set.first()
	}
	one := p.set.nth(int(m.random(uint64(size))))
	rest := p.set &^ (1 << one)
	other := rest.nth(int(m.random(uint64(size - 1))))
	return p.better(one, other)
}

func (p2c) shares(p pool, weight float64, each *shares) {
	size := bits.OnesCount64(uint64(p.set))
	if size == 1 {
		each[p.set.first()] += weight
		return
	}
	weight /= float64(size * (size - 1))
	for ones := p.set; ones != 0; ones &= ones - 1 {
		one := ones.first()
		for others := p.set &^ (1 << one); others != 0; others &= others - 1 {
			each[p.better(one, others.first())] += weight // of two equals each comes first once
		}
	}
}

// better is the one of two with the lower product; the first, when they are equal.
func (p pool) better(one, other int) int {
	a, b := p.model.candidates[one], p.model.candidates[other]
	ofA, ofB := a.lane.latencyOf(p.kind), b.lane.latencyOf(p.kind)
	latencyA, latencyB := ofA.read(p.now), ofB.read(p.now)
	switch { // whoever is not known is taken for as quick as the other, or all would run there
	case latencyA == 0 && latencyB == 0:
		latencyA, latencyB = 1, 1
	case latencyA == 0:
		latencyA = latencyB
	case latencyB == 0:
		latencyB = latencyA
	}
	latencyA, latencyB = max(latencyA, ofA.awaited(p.now)), max(latencyB, ofB.awaited(p.now))
	if latencyB*b.load() < latencyA*a.load() {
		return other
	}
	return one
}
