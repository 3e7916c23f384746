package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// tenant is who asks, by a hash of the name.
type tenant uint64

func tenantOf(name string) tenant { return tenant(xxhash.Sum64String(name)) }

// tenants is a set of them: a bit for each. Two may share one.
type tenants uint64

func (t tenant) bit() tenants { return 1 << (t % 64) }

// witnessTime is how long a tenant counts among those who have asked lately, at
// least; at most it is twice that.
const witnessTime = 15 * time.Second

// witnesses are the tenants whose attempts were decided lately. What one of them
// asks may fail wherever it is asked: that must not take an upstream from all the
// others. The zero value has seen nobody; it is its breaker's lock that guards it.
type witnesses struct {
	since         instant
	asked, failed [2]tenants // now, and before
}

func (w *witnesses) note(now instant, who tenants, e effect) {
	if w.since.until(now) >= witnessTime {
		w.asked, w.failed = [2]tenants{0, w.asked[0]}, [2]tenants{0, w.failed[0]}
		if w.since.until(now) >= 2*witnessTime {
			w.asked[1], w.failed[1] = 0, 0
		}
		w.since = now
	}
	w.asked[0] |= who
	if e == effectFailure {
		w.failed[0] |= who
	}
}

// agree reports whether the failures of some tenants are more than one tenant's
// own: several had them, or nobody else has asked.
func (w *witnesses) agree(failed tenants) bool {
	return failed&(failed-1) != 0 || (w.asked[0]|w.asked[1])&^failed == 0
}

// failures are the tenants whose attempts have failed lately.
func (w *witnesses) failures() tenants { return w.failed[0] | w.failed[1] }

// mostBanned bounds the tenants that one credential remembers.
const mostBanned = 1024

// ban keeps tenants from a credential with which what they ask is forbidden (403).
// Either the credential is at fault, and every tenant finds that out for itself, or
// what the tenant asked was, and then it is nobody else's affair. The zero value
// keeps nobody away. It is safe for concurrent use; while nobody is banned it costs
// an atomic load.
type ban struct {
	end   atomic.Int64 // instant
	begun atomic.Int64 // instant
	// vouched has the tenants that had an answer since they were last forbidden
	// something: two that share a bit are forgiven once too often.
	vouched atomic.Uint64

	mu      sync.Mutex
	banned  map[tenant]bool
	strikes int // bans without an answer between
}

// holds reports whether a tenant is kept away.
func (b *ban) holds(now instant, who tenant) bool {
	if !b.isOn(now) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.banned[who]
}

// isOn reports whether anybody is kept away.
func (b *ban) isOn(now instant) bool { return b.end.Load() > int64(now) }

// begin bans a tenant, unless it had an answer before: one refusal alone may be
// about the request. It returns for how long when it is the first to be banned.
// answered is when anybody last had an answer.
func (b *ban) begin(now instant, who tenant, answered instant) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bit := uint64(who.bit()); b.vouched.Load()&bit != 0 {
		b.vouched.And(^bit)
		return 0
	}
	isNew := !b.isOn(now)
	if isNew || len(b.banned) >= mostBanned { // to ask once too often is better than to keep the wrong ones away
		b.banned = make(map[tenant]bool)
	}
	b.banned[who] = true
	if !isNew {
		return 0
	}
	if int64(answered) > b.begun.Load() {
		b.strikes = 0
	}
	wait := lengthened(quarantineFor(b.strikes))
	b.strikes++
	b.begun.Store(int64(now))
	b.end.Store(int64(now.after(wait)))
	return wait
}

// answered notes that a tenant had an answer through the credential.
func (b *ban) answered(who tenant) {
	if bit := uint64(who.bit()); b.vouched.Load()&bit == 0 {
		b.vouched.Or(bit)
	}
}
