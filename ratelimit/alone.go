package ratelimit

import "time"

// What this file does is all there is of one replica without a bank, and what each of several does while theirs does
// not answer: it keeps buckets of its own, at its share of the rate.

// retryAlone is how long a replica decides alone before it asks the bank again, in microseconds.
const retryAlone = int64(250 * time.Millisecond / time.Microsecond)

// turnAlone is what becomes of a group whose order got no answer.
func (g *group) turnAlone(now int64) {
	g.returnAt, g.back = now+retryAlone, false
	if g.alone {
		return
	}
	g.alone, g.parts = true, g.limiter.live.Load()
	g.spell++
	g.limiter.agenda.add(g)
}

// prepareShare makes a bucket's share ready. When the bank was lost since it was last looked at, the share begins with
// what was left of the whole, as far as this replica knows.
func (g *group) prepareShare(b *bucket, now int64) {
	n := g.shares()
	capacity := max(b.rate.capacity(), times(b.rate.cost(1), n))
	b.share.fill(now, capacity)
	if b.spell == g.spell {
		b.began.fill(now, capacity)
		return
	}
	b.spell = g.spell
	if b.known {
		b.seen.fill(now, b.rate.capacity())
		b.share.missing = max(b.share.missing, b.seen.missing)
	}
	b.began = b.share
}

// shareCost is what a cost takes out of a share: N times as much, but no more than it holds.
func (g *group) shareCost(b *bucket, cost int64) int64 {
	return min(times(cost, g.shares()), b.share.capacity)
}

func (g *group) lacksAlone(n *need, now int64) bool {
	if n.ofSlots() {
		return n.account.slots.used+n.cost > n.account.slots.share(g.shares())
	}
	b := n.bucket()
	g.prepareShare(b, now)
	return b.share.room() < g.shareCost(b, n.cost)
}

// decideAlone takes all that a request needs, or nothing.
func (g *group) decideAlone(a *ask, now int64) verdict {
	if g.limiter.bank != nil {
		g.limiter.counts.alone.Add(1)
	}
	var lines [LimitCount]Line
	var parts [LimitCount]Part
	for i := range a.needs[:a.count] {
		n := &a.needs[i]
		lines[i], parts[i] = g.lineAlone(n, now), Part{Line: i, Cost: n.cost, Shadow: n.shadow}
		if !n.ofSlots() {
			parts[i].Cost = g.shareCost(n.bucket(), n.cost)
		}
	}
	claims := [1]Claim{{Parts: parts[:a.count]}}
	o := Order{Lines: lines[:a.count], Claims: claims[:]}
	o.decide()
	for i := range a.needs[:a.count] {
		n := &a.needs[i]
		n.lacks = claims[0].Lacking&(1<<i) != 0
		if n.ofSlots() {
			n.account.slots.used = lines[i].Missing
		} else {
			n.bucket().share.missing = lines[i].Missing
		}
	}
	if claims[0].Refused {
		return refused
	}
	return granted
}

// lineAlone is the line that this replica keeps for itself.
func (g *group) lineAlone(n *need, now int64) Line {
	if n.ofSlots() {
		s := &n.account.slots
		return Line{Limit: n.limit, Capacity: s.share(g.shares()), Missing: s.used}
	}
	b := n.bucket()
	g.prepareShare(b, now)
	l := Line{Limit: n.limit, Capacity: b.share.capacity}
	l.settle(&b.share, now)
	return l
}

// figureShare tells how a share stands, in requests or tokens of this replica.
func (g *group) figureShare(d *Decision, n *need, now int64) {
	b := n.bucket()
	g.prepareShare(b, now)
	live := g.shares()
	d.Remaining = b.rate.worth(b.share.room() / live)
	d.Reset = wholeMillis(b.share.missing)
	if n.lacks {
		d.RetryAfter = max(time.Millisecond, wholeMillis(g.shareCost(b, n.cost)-b.share.room()))
		if n.limit.Dimension() == Requests {
			d.Remaining = 0
		}
	}
}

// confess makes what was drawn alone a debt to the bank, but for what has come back since. It is for the moment when
// the bank answers again: what is owed stays as it is until it is posted.
func (g *group) confess(c *account, now int64) {
	for d := range c.buckets {
		b := &c.buckets[d]
		if b.spell != g.spell || b.rate.perMinute == 0 {
			continue
		}
		g.prepareShare(b, now)
		b.owed = clamp(b.owed+(b.share.missing-b.began.missing)/g.shares(), maxSpan)
		b.began = b.share
	}
}

// shares is into how many parts the limits are divided: those of one spell stay the same, so that what is confessed in
// the end is what was drawn.
func (g *group) shares() int64 {
	if g.alone {
		return g.parts
	}
	return g.limiter.live.Load()
}
