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
	// beatEvery is how often a replica says that it lives, and firstBeats how often in its first seconds.
	beatEvery  = beatTTL / beats
	firstBeats = 500 * time.Millisecond
	// beats is how many of them a replica that has fallen silent is still counted for.
	beats = 3
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

// heartbeat is how this replica says that it lives, and what it has heard of others.
type heartbeat struct {
	next  time.Time
	heard [beats]int // how many live, as of the last times; 0: not heard
	count int
}

// beat says that this replica lives, when it is time to. Others that have fallen silent for less than beatTTL are
// counted even where the bank has forgotten them: were it lost again, each would grant too large a share.
func (l *Limiter) beat(ctx context.Context, h *heartbeat) {
	now := time.Now()
	if now.Before(h.next) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tradeTimeout)
	defer cancel()
	live, err := l.bank.Beat(ctx, l.replica)
	if err != nil {
		h.next = now.Add(flushEvery)
		return
	}
	h.next = now.Add(beatEvery)
	if h.count < beats {
		h.next = now.Add(firstBeats)
	}
	h.heard[h.count%beats] = live
	h.count++
	l.counted.Store(true)
	l.live.Store(int64(max(1, slices.Max(h.heard[:]))))
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
	return c.slots.held == 0 && c.slots.renewAt == 0
}

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
	return g.trading
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
