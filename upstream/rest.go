package upstream

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// The times for which an upstream is left alone.
const (
	// coolFirst is how long one that asks for less, and names no time, is left
	// alone. It doubles with each further time, up to coolMost, which bounds what is asked for too.
	coolFirst = 2 * time.Second
	coolMost  = 60 * time.Second
	// missingFor is how long a model that its provider does not know is not asked for.
	missingFor = 5 * time.Minute
	// quarantineFirst is how long a credential that was refused is left alone; it
	// doubles up to quarantineMost.
	quarantineFirst = 5 * time.Minute
	quarantineMost  = time.Hour
	// trialTime is how long the one attempt that ends a quarantine has until
	// another may be made.
	trialTime = 30 * time.Second
)

// lengthened adds up to a quarter, at random: those who were sent away together
// do not come back together, and none comes too early.
func lengthened(d time.Duration) time.Duration { return d + time.Duration(rand.Int64N(int64(d)/4+1)) }

// cooldown is the time for which a provider asked to be left alone. Its zero value
// is over. It is safe for concurrent use.
type cooldown struct {
	end     atomic.Int64  // instant
	repeats atomic.Uint32 // since the last answer, cooldowns for which no time was named
	cause   atomic.Uint32 // Outcome
}

// holds reports whether it is not over.
func (c *cooldown) holds(now instant) bool { return c.end.Load() > int64(now) }

// begin starts a cooldown, or lengthens the one that holds. asked is what the
// provider named, zero for nothing. It returns how long, and whether it is new.
func (c *cooldown) begin(now instant, cause Outcome, asked time.Duration) (wait time.Duration, isNew bool) {
	for {
		old := c.end.Load()
		isNew = old <= int64(now)
		switch {
		case cause == OutcomeModelMissing:
			wait = missingFor
		case asked > 0:
			wait = min(asked, coolMost)
		case isNew:
			const most = 5 // doubled so often, coolFirst is longer than coolMost
			wait = min(coolFirst<<min(c.repeats.Load(), most), coolMost)
		default:
			return 0, false // it was asked before the cooldown began: nothing new
		}
		wait = lengthened(wait)
		end := int64(now.after(wait))
		if old >= end {
			return wait, isNew
		}
		if c.end.CompareAndSwap(old, end) {
			c.cause.Store(uint32(cause))
			if isNew && asked <= 0 && cause != OutcomeModelMissing {
				c.repeats.Add(1)
			}
			return wait, isNew
		}
	}
}

// over forgets how often it was, after an answer.
func (c *cooldown) over() {
	if c.repeats.Load() != 0 {
		c.repeats.Store(0)
	}
}

// quarantine is the time for which a refused credential is not used. When it is
// over, one attempt at a time tries the credential until an answer clears it. Its
// zero value is clear. It is safe for concurrent use.
type quarantine struct {
	end       atomic.Int64 // instant
	strikes   atomic.Int32 // 0: clear
	struckAt  atomic.Int64 // the instant of the last one
	clearedAt atomic.Int64 // the instant of the last recovery; 0: none
}

// holds reports whether the credential must not be used.
func (q *quarantine) holds(now instant) bool { return q.end.Load() > int64(now) }

// admit lets an attempt through, and reports whether it is the one that tries a
// credential again.
func (q *quarantine) admit(now instant) (admitted, trial bool) {
	end := q.end.Load()
	switch {
	case end > int64(now):
		return false, false
	case q.strikes.Load() == 0:
		return true, false
	}
	won := q.end.CompareAndSwap(end, int64(now.after(trialTime)))
	return won, won
}

// strike begins a quarantine and returns how long; zero when one holds, begun by
// an attempt of the same time.
func (q *quarantine) strike(now instant, trial bool) time.Duration {
	end := q.end.Load()
	if end > int64(now) && !trial {
		return 0
	}
	wait := lengthened(quarantineFor(int(q.strikes.Load())))
	if !q.end.CompareAndSwap(end, int64(now.after(wait))) {
		return 0
	}
	q.strikes.Add(1)
	q.struckAt.Store(int64(now))
	return wait
}

// quarantineFor is the time for a credential that was refused so often before.
func quarantineFor(before int) time.Duration {
	const most = 4 // doubled so often, quarantineFirst is longer than quarantineMost
	return min(quarantineFirst<<min(before, most), quarantineMost)
}

// why says in a few words what it is for.
func (q *quarantine) why() string {
	if n := q.strikes.Load(); n > 1 {
		return fmt.Sprintf("the provider refused the credential, %d times in a row", n)
	}
	return "the provider refused the credential"
}

// clear ends it for good, after an answer, and reports whether there was one.
func (q *quarantine) clear(now instant) bool {
	if q.strikes.Load() == 0 || q.strikes.Swap(0) == 0 {
		return false
	}
	q.end.Store(0)
	q.clearedAt.Store(int64(now))
	return true
}
