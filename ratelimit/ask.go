package ratelimit

// purpose is what a group is asked for.
type purpose uint8

const (
	spend  purpose = iota
	insist         // to spend, and to ask the bank even where it has refused a moment ago
	look           // to spend nothing
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
	isNew   *account // the key's, if it was not there before
	purpose purpose
}

// need is what it needs of one limit that is in force.
type need struct {
	limit   Limit
	account *account
	max     int64     // the limit's figure
	rate    tokenRate // of a bucket, as of this request
	cost    int64     // nanoseconds of the bucket's refill at the full rate, or slots; 0: nothing
	shadow  bool
	lacks   bool // there is not enough
	asked   bool // the bank is asked for it
}

func (n *need) bucket() *bucket { return &n.account.buckets[n.limit.Dimension()] }

func (n *need) ofSlots() bool { return n.limit.Dimension() == Concurrent }

// ask finds what the request needs, and puts the limits that it came with into force.
func (g *group) ask(r *Request, p purpose) ask {
	a := ask{purpose: p}
	in := g.limiter.policy.Load()
	own := r.Key.orElse(in.byDefault)
	var key *account
	if r.Key.ID != "" {
		key, a.isNew = g.key(r.Key.ID)
	}
	for d := Requests; d <= Concurrent; d++ {
		if key != nil {
			a.add(need{limit: Limit(2 * d), account: key, shadow: r.Key.Shadow || in.shadow}, own, r.Tokens)
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
	n.max, n.rate = perMinute, b.rate
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
