package ratelimit

import "context"

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
	// Key is whose secret was sent, Tenant who pays for it.
	Key, Tenant Account
	// Tokens is how many the request will cost, prompt and completion, as far as one can tell: so many are reserved,
	// but no more than a bucket holds. 0: it asks no model, and needs no tokens and no slot.
	Tokens int64
}

// Permit is what one request has been given. Take fills it and End takes it back; between them it must not be copied.
// It is one request's, and not safe for concurrent use.
type Permit struct {
	// Answer is what the limits have decided.
	Answer Answer
}

// Take decides on a request, and takes what it needs from all limits, or nothing of any when one refuses it. It fills p,
// which must be ended whatever the answer is. Where replicas share their limits it may ask the bank, for a fraction of
// a second at most; ctx bounds that, too: when it ends, this replica decides alone.
func (l *Limiter) Take(ctx context.Context, p *Permit, r Request) {}

// End gives back what a request has held, and settles its tokens: so many it has cost in truth. What was reserved beyond
// them is given back, what they are more is taken from what comes later. Only the first call does something.
func (p *Permit) End(tokens int64) {}

// Peek writes the figures at this moment, as far as this replica knows them, and spends nothing: Allowed and RetryAfter
// tell what the request would meet.
func (l *Limiter) Peek(a *Answer, r Request) {}

// Standing is Peek, after a look at what all replicas together have spent. Where the bank does not answer, the figures
// are those of this replica's share.
func (l *Limiter) Standing(ctx context.Context, a *Answer, r Request) {}

// Options are the parts of a Limiter.
type Options struct {
	Config Config
	// Bank is what the replicas share; nil: there is one replica.
	Bank Bank
	// Replica names this one to the others: it must be another name after each start, as a random one is.
	Replica string
}

// Limiter keeps the limits of all keys and tenants, as one of a fleet's replicas.
type Limiter struct{}

// New returns a Limiter. The caller closes it.
func New(o Options) *Limiter { return &Limiter{} }

// Follow puts another default, and another Shadow, into force at each key's next call. Buckets keep what is in them, so
// that a reload of the configuration gives nobody a fresh burst.
func (l *Limiter) Follow(c Config) {}

// Close gives back to the bank what this replica has drawn and not spent, and the slots that it holds, until ctx ends.
// Requests that are decided later are so by this replica alone.
func (l *Limiter) Close(ctx context.Context) error { return nil }

// Stats are counts since the start, and the present state.
type Stats struct {
	// Answered and Failed count the orders that the bank has carried out, and those of which nobody knows.
	Answered, Failed uint64
	// Alone counts the requests that were decided by this replica's share, because the bank did not answer.
	Alone uint64
	// Held is how many slots are in use on this replica: none when nothing is in progress.
	Held int64
	// Live is how many replicas share the limits, as far as this one knows.
	Live int
}

// Stats returns the present figures.
func (l *Limiter) Stats() Stats { return Stats{} }
