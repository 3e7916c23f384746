package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
)

// series remembers what was built for each combination of labels, so that a
// measurement costs a look-up and no allocation. Readers of seen take no lock;
// new combinations wait in fresh until copying seen is worth it.
type series[K comparable, V any] struct {
	build func(K) V
	bound   // of the combinations kept
	rest  V // for all others

	seen   atomic.Pointer[map[K]V] // never written to
	mu     sync.Mutex
	fresh  map[K]V
	misses int // look-ups that did not find their combination in seen
}

// newSeries returns series that build for a new combination, and for other when there are too many.
func newSeries[K comparable, V any](b bound, build func(K) V, other K) *series[K, V] {
	s := &series[K, V]{build: build, bound: b, rest: build(other), fresh: make(map[K]V)}
	s.seen.Store(&map[K]V{other: s.rest})
	return s
}

func (s *series[K, V]) of(key K) V {
	seen := *s.seen.Load()
	if v, ok := seen[key]; ok {
		return v
	}
	if len(seen) >= s.limit {
		s.full()
		return s.rest
	}
	return s.miss(key)
}

func (s *series[K, V]) miss(key K) V {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := *s.seen.Load()
	if v, ok := seen[key]; ok {
		return v
	}
	s.misses++
	v, ok := s.fresh[key]
	switch {
	case ok:
	case len(seen)+len(s.fresh) >= s.limit:
		s.full()
		v = s.rest
	default:
		v = s.build(key)
		s.fresh[key] = v
	}
	const worth = 4 // a miss pays for so many copied combinations
	if s.misses*worth > len(seen) && len(s.fresh) > 0 {
		grown := make(map[K]V, len(seen)+len(s.fresh))
		maps.Copy(grown, seen)
		maps.Copy(grown, s.fresh)
		s.seen.Store(&grown)
		s.fresh, s.misses = make(map[K]V), 0
	}
	return v
}
