package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// flushEvery is how often the bank hears of what is owed and of what has ended.
	flushEvery = 100 * time.Millisecond
	// maxOrders bounds those that are sent together.
	maxOrders = 64
)

// agenda are the groups that the flusher looks after.
type agenda struct {
	mu     sync.Mutex
	all    []*group
	urgent []*group
	kick   chan struct{}
}

func newAgenda() agenda { return agenda{kick: make(chan struct{}, 1)} }

// add puts a group on the list, once. It is locked.
func (a *agenda) add(g *group) {
	if g.agendum {
		return
	}
	g.agendum = true
	a.mu.Lock()
	a.all = append(a.all, g)
	a.mu.Unlock()
}

// hurry has the group, which is locked, flushed at once.
func (g *group) hurry() {
	a := &g.limiter.agenda
	if g.urgent || g.limiter.bank == nil {
		return
	}
	g.urgent = true
	a.mu.Lock()
	a.urgent = append(a.urgent, g)
	a.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default: // it is on its way
	}
}

// list has the flusher look after an account of the group, which is locked.
func (g *group) list(c *account) {
	if g.limiter.bank == nil || c.busy {
		return
	}
	c.busy = true
	g.busy = append(g.busy, c)
	g.limiter.agenda.add(g)
}

// takeAll and takeUrgent empty a list.
func (a *agenda) takeAll() []*group {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all
	a.all = nil
	return all
}

func (a *agenda) takeUrgent() []*group {
	a.mu.Lock()
	defer a.mu.Unlock()
	urgent := a.urgent
	a.urgent = nil
	return urgent
}

// flushUntil is the one goroutine of a Limiter, until ctx ends.
func (l *Limiter) flushUntil(ctx context.Context) {
	defer close(l.ended)
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	var h heartbeat
	for {
		l.beat(ctx, &h)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.flush(ctx, l.agenda.takeAll())
		case <-l.agenda.kick:
			l.flushUrgent(ctx)
		}
	}
}

// flushUrgent gives slots back.
func (l *Limiter) flushUrgent(ctx context.Context) {
	urgent := l.agenda.takeUrgent()
	for _, g := range urgent {
		g.mu.Lock()
		g.urgent = false
		g.mu.Unlock()
	}
	l.flushOrders(ctx, urgent)
}

// flush tells the bank what is due of some groups, and keeps those on the list of which more will be.
func (l *Limiter) flush(ctx context.Context, all []*group) {
	l.flushOrders(ctx, all)
	l.flushOrders(ctx, returning(all))
	for _, g := range all {
		g.mu.Lock()
		g.agendum = false
		if g.tidy() {
			l.agenda.add(g)
		}
		g.mu.Unlock()
	}
	l.makeRoom() // for those that could not go before
}

// returning are the groups to which the bank has come back.
func returning(all []*group) []*group {
	var some []*group
	for _, g := range all {
		g.mu.Lock()
		if g.back {
			some = append(some, g)
		}
		g.mu.Unlock()
	}
	return some
}

// flushOrders makes an order of each group that has something due, and sends them by the dozen.
func (l *Limiter) flushOrders(ctx context.Context, all []*group) {
	for len(all) > 0 {
		some := all[:min(len(all), maxOrders)]
		all = all[len(some):]
		trades := make([]*trade, 0, len(some))
		orders := make([]*Order, 0, len(some))
		for _, g := range some {
			if t := g.drawDue(); t != nil {
				trades, orders = append(trades, t), append(orders, &t.order)
			}
		}
		if len(trades) > 0 {
			l.carryOut(ctx, trades, orders)
		}
	}
}

// drawDue makes an order of what the bank must hear of; nil where that is nothing, or where an order is under way.
func (g *group) drawDue() *trade {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.limiter.micros()
	switch {
	case g.trading:
		g.missed = true
		return nil
	case g.alone && !g.back && now < g.returnAt, !g.alone && !g.due(now):
		return nil
	}
	t := g.newTrade(now)
	t.probing = g.alone && !g.back
	t.addDue(now)
	if len(t.order.Lines) == 0 {
		g.alone = false // nothing is limited any more
		return nil
	}
	g.trading = true
	return t
}

// due tells whether the bank must hear of something.
func (g *group) due(now int64) bool {
	return slices.ContainsFunc(g.busy, func(c *account) bool {
		requests, tokens := c.buckets[Requests].due(now), c.buckets[Tokens].due(now) // both: leases end there
		return requests || tokens || c.slots.due(now)
	})
}

func (l *Limiter) carryOut(ctx context.Context, trades []*trade, orders []*Order) {
	ctx, cancel := context.WithTimeout(ctx, tradeTimeout)
	defer cancel()
	l.bank.Trade(ctx, orders...)
	for _, t := range trades {
		t.group.mu.Lock()
		t.group.settle(t)
		t.group.handOver()
		t.group.mu.Unlock()
	}
}

// tidy lets the accounts go that nothing more is due of, and tells whether others are left. g is locked.
func (g *group) tidy() bool {
	kept := g.busy[:0]
	for _, c := range g.busy {
		if c.busy = !c.settled() || g.alone; c.busy {
			kept = append(kept, c)
		}
	}
	clear(g.busy[len(kept):])
	g.busy = kept
	return len(kept) > 0 || g.alone
}

// settled tells whether the bank knows all of the account.
func (c *account) settled() bool {
	for d := range c.buckets {
		if b := &c.buckets[d]; b.lease != nil || b.owed != 0 || b.posting != 0 {
			return false
		}
	}
	return c.slots.rests()
}
