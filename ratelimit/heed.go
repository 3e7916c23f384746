package ratelimit

import "golang.org/x/time/rate"

// settle takes the answers in, and tells those who wait. g is locked.
func (g *group) settle(t *trade) {
	now := g.limiter.micros()
	failed := t.order.Err != nil
	for i, s := range t.subject {
		if s.limit.Dimension() == Concurrent {
			s.account.slots.line, s.account.slots.doubted = 0, failed
		} else {
			s.bucket().line = 0
		}
		g.list(s.account) // after a failure, too: the order may have been carried out
		if !failed {
			g.heed(s, &t.order.Lines[i], t.began, now)
		}
	}
	if failed {
		g.limiter.counts.failed.Add(1)
		g.turnAlone(now)
	} else {
		g.limiter.counts.answered.Add(1)
		if g.alone && !t.probing {
			for _, c := range g.busy {
				g.confess(c, now) // what was drawn while the order was under way
			}
		}
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
			n.account.slots.renewAt = now + renewAfter
		}
	}
	v := granted
	if c.Refused {
		v, w.permit.asked = refused, true
		g.restore(a)
	}
	g.release(w, v, now)
}

// tellAlone decides on a waiter that got no answer.
func (g *group) tellAlone(w *waiter, now int64) {
	g.restore(&w.ask)
	g.release(w, g.try(&w.ask, now), now)
}
