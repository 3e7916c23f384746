package ratelimit

import "context"

// Bank holds what all replicas share: the levels of the buckets and who holds which slots. It is the fleet's one
// judge, and its clock the only one that counts. All methods are safe for concurrent use.
type Bank interface {
	// Trade carries orders out, each at once and entirely, and writes the answers into them. An order whose Err is set
	// may have been carried out or not.
	Trade(ctx context.Context, orders ...*Order)
	// Beat says that a replica lives, for the next beatTTL, and returns how many do, this one included.
	Beat(ctx context.Context, replica string) (live int, err error)
	// Leave says that a replica has ended.
	Leave(ctx context.Context, replica string) error
}

// Order is what a replica asks of the bank for the requests of one tenant, in one step that nobody comes between: first
// what it owes is settled, then each claim is decided in turn, as if it had come alone.
type Order struct {
	// Tenant is whose buckets these are: all keys of the shared store have it as their hash tag.
	Tenant string
	// Replica is who asks.
	Replica string
	// Number grows from each of a replica's orders to the next: an order that comes late changes no slots.
	Number uint64
	// Lines are the buckets and slots that the order is about, each once.
	Lines []Line
	// Claims are the requests.
	Claims []Claim
	// Err is why there is no answer.
	Err error
}

// Line is the order's part at one limit. Amounts of requests and tokens are nanoseconds of the bucket's refill, from 0
// to maxSpan; those of Concurrent are slots.
type Line struct {
	Limit Limit
	// Account is the id of the key; empty for the tenant's own limits.
	Account string
	// Capacity is what the full bucket holds, or how many slots there are.
	Capacity int64

	// Owed is taken out of the bucket in any case, or given back where it is negative, once for each Posting: an order
	// that is sent again does it no second time. Its size is Capacity at most. 0, as for slots: nothing.
	Owed int64
	// Posting grows from each thing owed by a replica to the next.
	Posting uint64

	// Least and Most bound what is drawn beyond the claims, for those to come: where a claim needs something that is
	// not drawn yet, at least Least and at best Most is drawn, or the claim is refused. Both 0: what the claim costs.
	Least, Most int64

	// Held is how many slots the replica uses now. Whatever it held before, it holds these afterwards, and what is drawn.
	Held int64

	// Missing is the answer: what the bucket lacks, above Capacity where it is in debt, or how many slots are
	// held, by all replicas.
	Missing int64
	// Left is the answer, too: what was drawn and is not spent by the order's claims.
	Left int64

	drawn int64
}

// Claim is one request: it draws on all of its parts, or on none.
type Claim struct {
	Parts []Part
	// Lacking is the answer: the parts that had not enough, bit 0 being the first.
	Lacking uint8
	// Refused is the answer: a part that is enforced was among them.
	Refused bool
}

// Part is what a claim needs at one line.
type Part struct {
	Line int // its place in the order
	Cost int64
	// Shadow parts are decided and counted, and refuse nobody.
	Shadow bool
}

// decide carries the claims out, in their order, at lines whose Missing is that before them. It is pure arithmetic; the
// script of the shared store does the same.
func (o *Order) decide() {
	for i := range o.Lines {
		o.Lines[i].drawn, o.Lines[i].Left = 0, 0
	}
	for i := range o.Claims {
		o.claim(&o.Claims[i])
	}
	for i := range o.Lines {
		o.Lines[i].Missing += o.Lines[i].drawn
	}
}

func (o *Order) claim(c *Claim) {
	c.Lacking, c.Refused = 0, false
	for i, p := range c.Parts {
		if !o.Lines[p.Line].has(p.Cost) {
			c.Lacking |= 1 << i
			c.Refused = c.Refused || !p.Shadow
		}
	}
	if c.Refused {
		return
	}
	for i, p := range c.Parts {
		if c.Lacking&(1<<i) == 0 {
			o.Lines[p.Line].spend(p.Cost)
		}
	}
}

// has tells whether cost is drawn already, or can be.
func (l *Line) has(cost int64) bool {
	return l.Left >= cost || l.room() >= max(cost-l.Left, l.Least)
}

// spend takes a cost that it has, and draws for it where it must.
func (l *Line) spend(cost int64) {
	if l.Left < cost {
		draw := min(l.room(), max(cost-l.Left, l.Most))
		l.drawn += draw
		l.Left += draw
	}
	l.Left -= cost
}

func (l *Line) room() int64 { return l.Capacity - l.Missing - l.drawn }

// settle is all of what an order does to a bucket before its claims.
func (l *Line) settle(b *level, now int64) {
	b.fill(now, l.Capacity)
	b.owe(l.Owed)
	l.Missing = b.missing
}
