package ratelimit

const (
	// maxClaims and maxLines bound one: Redis does nothing else while it is carried out.
	maxClaims = 256
	maxLines  = 256
)

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
		g.waiting[0] = nil
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
		if !n.asked && w.ask.purpose != look {
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
	if n.ofSlots() {
		return t.line(s)
	}
	b := s.bucket()
	if b.rate.perMinute == 0 { // taken away while the request waits
		b.rate = n.rate
	}
	if p == look {
		return t.line(s)
	}
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
		of.held, of.spareUntil = of.used, 0 // what is spare goes back with the order
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
	for range g.busy {
		if len(t.order.Lines) >= maxLines {
			return // the next order begins where this one ends
		}
		g.turn = (g.turn + 1) % len(g.busy)
		t.addDueOf(g.busy[g.turn], now)
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
