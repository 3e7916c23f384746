package upstream

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrExhausted says that no candidate is left to try after at least one attempt.
var ErrExhausted = errors.New("upstream: no candidate is left to try")

// UnsupportedError says that no candidate's contract takes what a request needs.
type UnsupportedError struct {
	// Param is a request field that cannot be served: one that no provider of the model takes if there is one.
	Param string
	// Common says that no provider of the model takes Param; else each lacks something of its own.
	Common bool
	// Lacking are the providers of the model, each with the first reason why it cannot serve the request.
	Lacking []Lacking
	// Takers are the configured providers, of other models, that would take Param as the request has it.
	Takers []string
}

// Lacking is a provider with the first reason why it cannot serve a request.
type Lacking struct {
	Provider string
	// Param is the request field at fault, and Why a predicate such as `does not take "seed"`.
	Param, Why string
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("upstream: no provider of this model takes %q", e.Param)
}

// UnavailableError says that no candidate could be tried at all: breakers are
// open, or endpoints are off.
type UnavailableError struct {
	// RetryAfter is when the soonest candidate may be tried, at least a second.
	RetryAfter time.Duration
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("upstream: no candidate of this model can be tried, retry after %s", e.RetryAfter)
}

// ErrRetryBudget says that a retry would be made, if the model's retry budget
// were not empty: too many requests need one.
var ErrRetryBudget = errors.New("upstream: the retry budget of this model is empty")

const (
	// soonest is the least RetryAfter: a client that comes back at once only adds load.
	soonest = time.Second
	// offRetryAfter is said when every able endpoint is off. Only a new
	// configuration helps, which no client can wait for precisely.
	offRetryAfter = time.Minute
	// resortEvery is how often one candidate is asked although every breaker
	// refuses. Like any half-open one it is then asked breakerProbes times at most.
	resortEvery = breakerTimeout
	// pauseFirst and pauseMost bound the time before the same endpoint is asked
	// again; it doubles with each attempt.
	pauseFirst = 100 * time.Millisecond
	pauseMost  = 2 * time.Second
)

// RouteOptions are what a request's way depends on, beside its needs.
type RouteOptions struct {
	Kind Kind
	// Anchor is a hash of what requests have in common that belong to the same
	// candidate, see Affinity; 0: nothing.
	Anchor uint64
	// Tenant is who asks: what only one tenant's requests meet with is not held
	// against an upstream.
	Tenant string
}

// Route begins one request's walk through the candidates whose contracts take
// what n needs. It returns an *UnsupportedError when there are none.
func (m *Model) Route(n *Needs, o RouteOptions) (Route, error) {
	able := m.able(n)
	if able == 0 {
		return Route{}, m.unsupported(n)
	}
	return Route{model: m, able: able, anchor: o.Anchor, tenant: tenantOf(o.Tenant), kind: o.Kind}, nil
}

// Route is one request's walk through its candidates. It belongs to one
// goroutine at a time.
type Route struct {
	model       *Model
	able, tried set
	last        *Attempt
	closed      []Passed // of the able ones
	anchor      uint64
	tenant      tenant
	kind        Kind
	attempts    int8
}

func (r *Route) asker() asker { return asker{r.tenant, r.kind} }

// asker is what a candidate's availability depends on: who asks, and for what.
type asker struct {
	tenant tenant
	kind   Kind
}

// Next chooses the next candidate and fills a, which must be new: the caller must
// Report how the attempt was decided, and End it. Inside a tier, providers that
// this request has not asked yet come before further credentials of those it has,
// and the last attempt goes to such a provider in whatever tier. No endpoint is
// asked twice, unless it is the only one and there was no connection.
//
// It returns ErrExhausted when every candidate was tried that can be, or as many as
// one request may; ErrRetryBudget when there is one, and the model's budget is
// empty; and *UnavailableError when not one could be tried.
func (r *Route) Next(a *Attempt) error {
	if r.attempts == 0 {
		return r.first(a)
	}
	m := r.model
	now, again := m.clock.now(), time.Duration(0)
	open := m.available(r.able&m.on&^r.tried, now, r.asker())
	if open == 0 {
		open, again = r.onlyOne(now)
	}
	switch {
	case int(r.attempts) >= m.MaxAttempts, open == 0:
		return ErrExhausted
	case !m.thrift.budget.spend():
		return ErrRetryBudget
	case r.choose(a, open, now):
		a.Pause = again
		return nil
	}
	m.thrift.budget.refund()
	return ErrExhausted
}

// first chooses whom to ask first.
func (r *Route) first(a *Attempt) error {
	m := r.model
	m.thrift.budget.earn()
	now := m.clock.now()
	open := m.available(r.able&m.on, now, r.asker())
	if open != r.able&m.on {
		r.note(open, now)
	}
	if r.choose(a, open, now) || r.lastResort(a, now) {
		return nil
	}
	return r.unavailable(now)
}

