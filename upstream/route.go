package upstream

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// ErrExhausted says that no candidate is left to try after at least one attempt.
var ErrExhausted = errors.New("upstream: no candidate is left to try")

// UnsupportedError says that no candidate's contract takes what a request needs.
type UnsupportedError struct {
	// Param is the request field that cannot be served.
	Param string
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

const (
	// soonest is the least RetryAfter: a client that comes back at once only adds load.
	soonest = time.Second
	// offRetryAfter is said when every able endpoint is off. Only a new
	// configuration helps, which no client can wait for precisely.
	offRetryAfter = time.Minute
)

// Model is a public model name with the candidates that serve it. It never
// changes once built.
type Model struct {
	// Name is the public name.
	Name string
	// Timeouts are the model's limits, the defaults filled in.
	Timeouts Timeouts
	// MaxAttempts bounds the candidates that one request may try.
	MaxAttempts int

	candidates []*Candidate // in the order of their tiers
	on         set          // those whose endpoint has a credential
	tiers      []set        // lowest first
	providers  []provided
	random     func(n uint64) uint64 // uniform in [0, n)
}

// provided is the candidates of one provider.
type provided struct {
	provider   *Provider
	candidates set
}

// set is a set of a model's candidates, by position.
type set uint64

// Candidates returns the model's candidates, lowest tier first. The caller must
// not change them.
func (m *Model) Candidates() []*Candidate { return m.candidates }

// Route begins one request's walk through the candidates whose contracts take
// what n needs. It returns an *UnsupportedError when there are none.
func (m *Model) Route(n *Needs) (Route, error) {
	var able set
	for _, p := range m.providers {
		if _, lacks := p.provider.Contract.Lacks(n); !lacks {
			able |= p.candidates
		}
	}
	if able == 0 {
		return Route{}, &UnsupportedError{Param: m.lacking(n)}
	}
	return Route{model: m, able: able}, nil
}

// lacking names what is in the way of a request that nobody can serve: a field
// that no contract takes if there is one, else the first that stops the first.
func (m *Model) lacking(n *Needs) string {
	nowhere := ^ParamSet(0)
	for _, p := range m.providers {
		nowhere &= p.provider.Contract.missing(n)
	}
	if p, ok := nowhere.First(); ok {
		return p.String()
	}
	param, _ := m.providers[0].provider.Contract.Lacks(n)
	return param
}

// Route is one request's walk through its candidates. It belongs to one
// goroutine at a time.
type Route struct {
	model    *Model
	able     set
	tried    set
	attempts int
}

// Next chooses the next candidate and takes its breaker's permit; the caller
// must Report how the attempt ended. Inside a tier, providers that this request
// has not asked yet come before further credentials of those it has, and the
// last attempt goes to such a provider in whatever tier. It returns ErrExhausted when every
// candidate was tried, or as many as one request may, and *UnavailableError
// when not one could be.
func (r *Route) Next() (*Attempt, error) {
	m := r.model
	if r.attempts >= m.MaxAttempts {
		return nil, ErrExhausted
	}
	open := m.ready(r.able & m.on &^ r.tried)
	fresh := open &^ m.siblings(r.tried)
	if r.attempts == m.MaxAttempts-1 && fresh != 0 {
		open = fresh // a provider with many credentials must not use up every attempt
	}
	for _, tier := range m.tiers {
		for _, pool := range [...]set{open & tier & fresh, open & tier &^ fresh} {
			if a := m.admit(pool); a != nil {
				r.tried |= 1 << a.position
				r.attempts++
				return a, nil
			}
		}
	}
	if r.attempts > 0 {
		return nil, ErrExhausted
	}
	return nil, r.unavailable()
}

// Available returns an *UnavailableError when Next would find nobody to ask, so
// that a request which cannot be served is refused before it spends anything.
func (r *Route) Available() error {
	if r.model.ready(r.able&r.model.on) != 0 {
		return nil
	}
	return r.unavailable()
}

func (r *Route) unavailable() error {
	return &UnavailableError{RetryAfter: r.model.retryAfter(r.able & r.model.on)}
}

// admit chooses one of a set and takes its permit; nil when no breaker gives one.
func (m *Model) admit(pool set) *Attempt {
	for pool != 0 {
		i := m.pick(pool)
		a := &Attempt{Candidate: m.candidates[i], position: i}
		if a.breaker.admit(&a.permit) {
			return a
		}
		pool &^= 1 << i // another request took the last probe since ready looked
	}
	return nil
}

// siblings returns every candidate whose provider has one in s.
func (m *Model) siblings(s set) set {
	var all set
	for _, p := range m.providers {
		if p.candidates&s != 0 {
			all |= p.candidates
		}
	}
	return all
}

// ready returns those of s whose breaker would let an attempt through.
func (m *Model) ready(s set) set {
	for rest := s; rest != 0; rest &= rest - 1 {
		if i := rest.first(); !m.candidates[i].breaker.ready() {
			s &^= 1 << i
		}
	}
	return s
}

// pick chooses one of a set that is not empty, each with the probability of its
// share of the set.
func (m *Model) pick(s set) int {
	if s&(s-1) == 0 {
		return s.first()
	}
	var total uint64
	for rest := s; rest != 0; rest &= rest - 1 {
		total += m.candidates[rest.first()].share
	}
	at := m.random(total)
	for {
		i := s.first()
		if share := m.candidates[i].share; at >= share {
			at -= share
			s &= s - 1
			continue
		}
		return i
	}
}

// retryAfter returns when the first of s may be tried again.
func (m *Model) retryAfter(s set) time.Duration {
	if s == 0 {
		return offRetryAfter
	}
	first := m.candidates[s.first()].breaker.probeIn()
	for rest := s; rest != 0; rest &= rest - 1 {
		first = min(first, m.candidates[rest.first()].breaker.probeIn())
	}
	return max(soonest, first)
}

// first returns the lowest position in a set that is not empty.
func (s set) first() int { return bits.TrailingZeros64(uint64(s)) }
