package upstream

import "sync"

// weighted takes the candidates in turn, each as often as its weight says, and
// evenly mixed: nginx's smooth weighted round robin.
type weighted struct {
	mu     sync.Mutex
	credit [maxCandidates]int64
}

func (w *weighted) pick(p pool) int {
	if p.set&(p.set-1) == 0 {
		return p.set.first()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var total int64
	best := -1
	for rest := p.set; rest != 0; rest &= rest - 1 {
		i := rest.first()
		share := int64(p.model.candidates[i].share) //nolint:gosec // at most maxWeight << 32
		total += share
		w.credit[i] += share
		if best < 0 || w.credit[i] > w.credit[best] {
			best = i
		}
	}
	w.credit[best] -= total
	return best
}

func (w *weighted) shares(p pool, weight float64, each *shares) {
	var total float64
	for rest := p.set; rest != 0; rest &= rest - 1 {
		total += p.model.candidates[rest.first()].weight
	}
	for rest := p.set; rest != 0; rest &= rest - 1 {
		each[rest.first()] += weight * p.model.candidates[rest.first()].weight / total
	}
}
