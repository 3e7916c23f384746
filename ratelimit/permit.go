package ratelimit

// Permit is what one request has been given. Take fills it and End takes it back; between them it must not be copied.
// It is one request's, and not safe for concurrent use.
type Permit struct {
	// Answer is what the limits have decided.
	Answer Answer

	group    *group // nil: nothing is held
	holdings [2]holding
	asked    bool // the bank itself has refused
}

// holding is what a request has of the key, or of the tenant.
type holding struct {
	account  *account // nil: nothing
	slot     bool
	tokens   bool      // some are reserved
	reserved int64     // nanoseconds of the bucket's refill
	rate     tokenRate // at which they are
	spell    uint64    // without the bank, in which they were reserved; 0: with it
}

// End gives back what a request has held, and settles its tokens: so many it has cost in truth. What was reserved beyond
// them is given back, what they are more is taken from what comes later. Only the first call does something.
func (p *Permit) End(tokens int64) {
	g := p.group
	if g == nil {
		return
	}
	p.group = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.limiter.micros()
	for i := range p.holdings {
		if h := &p.holdings[i]; h.account != nil {
			g.takeBack(h, max(0, tokens), now)
			*h = holding{}
		}
	}
}

func (g *group) takeBack(h *holding, tokens, now int64) {
	c := h.account
	c.open--
	if h.tokens {
		// A limit that was lowered meanwhile makes no debt of what was reserved in time.
		cost := min(c.buckets[Tokens].rate.cost(tokens), h.rate.cost(tokens))
		g.settleTokens(h, cost-h.reserved, now)
	}
	if h.slot {
		g.limiter.counts.held.Add(-1)
		g.releaseSlot(c, now)
	}
}

// settleTokens takes from the bucket what tokens have cost beyond their reservation, or gives back what they have not.
func (g *group) settleTokens(h *holding, excess, now int64) {
	c := h.account
	b := &c.buckets[Tokens]
	if b.rate.perMinute == 0 {
		return // the limit was taken away meanwhile
	}
	switch {
	case excess == 0:
	case !g.sharing() && excess < 0 && h.spell != g.spell:
		// The bank has it, and hears of it when it is back. The share began with what the bank has believed.
		g.prepareShare(b, now)
		b.share.owe(excess)
		b.began.owe(excess)
		b.owed = clamp(b.owed+excess, maxSpan)
		g.list(c)
	case !g.sharing():
		g.prepareShare(b, now)
		b.share.owe(times(excess, g.shares()))
		g.list(c)
	default:
		b.owed = clamp(b.owed+b.charge(excess), maxSpan)
		if g.list(c); excess < -leaseSpan {
			g.hurry() // the client may send its next request to another replica
		}
	}
}

// releaseSlot gives one back.
func (g *group) releaseSlot(c *account, now int64) {
	c.slots.used--
	if g.limiter.bank != nil {
		g.spare(c, now) // alone, too: the bank hears of it when it is back
	}
}

// spare has the flusher give slots back that are not used: at once where the bank counts each, else they may
// be taken again here, for a moment.
func (g *group) spare(c *account, now int64) {
	s := &c.slots
	g.list(c)
	switch {
	case s.held <= s.used:
		s.spareUntil = 0
	case s.block(g.limiter.live.Load()) == 0:
		s.spareUntil = now
		g.hurry()
	case s.spareUntil == 0:
		s.spareUntil = now + leaseTime
	}
}

// looksAgain tells whether all that a request lacks may have been given back a moment ago, before the bank heard of it: a
// slot, or tokens that the bank has just refused.
func (p *Permit) looksAgain() bool {
	again := false
	for i := range p.Answer {
		if !p.Answer[i].Refuses() {
			continue
		}
		if d := Limit(i).Dimension(); d == Requests || d == Tokens && !p.asked {
			return false
		}
		again = true
	}
	return again
}
