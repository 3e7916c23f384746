package ratelimit

import (
	"sync"
	"sync/atomic"
)

// group is a tenant with its keys: what one order can be about. Lock a group before an agenda, and never two groups.
type group struct {
	limiter *Limiter
	tenant  string

	mu       sync.Mutex
	dead     bool // it was dropped: look it up again
	own      account
	keys     map[string]*account
	busy     []*account // those that the flusher looks after
	turn     int        // the one of them that was last looked at for an order
	agendum  bool       // the flusher has the group on its list
	urgent   bool       // and on the list of those that cannot wait
	waiting  []*waiter
	trading  bool // an order is under way, or one of the waiting is about to make one
	missed   bool // the flusher came meanwhile
	alone    bool // the bank did not answer: this replica decides by its share
	back     bool // it answers again, and is about to be told what was drawn meanwhile
	spell    uint64
	parts    int64 // into which the limits are shared, as of the moment it turned alone
	returnAt int64 // when the bank is asked again
}

// account is one account's part of the limits, on this replica.
type account struct {
	id      string
	buckets [2]bucket // by Dimension: Requests and Tokens
	slots   slots
	open    int         // requests that hold something of it, or wait
	busy    bool        // the flusher looks after it
	spared  atomic.Bool // room is being made for it
}

// sharing tells whether the bank is asked, as opposed to this replica alone.
func (g *group) sharing() bool {
	return g.limiter.bank != nil && !g.alone && !g.limiter.closed.Load()
}

// try decides what can be decided without the bank. Where it must be asked, what is at hand is spent already.
func (g *group) try(a *ask, now int64) verdict {
	switch sharing := g.sharing(); {
	case a.purpose == look && sharing:
		return lacking
	case a.purpose == look:
		return granted
	case !sharing:
		return g.decideAlone(a, now)
	}
	if g.foresee(a, now); a.refused() {
		return refused
	}
	v := granted
	for i := range a.needs[:a.count] {
		n := &a.needs[i]
		switch n.asked = false; {
		case n.lacks: // in shadow
		case g.covers(n, now):
			g.spend(n)
		default:
			n.asked, v = true, lacking
		}
	}
	return v
}

// foresee finds the needs that will be refused, as far as this replica knows.
func (g *group) foresee(a *ask, now int64) {
	replicas := g.limiter.live.Load()
	for i := range a.needs[:a.count] {
		n := &a.needs[i]
		switch {
		case n.cost == 0:
			n.lacks = false
		case !g.sharing():
			n.lacks = g.lacksAlone(n, now)
		case n.ofSlots():
			n.lacks = n.account.slots.refuses(now)
		case a.purpose == insist:
			n.lacks = false
		default:
			n.lacks = n.bucket().left() < n.cost && n.bucket().refuses(n.cost, replicas, now)
		}
	}
}

func (a *ask) refused() bool {
	for _, n := range a.needs[:a.count] {
		if n.lacks && !n.shadow {
			return true
		}
	}
	return false
}

func (g *group) covers(n *need, now int64) bool {
	if n.ofSlots() {
		return n.cost == 0 || n.account.slots.used < n.account.slots.held
	}
	return n.bucket().covers(n.cost, now)
}

func (g *group) spend(n *need) {
	if n.ofSlots() {
		n.account.slots.used += n.cost
		return
	}
	n.bucket().spend(n.cost)
}

// restore gives back what try has spent for a request that could not be granted.
func (g *group) restore(a *ask) {
	if a.purpose == look {
		return
	}
	for i := range a.needs[:a.count] {
		n := &a.needs[i]
		switch {
		case n.lacks, n.asked, n.cost == 0:
		case n.ofSlots():
			n.account.slots.used -= n.cost
			g.spare(n.account, g.limiter.micros())
		default:
			n.bucket().owed = clamp(n.bucket().owed-n.cost, maxSpan)
			g.list(n.account)
		}
	}
}

// finish fills the permit of a request that was granted or refused.
func (g *group) finish(p *Permit, a *ask, v verdict, now int64) {
	g.write(&p.Answer, a, now)
	if v != granted || a.purpose == look {
		return
	}
	for i := range a.needs[:a.count] {
		n := &a.needs[i]
		if g.alone {
			g.list(n.account) // the bank will be told
		}
		if n.lacks || n.cost == 0 || n.limit.Dimension() == Requests {
			continue
		}
		h := &p.holdings[n.limit&1]
		if h.account == nil {
			h.account = n.account
			n.account.open++
		}
		p.group = g
		if n.ofSlots() {
			h.slot = true
			g.limiter.counts.held.Add(1)
		} else {
			h.tokens, h.reserved, h.rate = true, n.cost, n.rate
			if !g.sharing() {
				h.reserved, h.spell = g.shareCost(n.bucket(), n.cost)/g.shares(), g.spell
			}
		}
	}
}
