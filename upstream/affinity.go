package upstream

import "math"

// Affinity says which requests belong to the same candidate.
type Affinity uint8

// The affinities.
const (
	AffinityNone   Affinity = iota
	AffinityPrefix          // those of one tenant that begin with the same system prompt and first user message
	AffinityKey             // those of one key
)

// AffinityByName returns the affinity of that name; false when there is none. No
// name is none.
func AffinityByName(name string) (Affinity, bool) {
	for i, known := range [...]string{AffinityNone: "none", AffinityPrefix: "prefix", AffinityKey: "key"} {
		if name == known {
			return Affinity(i), true //nolint:gosec // one of three
		}
	}
	return AffinityNone, name == ""
}

// affinityBound is how much more than the mean a candidate may be loaded before
// it yields to the next (Mirrokni, Thorup, Zadimoghaddam: "Consistent hashing with
// bounded loads", 2016).
const affinityBound = 1.25

// pickByAnchor chooses by rendezvous hashing (Thaler and Ravishankar, 1998), each
// candidate by its weight: the same anchor meets the same candidate on every
// replica and after every restart, and when that one cannot be asked, the same
// next one. Candidates loaded beyond the bound are passed over.
func pickByAnchor(p pool, anchor uint64) int {
	pending, weights := 1.0, 0.0 // the request itself is one
	for rest := p.set; rest != 0; rest &= rest - 1 {
		c := p.model.candidates[rest.first()]
		pending += float64(c.lane.pending.Load())
		weights += c.weight
	}
	best, most := -1, math.Inf(-1)
	for rest := p.set; rest != 0; rest &= rest - 1 {
		i := rest.first()
		c := p.model.candidates[i]
		if bound := math.Ceil(affinityBound * pending * c.weight / weights); float64(c.lane.pending.Load()) >= bound {
			continue
		}
		if score := c.weight / -math.Log(unit(anchor^c.seed)); score > most {
			best, most = i, score
		}
	}
	if best < 0 {
		return p.set.first() // not all can be above the mean, unless it has changed meanwhile
	}
	return best
}

// unit maps a hash to a number in (0, 1), evenly (the finalizer of SplitMix64).
func unit(h uint64) float64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	h ^= h >> 31
	return (float64(h>>11) + 0.5) / (1 << 53)
}
