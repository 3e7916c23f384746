package upstream

import (
	"math"
	"math/bits"
)

// leastPending takes the candidate with the fewest requests in progress for its
// weight; of equals one at random.
type leastPending struct{}

func (leastPending) pick(p pool) int {
	best, load, equals := -1, 0.0, uint64(0)
	for rest := p.set; rest != 0; rest &= rest - 1 {
		i := rest.first()
		switch l := p.model.candidates[i].load(); {
		case best < 0, l < load:
			best, load, equals = i, l, 1
		case l == load:
			if equals++; p.model.random(equals) == 0 {
				best = i
			}
		}
	}
	return best
}

func (leastPending) shares(p pool, weight float64, each *shares) {
	least, equals := math.Inf(1), set(0)
	for rest := p.set; rest != 0; rest &= rest - 1 {
		i := rest.first()
		switch l := p.model.candidates[i].load(); {
		case l < least:
			least, equals = l, 1<<i
		case l == least:
			equals |= 1 << i
		}
	}
	for rest := equals; rest != 0; rest &= rest - 1 {
		each[rest.first()] += weight / float64(bits.OnesCount64(uint64(equals)))
	}
}
