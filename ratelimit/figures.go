package ratelimit

import "time"

// write tells what the limits have decided, and how they stand now.
func (g *group) write(answer *Answer, a *ask, now int64) {
	for i := range answer {
		answer[i] = Decision{Allowed: true}
	}
	for i := range a.needs[:a.count] {
		n := &a.needs[i]
		d := Decision{Allowed: !n.lacks, Shadow: n.shadow, Limit: n.max}
		switch {
		case n.ofSlots():
			g.figureSlots(&d, n)
		case g.sharing():
			g.figureBucket(&d, n, now)
		default:
			g.figureShare(&d, n, now)
		}
		answer[n.limit] = d
	}
}

func (g *group) figureSlots(d *Decision, n *need) {
	s := &n.account.slots
	switch {
	case n.lacks:
		d.RetryAfter = slotWait
	case g.sharing():
		d.Remaining = s.free()
	default:
		d.Remaining = max(0, s.share(g.shares())-s.used)
	}
}

func (g *group) figureBucket(d *Decision, n *need, now int64) {
	b := n.bucket()
	missing := b.missing(now)
	d.Remaining = b.rate.worth(min(b.rate.capacity(), b.rate.capacity()-missing+b.left()))
	d.Reset = wholeMillis(missing - b.left())
	if n.lacks {
		d.RetryAfter = max(time.Millisecond, wholeMillis(b.wait(n.cost, g.limiter.live.Load(), now)))
		if n.limit.Dimension() == Requests {
			d.Remaining = 0
		}
	}
}

// wholeMillis rounds nanoseconds up; what is negative is none.
func wholeMillis(span int64) time.Duration {
	return (time.Duration(max(0, span)) + time.Millisecond - 1).Truncate(time.Millisecond)
}
