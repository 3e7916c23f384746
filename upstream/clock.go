package upstream

import "time"

// clock counts from the start of the first table, so that a changed wall clock
// does no harm and an instant fits into an atomic word.
type clock struct{ epoch time.Time }

// instant is a time in nanoseconds since a clock's epoch, always above zero: zero
// is the word for never.
type instant int64

func newClock() clock { return clock{time.Now().Add(-time.Nanosecond)} }

func (c clock) now() instant { return instant(time.Since(c.epoch)) }

// wall returns the time of day of an instant.
func (c clock) wall(i instant) time.Time { return c.epoch.Add(time.Duration(i)) }

// until returns how far off an instant is, zero when it has passed.
func (i instant) until(later instant) time.Duration { return max(0, time.Duration(later-i)) }

// after returns the instant that is so much later.
func (i instant) after(d time.Duration) instant { return i + instant(d) }
