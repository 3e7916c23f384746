package ratelimit

import (
	"sync"
	"sync/atomic"
	"time"
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
	agendum  bool       // the flusher has the group on its list
	urgent   bool       // and on the list of those that cannot wait
	waiting  []*waiter
	trading  bool // an order is under way, or one of the waiting is about to make one
	missed   bool // the flusher came meanwhile
	alone    bool // the bank did not answer: this replica decides by its share
	back     bool // it answers again, and is about to be told what was drawn meanwhile
	spell    uint64
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

// purpose is what a group is asked for.
type purpose uint8

const (
	spend purpose = iota
	look
)

// verdict is how it stands with a request.
type verdict uint8

const (
	granted verdict = iota
	refused
	lacking // the bank must be asked
)

// ask is what one request needs.
type ask struct {
	needs   [LimitCount]need
	count   int
	key     *account
	purpose purpose
}

// need is what it needs of one limit that is in force.
type need struct {
	limit   Limit
	account *account
	max     int64 // the limit's figure
	cost    int64 // nanoseconds of the bucket's refill at the full rate, or slots; 0: nothing
	shadow  bool
	lacks   bool // there is not enough
	asked   bool // the bank is asked for it
}

func (n *need) bucket() *bucket { return &n.account.buckets[n.limit.Dimension()] }

func (n *need) ofSlots() bool { return n.limit.Dimension() == Concurrent }

// ask finds what the request needs, and puts the limits that it came with into force.
func (g *group) ask(r *Request, p purpose) ask {
	a := ask{key: &g.own, purpose: p}
	in := g.limiter.policy.Load()
	own := r.Key.Limits.orElse(in.byDefault)
	if r.Key.ID != "" {
		a.key = g.key(r.Key.ID)
	}
	for d := Requests; d <= Concurrent; d++ {
		if r.Key.ID != "" {
			a.add(need{limit: Limit(2 * d), account: a.key, shadow: r.Key.Shadow || in.shadow}, own, r.Tokens)
		}
		a.add(need{limit: Limit(2*d + 1), account: &g.own, shadow: r.Tenant.Shadow || in.shadow}, r.Tenant.Limits, r.Tokens)
	}
	return a
}

// orElse is l, and byDefault where l says nothing.
func (l Limits) orElse(byDefault Limits) Limits {
	if l.RequestsPerMinute <= 0 {
		l.RequestsPerMinute, l.Burst = byDefault.RequestsPerMinute, byDefault.Burst
	}
	if l.TokensPerMinute <= 0 {
		l.TokensPerMinute = byDefault.TokensPerMinute
	}
	if l.Concurrent <= 0 {
		l.Concurrent = byDefault.Concurrent
	}
	return l
}

// add completes a need, and leaves it out where there is no limit.
func (a *ask) add(n need, l Limits, tokens int64) {
	var perMinute, burst, amount int64
	switch n.limit.Dimension() {
	case Requests:
		perMinute, burst, amount = int64(l.RequestsPerMinute), int64(l.Burst), 1
	case Tokens:
		perMinute, amount = int64(l.TokensPerMinute), tokens
	case Concurrent:
		a.addSlots(n, int64(l.Concurrent), min(tokens, 1))
		return
	}
	b := n.bucket()
	if burst <= 0 {
		burst = perMinute
	}
	b.rate = tokenRate{max(0, perMinute), max(0, burst)}
	if perMinute <= 0 {
		return
	}
	n.max = perMinute
	n.cost = min(b.rate.cost(amount), b.rate.capacity())
	a.put(n)
}

func (a *ask) addSlots(n need, capacity, amount int64) {
	n.account.slots.capacity = max(0, capacity)
	if capacity > 0 {
		n.max, n.cost = capacity, amount
		a.put(n)
	}
}

func (a *ask) put(n need) {
	a.needs[a.count] = n
	a.count++
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
			h.tokens, h.reserved = true, n.cost
		}
	}
}

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
		d.Remaining = max(0, s.share(g.limiter.live.Load())-s.used)
	}
}

func (g *group) figureBucket(d *Decision, n *need, now int64) {
	b := n.bucket()
	missing := b.missing(now)
	d.Remaining = b.rate.worth(min(b.rate.capacity(), b.rate.capacity()-missing+b.left()))
	d.Reset = wholeMillis(missing)
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
