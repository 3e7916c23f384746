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
	limit int // combinations kept; further ones are built each time

	mu   sync.Mutex
	seen atomic.Pointer[map[K]V]
}

func newSeries[K comparable, V any](limit int, build func(K) V) *series[K, V] {
	s := &series[K, V]{build: build, limit: limit}
	s.seen.Store(&map[K]V{})
	return s
}

func (s *series[K, V]) of(key K) V {
	if v, ok := (*s.seen.Load())[key]; ok {
		return v
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
	v := s.build(key)
	if len(seen) < s.limit {
		grown := make(map[K]V, len(seen)+1)
		maps.Copy(grown, seen)
		grown[key] = v
		s.seen.Store(&grown)
	}
	return v
}
