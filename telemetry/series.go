package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
)

// series remembers what was built for each combination of labels, so that a
// measurement costs a look-up and no allocation. Readers take no lock; a new
// combination copies the map, which happens a few times in a process's life.
type series[K comparable, V any] struct {
	build func(K) V
	limit int // combinations kept
	rest  V   // for all others

	mu   sync.Mutex
	seen atomic.Pointer[map[K]V]
}

// newSeries returns series that build for a new combination, and for other when there are too many.
func newSeries[K comparable, V any](limit int, build func(K) V, other K) *series[K, V] {
	s := &series[K, V]{build: build, limit: limit, rest: build(other)}
	s.seen.Store(&map[K]V{other: s.rest})
	return s
}

func (s *series[K, V]) of(key K) V {
	seen := *s.seen.Load()
	if v, ok := seen[key]; ok {
		return v
	}
	if len(seen) >= s.limit {
		return s.rest
	}
	return s.add(key)
}

func (s *series[K, V]) add(key K) V {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := *s.seen.Load()
	if v, ok := seen[key]; ok {
		return v
	}
	if len(seen) >= s.limit {
		return s.rest
	}
	grown := make(map[K]V, len(seen)+1)
	maps.Copy(grown, seen)
	grown[key] = s.build(key)
	s.seen.Store(&grown)
	return grown[key]
}
