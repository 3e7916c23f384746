package ratelimit

import (
	"context"
	"slices"
	"time"
)

// giveUp ends all leases, and tells whether an order is under way, whose answer must be waited for.
func (g *group) giveUp() (open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.returnAt = g.limiter.micros()
	for _, c := range g.busy {
		for d := range c.buckets {
			c.buckets[d].endLease()
		}
		if c.slots.held > c.slots.used {
			c.slots.spareUntil = g.returnAt
		}
	}
	return g.trading || !g.alone && g.owes()
}

// Close gives back to the bank what this replica has drawn and not spent, and the slots that it holds, until ctx ends.
// Requests that are decided later are so by this replica alone.
func (l *Limiter) Close(ctx context.Context) error {
	l.stop()
	<-l.ended
	if l.bank == nil || l.closed.Swap(true) {
		return nil
	}
	for {
		all := l.agenda.takeAll()
		open := false
		for _, g := range all {
			open = g.giveUp() || open
		}
		l.flush(ctx, all)
		if !open || ctx.Err() != nil {
			break
		}
		time.Sleep(time.Millisecond) // an order is under way
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.bank.Leave(ctx, l.replica)
}

// owes tells whether the bank has yet to hear of something. A debt is posted a burst at a time.
func (g *group) owes() bool {
	return slices.ContainsFunc(g.busy, func(c *account) bool {
		return slices.ContainsFunc(c.buckets[:], func(b bucket) bool { return b.owed != 0 || b.posting != 0 })
	})
}
