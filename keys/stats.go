package keys

import "sync/atomic"

// CacheStats counts how look-ups by digest were answered since the start. A
// look-up counts once. One that its caller gave up counts as unavailable, or stale.
type CacheStats struct {
	// Fresh were answered from memory.
	Fresh uint64
	// Refreshed were answered by the shared store.
	Refreshed uint64
	// Stale were answered from memory because the shared store failed or was slow: more than a few mean an outage.
	Stale uint64
	// Unknown were refused: the shared store has no such key, or had none within the last 5 s.
	Unknown uint64
	// Screened were refused without a question to the shared store: too many look-ups for the same client's address had
	// failed, or too many were under way, and the feed knows no such key.
	Screened uint64
	// Unavailable could not be answered.
	Unavailable uint64
}

// outcome is how a look-up was answered.
type outcome int

const (
	undecided outcome = iota
	due               // answered from memory, as fresh, with a question behind it
	fresh
	refreshed
	stale
	unknown
	screened
	unavailable
)

type counters [unavailable + 1]atomic.Uint64

// Stats returns the counts so far. It is cheap, and may be called at any time.
func (s *CachedStore) Stats() CacheStats {
	return CacheStats{
		Fresh:       s.counts[fresh].Load(),
		Refreshed:   s.counts[refreshed].Load(),
		Stale:       s.counts[stale].Load(),
		Unknown:     s.counts[unknown].Load(),
		Screened:    s.counts[screened].Load(),
		Unavailable: s.counts[unavailable].Load(),
	}
}
