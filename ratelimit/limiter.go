package ratelimit

import (
	"context"
	"sync/atomic"
	"time"
)

// Account is who spends: a key, or a tenant over all its keys.
type Account struct {
	// ID tells it from the others of its kind: a key's id and a tenant's name may be the same and never meet.
	ID string
	// Limits are its own, as they are now. Others than at the last call take effect at once, without a fresh burst.
	Limits
	// Shadow decides and counts these limits, and enforces none of them.
	Shadow bool
}

// Request is what somebody wants to spend.
type Request struct {
	// Key is whose secret was sent, Tenant who pays for it. Without an ID of the key, the tenant's limits alone are asked.
	Key, Tenant Account
	// Tokens is how many the request will cost, prompt and completion, as far as one can tell: so many are reserved,
	// but no more than a bucket holds. 0: it asks no model, and needs no tokens and no slot.
	Tokens int64
}

// Options are the parts of a Limiter.
type Options struct {
	// Config has passed Validate.
	Config Config
	// Bank is what the replicas share; nil: there is one replica.
	Bank Bank
	// Replica names this one to the others: it must be another name after each start, as a random one is.
	Replica string
}

// Limiter keeps the limits of all keys and tenants, as one of a fleet's replicas. It holds at most Config.MaxKeys of
// them, and to make room it drops those whose buckets are full again, which loses nothing: a bucket starts full. Only
// where all are in use does it drop the one that would be full the soonest. Where there is no bank its owner
// may then spend once more what it had spent, never more than its burst.
type Limiter struct {
	bank    Bank
	replica string
	now     func() time.Time
	start   time.Time
	policy  atomic.Pointer[policy]
	groups  groups
	agenda  agenda

	live    atomic.Int64  // replicas that share the limits
	counted atomic.Bool   // live is their count
	number  atomic.Uint64 // of the last order, or posting
	counts  counts

	stop   context.CancelFunc
	ended  chan struct{} // closed when the flusher has returned
	closed atomic.Bool
}

// policy is what a reload may change.
type policy struct {
	byDefault Limits
	shadow    bool
}

type counts struct {
	answered, failed, alone atomic.Uint64
	held                    atomic.Int64
}

// New returns a Limiter, with one goroutine of its own where there is a bank. The caller closes it.
func New(o Options) *Limiter {
	most := o.Config.MaxKeys
	if most <= 0 {
		most = defaultMaxKeys
	}
	l := &Limiter{
		bank: o.Bank, replica: o.Replica, now: time.Now, start: time.Now(), groups: newGroups(most),
		agenda: newAgenda(), ended: make(chan struct{}),
	}
	l.live.Store(1)
	l.Follow(o.Config)
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	if l.bank == nil {
		close(l.ended)
		return l
	}
	go l.flushUntil(ctx)
	return l
}

// Follow puts another default, and another Shadow, into force at each key's next call. Buckets keep what is in them, so
// that a reload of the configuration gives nobody a fresh burst. MaxReplicas is obeyed as long as no replicas were counted.
func (l *Limiter) Follow(c Config) {
	l.policy.Store(&policy{byDefault: c.Default, shadow: c.Shadow})
	if l.bank == nil || l.counted.Load() {
		return
	}
	replicas := c.MaxReplicas
	if replicas <= 0 {
		replicas = defaultMaxReplicas
	}
	l.live.Store(int64(replicas))
}

// Take decides on a request, and takes what it needs from all limits, or nothing of any when one refuses it. It fills p,
// which must be ended whatever the answer is. Where replicas share their limits it may ask the bank, and waits for its
// answer for 100 ms at most, and as long again for each 256 requests of the tenant that were there before. A request that
// found no slot, or no tokens at the bank, waits for a moment and looks once more, unless ctx ends.
func (l *Limiter) Take(ctx context.Context, p *Permit, r Request) {
	l.take(ctx, p, r, spend)
	if !p.looksAgain() {
		return
	}
	// A client may know that its answer has ended a moment before what it held has been given back.
	again := time.NewTimer(secondLook)
	defer again.Stop()
	select {
	case <-again.C:
		l.take(ctx, p, r, insist)
	case <-ctx.Done():
	}
}

// secondLook is the moment after which a request looks once more: time for another replica to give back, if it is not
// much farther from the bank than this one.
const secondLook = 5 * time.Millisecond

func (l *Limiter) take(ctx context.Context, p *Permit, r Request, as purpose) {
	p.asked = false
	g := l.groups.open(l, r.Tenant.ID)
	now := l.micros()
	a := g.ask(&r, as)
	if v := g.try(&a, now); v == lacking {
		g.await(ctx, p, &a)
	} else {
		g.finish(p, &a, v, now)
		g.mu.Unlock()
	}
	l.makeRoomFor(a.isNew)
}

// Peek writes the figures at this moment, as far as this replica knows them, and spends nothing: Allowed and RetryAfter
// tell what the request would meet.
func (l *Limiter) Peek(answer *Answer, r Request) {
	g := l.groups.open(l, r.Tenant.ID)
	now := l.micros()
	a := g.ask(&r, look)
	g.foresee(&a, now)
	g.write(answer, &a, now)
	g.mu.Unlock()
	l.makeRoomFor(a.isNew)
}

// Standing is Peek, after a look at what all replicas together have spent. Where the bank does not answer, the figures
// are those of this replica's share.
func (l *Limiter) Standing(ctx context.Context, answer *Answer, r Request) {
	var p Permit
	g := l.groups.open(l, r.Tenant.ID)
	a := g.ask(&r, look)
	if g.sharing() {
		g.await(ctx, &p, &a)
	} else {
		g.mu.Unlock()
	}
	l.Peek(answer, r)
}

// Stats are counts since the start, and the present state.
type Stats struct {
	// Answered and Failed count the orders that the bank has carried out, and those of which nobody knows.
	Answered, Failed uint64
	// Alone counts the requests that were decided by this replica's share, because the bank did not answer; one that looked
	// for a slot twice counts twice.
	Alone uint64
	// Held is how many slots are in use on this replica: none when nothing is in progress.
	Held int64
	// Live is how many replicas share the limits, as far as this one knows.
	Live int
}

// Stats returns the present figures.
func (l *Limiter) Stats() Stats {
	return Stats{
		Answered: l.counts.answered.Load(), Failed: l.counts.failed.Load(), Alone: l.counts.alone.Load(),
		Held: l.counts.held.Load(), Live: int(l.live.Load()),
	}
}

// micros is this replica's own time: microseconds since its start, whatever becomes of the calendar.
func (l *Limiter) micros() int64 { return l.now().Sub(l.start).Microseconds() }
