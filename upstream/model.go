package upstream

import (
	"math/bits"
	"slices"
	"sync/atomic"
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

	// Affinity says which of its requests belong to the same candidate.
	Affinity Affinity

	candidates []*Candidate // in the order of their tiers
	on         set          // those whose endpoint has a credential
	tiers      []set        // lowest first
	providers  []provided
	known      []*Provider // every provider of the table
	policy     policy
	random     func(n uint64) uint64 // uniform in [0, n)
	clock      clock
	thrift     *thrift
}

// thrift is what bounds the requests that a model makes of sick upstreams. It
// outlives the table in which it was first built.
type thrift struct {
	budget *budget
	resort atomic.Int64 // the instant at which an open breaker may be passed by next
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

// able returns the candidates whose contracts take what n needs.
func (m *Model) able(n *Needs) set {
	var able set
	for _, p := range m.providers {
		if _, lacks := p.provider.Lacks(n); !lacks {
			able |= p.candidates
		}
	}
	return able
}

// all returns every candidate.
func (m *Model) all() set {
	var all set
	for _, p := range m.providers {
		all |= p.candidates
	}
	return all
}

// unsupported says what is in the way of a request that nobody can serve.
func (m *Model) unsupported(n *Needs) *UnsupportedError {
	e := new(UnsupportedError)
	common := ^ParamSet(0)
	for _, p := range m.providers {
		lack, _ := p.provider.Lacks(n)
		common &= p.provider.lacksEach(n)
		e.Lacking = append(e.Lacking, Lacking{p.provider.Name, lack.Param.String(), p.provider.Contract.Explain(lack, n)})
	}
	param, found := common.First()
	if e.Common = found; !found {
		lack, _ := m.providers[0].provider.Lacks(n)
		param = lack.Param
	}
	e.Param = param.String()
	for _, p := range m.known {
		if !m.asks(p) && !p.lacksEach(n).Has(param) {
			e.Takers = append(e.Takers, p.Name)
		}
	}
	return e
}

// asks reports whether a provider is one of the model's.
func (m *Model) asks(p *Provider) bool {
	return slices.ContainsFunc(m.providers, func(own provided) bool { return own.provider == p })
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

// pick chooses one of a pool, by an anchor where there is one.
func (m *Model) pick(p pool, anchor uint64) int {
	if anchor != 0 {
		return pickByAnchor(p, anchor)
	}
	return m.policy.pick(p)
}

// available returns those of s that can take a request now.
func (m *Model) available(s set, now instant, by asker) set {
	for rest := s; rest != 0; rest &= rest - 1 {
		if i := rest.first(); !m.candidates[i].available(now, by) {
			s &^= 1 << i
		}
	}
	return s
}

// first returns the lowest position in a set that is not empty.
func (s set) first() int { return bits.TrailingZeros64(uint64(s)) }

// nth returns the position of the n-th of a set that has more than n.
func (s set) nth(n int) int {
	for ; n > 0; n-- {
		s &= s - 1
	}
	return s.first()
}
