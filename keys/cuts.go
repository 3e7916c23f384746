package keys

import (
	"sync"
	"sync/atomic"
)

// maxCuts bounds the keys that Cuts remembers; beyond it the oldest are forgotten.
const maxCuts = 10_000

// Cuts are the keys that were revoked at once: their answers in progress end at the
// next event. It is safe for concurrent use; the zero Cuts has none.
type Cuts struct {
	generation atomic.Uint64 // grows with each new cut

	mu   sync.Mutex
	ids  map[string]bool // those of ring; false for one that was issued anew since
	ring []string        // the ids by age, once there are maxCuts
	next int             // the oldest of ring
}

func newCuts() *Cuts { return new(Cuts) }

// sever says that the answers of the key with this id must end.
func (c *Cuts) sever(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	severed, known := c.ids[id]
	switch {
	case severed:
		return
	case known:
	case len(c.ring) < maxCuts:
		c.ring = append(c.ring, id)
	default:
		delete(c.ids, c.ring[c.next])
		c.ring[c.next] = id
		c.next = (c.next + 1) % maxCuts
	}
	if c.ids == nil {
		c.ids = make(map[string]bool)
	}
	c.ids[id] = true
	c.generation.Add(1) // last: who sees the new generation finds the id
}

// mend says that the key with this id lives: it was issued anew long after it had been deleted.
func (c *Cuts) mend(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids[id] {
		c.ids[id] = false
	}
}

func (c *Cuts) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ids[id]
}

// Watch returns a look at whether this key is severed. It may begin at any time: a cut that came before is seen as well,
// so none is lost between the authentication of a request and the first event of its answer.
func (c *Cuts) Watch(id string) Watch { return Watch{cuts: c, id: id} }

// Watch looks at one key. It belongs to one goroutine; the zero Watch never sees anything.
type Watch struct {
	cuts *Cuts
	id   string
	seen uint64 // the generation that was looked at
}

// Severed tells whether answers of the key must end. It costs one atomic load while nothing was severed since the last
// look. Of a key that was severed it may stop telling after maxCuts others were.
func (w *Watch) Severed() bool {
	if w.cuts == nil {
		return false
	}
	now := w.cuts.generation.Load() // before the search: a cut that the search misses has a later generation
	if now == w.seen {
		return false
	}
	if w.cuts.has(w.id) {
		return true
	}
	w.seen = now
	return false
}
