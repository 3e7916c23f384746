package ratelimit

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

const (
	// tradeTimeout bounds an order. It is a small part of what a person notices.
	tradeTimeout = 100 * time.Millisecond
	// maxClaims and maxLines bound one: Redis does nothing else while it is carried out.
	maxClaims = 64
	maxLines  = 200
)

// waiter is a request that cannot be decided without the bank.
type waiter struct {
	permit *Permit
	ask    ask
	done   chan news // takes one value at a time
	claim  int       // its place in the order that is being made
}

// news is what a waiter is told.
type news uint8

const (
	decided  news = iota // the permit is filled
	yourTurn             // to make the next order, for all who wait
)

// await has a request decided by the bank. g is locked, and unlocked when it returns. Of all who wait one asks for all,
// and while an order is under way nobody makes another.
func (g *group) await(ctx context.Context, p *Permit, a *ask) {
	w := &waiter{permit: p, ask: *a, done: make(chan news, 1)}
	for i := range a.needs[:a.count] {
		a.needs[i].account.open++ // whoever waits must find it again
	}
	g.waiting = append(g.waiting, w)
	if g.trading {
		g.mu.Unlock()
		if <-w.done == decided {
			return
		}
		g.mu.Lock()
	}
	g.trading = true
	t := g.draw(g.limiter.micros())
	g.mu.Unlock()
	// The order is for others, too, who still wait when the client of this request has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tradeTimeout)
	g.limiter.bank.Trade(ctx, &t.order)
	cancel()
	g.mu.Lock()
	g.settle(t)
	g.handOver()
	g.mu.Unlock()
}

// trade is an order that is under way, with what it is about.
type trade struct {
	group   *group
	order   Order
	subject []subject // of each line
	waiters []*waiter // of each claim
	began   int64
	probing bool // it asks whether the bank is back, and changes no bucket: who knows when it will be carried out
}

// subject is the limit of an account, which a line is about.
type subject struct {
	account *account
	limit   Limit
}

func (s subject) bucket() *bucket { return &s.account.buckets[s.limit.Dimension()] }

// draw makes an order of those who wait, and of what the bank must hear of besides. g is locked, and nobody trades.
func (g *group) draw(now int64) *trade {
	t := g.newTrade(now)
	for len(g.waiting) > 0 && len(t.waiters) < maxClaims && len(t.order.Lines) < maxLines {
		t.claim(g.waiting[0])
		g.waiting = g.waiting[1:]
	}
	t.addDue(now)
	return t
}

func (g *group) newTrade(now int64) *trade {
	l := g.limiter
	return &trade{group: g, began: now, order: Order{Tenant: g.tenant, Replica: l.replica, Number: l.nextNumber()}}
}

func (l *Limiter) nextNumber() uint64 { return l.number.Add(1) }

// claim adds a request to the order.
func (t *trade) claim(w *waiter) {
	c := Claim{Parts: make([]Part, 0, w.ask.count)}
	for i := range w.ask.needs[:w.ask.count] {
		n := &w.ask.needs[i]
		if !n.asked && w.ask.purpose == spend {
			continue
		}
		at := t.place(n, w.ask.purpose)
		c.Parts = append(c.Parts, Part{Line: at, Cost: n.cost, Shadow: n.shadow})
	}
	if w.ask.purpose == look {
		c.Parts = nil
	}
	t.order.Claims = append(t.order.Claims, c)
	t.waiters = append(t.waiters, w)
}

// place finds the line of a need. What is left of a lease, which does not do, is exchanged for a new one.
func (t *trade) place(n *need, p purpose) int {
	s := subject{n.account, n.limit}
	if n.ofSlots() || p == look {
		return t.line(s)
	}
	b := s.bucket()
	b.endLease()
	at := t.line(s)
	t.order.Lines[at].Least, t.order.Lines[at].Most = b.bounds(t.group.limiter.live.Load())
	return at
}

// line finds the place of a limit in the order, or makes it one.
func (t *trade) line(s subject) int {
	place := &s.account.slots.line
	if s.limit.Dimension() != Concurrent {
		place = &s.bucket().line
	}
	if *place == 0 {
		t.order.Lines = append(t.order.Lines, t.newLine(s))
		t.subject = append(t.subject, s)
		*place = len(t.subject)
	}
	return *place - 1
}

func (t *trade) newLine(s subject) Line {
	l := Line{Limit: s.limit}
	if !s.limit.OfTenant() {
		l.Account = s.account.id
	}
	limiter := t.group.limiter
	if s.limit.Dimension() == Concurrent {
		of := &s.account.slots
		of.held = of.used // what is spare goes back with the order
		l.Capacity, l.Held, l.Most = max(1, of.capacity), of.used, of.block(limiter.live.Load())
		return l
	}
	b := s.bucket()
	l.Capacity = b.rate.capacity()
	if !t.probing {
		b.post(limiter.nextNumber)
		l.Owed, l.Posting = clamp(b.posting, l.Capacity), b.number
	}
	return l
}

