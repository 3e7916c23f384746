package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// tenants is a set of tenants: a bit for each, by a hash. Two may share one.
type tenants uint64

func tenantOf(name string) tenants { return 1 << (xxhash.Sum64String(name) % 64) }

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

// ban keeps tenants from a credential with which what they ask is forbidden (403).
// Either the credential is at fault, and every tenant finds that out with one
// request, or what the tenant asked was, and then it is nobody else's affair. The
// zero value keeps nobody away. It is safe for concurrent use.
type ban struct {
	banned  atomic.Uint64 // tenants
	vouched atomic.Uint64 // tenants that had an answer since they were last forbidden something
	end     atomic.Int64  // instant

	mu      sync.Mutex
	begun   atomic.Int64 // instant
	strikes atomic.Int32 // bans since the last answer
}

// holds reports whether one of these tenants is kept away.
func (b *ban) holds(now instant, who tenants) bool {
	return b.banned.Load()&uint64(who) != 0 && b.end.Load() > int64(now)
}

// begin bans a tenant, unless it had an answer before: one refusal alone may be
// about the request. It returns for how long when it is the first to be banned.
func (b *ban) begin(now instant, who tenants) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.vouched.Load()&uint64(who) != 0 {
		b.vouched.And(^uint64(who))
		return 0
	}
	if b.end.Load() > int64(now) {
		b.banned.Or(uint64(who))
		return 0
	}
	wait := lengthened(quarantineFor(int(b.strikes.Load())))
	b.strikes.Add(1)
	b.banned.Store(uint64(who))
	b.begun.Store(int64(now))
	b.end.Store(int64(now.after(wait)))
	return wait
}

// answered notes that a tenant had an answer through the credential.
func (b *ban) answered(who tenants) {
	if b.vouched.Load()&uint64(who) != 0 && b.strikes.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.vouched.Or(uint64(who))
	b.strikes.Store(0)
}