// choose takes one of those that can be asked: of the lowest tier, but those that
// have recovered a short while ago are passed by as often as their share is short of
// the whole; and a request that has failed already is no probe, unless there is nobody else.
func (r *Route) choose(a *Attempt, open set, now instant) bool {
	m := r.model
	fresh := open &^ m.siblings(r.tried)
	if r.attempts > 0 && int(r.attempts) == m.MaxAttempts-1 && fresh != 0 {
		open = fresh // a provider with many credentials must not use up every attempt
	}
	probes, ramping := r.convalescents(open, now)
	later := ramping
	if r.attempts > 0 {
		later |= probes
	}
	for _, part := range [...]set{open &^ later, open & later &^ probes, open & later} {
		for _, tier := range m.tiers {
			if r.admit(a, part&tier&fresh, probes, now) || r.admit(a, part&tier&^fresh, probes, now) {
				return true
			}
		}
	}
	return false
}

// convalescents returns those of s that wait for probes, and of those that have
// recovered the ones that are passed by this time. Where no request may be made
// again nobody is a probe, or nobody would ever be.
func (r *Route) convalescents(s set, now instant) (probes, ramping set) {
	const grain = 1 << 20
	m := r.model
	for rest := s; rest != 0; rest &= rest - 1 {
		i := rest.first()
		c := m.candidates[i]
		if m.MaxAttempts > 1 && c.awaitsProbes(r.kind) {
			probes |= 1 << i
		} else if share := c.ramp(now, r.kind); share < 1 && m.random(grain) >= uint64(share*grain) {
			ramping |= 1 << i
		}
	}
	return probes, ramping
}

// admit chooses one of a set, one that waits for a probe if there is any, and takes
// what an attempt there must hold; false when nobody has it to give.
func (r *Route) admit(a *Attempt, open, probes set, now instant) bool {
	m := r.model
	for open != 0 {
		shown := open
		if open&probes != 0 {
			shown &= probes
		}
		i := m.pick(pool{model: m, set: shown, kind: r.kind, now: now}, r.anchor)
		if r.take(a, i, now, onTime) {
			return true
		}
		open &^= 1 << i // another request took the last place since available looked
	}
	return false
}

func (r *Route) take(a *Attempt, i int, now instant, when admission) bool {
	if !a.take(r.model.candidates[i], r.asker(), now, when) {
		return false
	}
	a.position = uint8(i) //nolint:gosec // below maxCandidates
	r.tried |= 1 << i
	r.attempts++
	r.last = a
	return true
}

// onlyOne is the one candidate there is for this request, when the attempt there
// came to no connection; and how long to wait before it is asked again, at random,
// so that those who were cut off together do not come back together.
func (r *Route) onlyOne(now instant) (set, time.Duration) {
	m := r.model
	all := r.able & m.on
	if all&(all-1) != 0 || r.last.outcome != OutcomeUnreachable {
		return 0, 0
	}
	most := min(pauseFirst<<(r.attempts-1), pauseMost)
	return m.available(all, now, r.asker()), time.Duration(1 + m.random(uint64(most)))
}

// lastResort takes the candidate whose breaker lets a probe through first, before
// it does: when all are open, waiting helps nobody, as long as it is done rarely.
func (r *Route) lastResort(a *Attempt, now instant) bool {
	m := r.model
	due := m.thrift.resort.Load()
	i, found := r.leastBad(now)
	if !found || int64(now) < due || !m.thrift.resort.CompareAndSwap(due, int64(now.after(resortEvery))) {
		return false
	}
	if r.take(a, i, now, early) {
		return true
	}
	m.thrift.resort.Store(due) // another request was quicker
	return false
}

// leastBad returns the position of the candidate that only breakers keep from
// being asked, and the soonest of these.
func (r *Route) leastBad(now instant) (best int, found bool) {
	m, kind := r.model, r.kind
	var soonest time.Duration
	for rest := r.able & m.on; rest != 0; rest &= rest - 1 {
		i := rest.first()
		c := m.candidates[i]
		if !c.mayBeAsked(now, r.tenant) || !c.isHealthy(now, kind, early) {
			continue
		}
		if wait := c.healthyIn(now, kind, onTime); !found || wait < soonest {
			best, soonest, found = i, wait, true
		}
	}
	return best, found
}

// Available returns an *UnavailableError when Next would find nobody to ask, so
// that a request which cannot be served is refused before it spends anything.
func (r *Route) Available() error {
	m := r.model
	now := m.clock.now()
	if m.available(r.able&m.on, now, r.asker()) != 0 {
		return nil
	}
	if _, found := r.leastBad(now); found && int64(now) >= m.thrift.resort.Load() {
		return nil
	}
	return r.unavailable(now)
}

// unavailable says when to come back.
func (r *Route) unavailable(now instant) error {
	m := r.model
	s := r.able & m.on
	if s == 0 {
		return &UnavailableError{RetryAfter: offRetryAfter}
	}
	wait, resort := time.Duration(math.MaxInt64), now.until(instant(m.thrift.resort.Load()))
	for rest := s; rest != 0; rest &= rest - 1 {
		c, kind := m.candidates[rest.first()], r.kind
		health := min(c.healthyIn(now, kind, onTime), max(c.healthyIn(now, kind, early), resort))
		wait = min(wait, max(health, c.mayBeAskedIn(now, r.tenant)))
	}
	return &UnavailableError{RetryAfter: max(soonest, wait)}
}