// addDue adds what the bank must hear of besides the claims.
func (t *trade) addDue(now int64) {
	g := t.group
	if g.alone && !t.probing {
		for _, c := range g.busy {
			g.confess(c, now)
		}
	}
	for _, c := range g.busy {
		if len(t.order.Lines) >= maxLines {
			return
		}
		t.addDueOf(c, now)
	}
}

func (t *trade) addDueOf(c *account, now int64) {
	for d := range c.buckets {
		b := &c.buckets[d]
		// Where this replica has been alone, it needs an answer, too.
		if b.due(now) || t.group.alone && b.rate.perMinute > 0 && len(t.order.Lines) == 0 {
			t.line(subject{c, t.group.limitOf(c, Dimension(d))})
		}
	}
	if c.slots.due(now) || t.group.alone && c.slots.capacity > 0 {
		t.line(subject{c, t.group.limitOf(c, Concurrent)})
	}
}

func (g *group) limitOf(c *account, d Dimension) Limit {
	if c == &g.own {
		return Limit(2*d + 1)
	}
	return Limit(2 * d)
}

// settle takes the answers in, and tells those who wait. g is locked.
func (g *group) settle(t *trade) {
	now := g.limiter.micros()
	failed := t.order.Err != nil
	for i, s := range t.subject {
		if s.limit.Dimension() == Concurrent {
			s.account.slots.line = 0
		} else {
			s.bucket().line = 0
		}
		if !failed {
			g.heed(s, &t.order.Lines[i], t.began, now)
		}
	}
	if failed {
		g.limiter.counts.failed.Add(1)
		g.turnAlone(now)
	} else {
		g.limiter.counts.answered.Add(1)
		g.alone, g.back = g.alone && t.probing, t.probing
	}
	for i, w := range t.waiters {
		if failed {
			g.tellAlone(w, now)
			continue
		}
		g.tell(w, &t.order.Claims[i], now)
	}
}

// heed takes one line's answer in.
func (g *group) heed(s subject, l *Line, began, now int64) {
	g.list(s.account)
	if s.limit.Dimension() == Concurrent {
		s.account.slots.heed(l, began)
		g.spare(s.account, now)
		return
	}
	b := s.bucket()
	b.heed(l, now)
	if l.Left > 0 {
		b.lease, b.ends = rate.NewLimiter(0, int(l.Left)), began+leaseTime
	}
}

// tell gives a waiter what the bank has decided.
func (g *group) tell(w *waiter, c *Claim, now int64) {
	a := &w.ask
	part := 0
	for i := range a.needs[:a.count] {
		n := &a.needs[i]
		if !n.asked || a.purpose == look {
			continue
		}
		n.lacks = c.Lacking&(1<<part) != 0
		part++
		switch {
		case n.lacks && n.ofSlots():
			n.account.slots.refused, n.account.slots.refusedUntil = true, now+slotPause
		case n.lacks:
			n.bucket().refused(g.limiter.live.Load())
		case c.Refused:
		case n.ofSlots():
			n.account.slots.used += n.cost
			n.account.slots.held += n.cost
		}
	}
	v := granted
	if c.Refused {
		v = refused
		g.restore(a)
	}
	g.release(w, v, now)
}

// tellAlone decides on a waiter that got no answer.
func (g *group) tellAlone(w *waiter, now int64) {
	g.restore(&w.ask)
	g.release(w, g.try(&w.ask, now), now)
}

// release sends a waiter on its way.
func (g *group) release(w *waiter, v verdict, now int64) {
	if w.ask.purpose == spend {
		g.finish(w.permit, &w.ask, v, now)
	}
	for i := range w.ask.needs[:w.ask.count] {
		w.ask.needs[i].account.open--
	}
	w.done <- decided
}

// handOver decides for those who have come meanwhile, as far as the bank need not be asked, and has the first of the
// others ask for all. g is locked.
func (g *group) handOver() {
	g.trading = false
	now := g.limiter.micros()
	waiting := g.waiting
	g.waiting = g.waiting[len(waiting):]
	for _, w := range waiting {
		g.restore(&w.ask)
		if v := g.try(&w.ask, now); v != lacking {
			g.release(w, v, now)
			continue
		}
		g.waiting = append(g.waiting, w)
	}
	if len(g.waiting) > 0 {
		g.trading = true
		g.waiting[0].done <- yourTurn // what the flusher wanted goes with it
	} else if g.missed {
		g.hurry()
	}
	g.missed = false
}
