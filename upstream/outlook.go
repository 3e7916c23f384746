package upstream

import (
	"cmp"
	"slices"
)

// Outlook is what a candidate could expect of a request at one moment.
type Outlook struct {
	*Candidate
	// State is what operators are shown, and StateWhy says in a few words why.
	State    State
	StateWhy string
	// Param is the request field by which its provider cannot serve the request; empty: it can.
	Param string
	// Why is a predicate that says why it would not be asked; empty: it may be.
	Why string
	// Share is about how likely it is to be asked first, from 0 to 1; 0 says: only when others fail.
	Share float64
	// LastResort says that it would be asked although its breaker refuses, because nobody else is there.
	LastResort bool
}

// Outlooks tells what a request with these needs would meet with now: those who
// may be asked come first, the likeliest before the others, and then those who would
// not, as they are configured. Nothing is chosen or spent.
func (m *Model) Outlooks(n *Needs, o RouteOptions) []Outlook {
	now := m.clock.now()
	r := Route{model: m, able: m.able(n), anchor: o.Anchor, tenant: tenantOf(o.Tenant), kind: o.Kind}
	open := m.available(r.able&m.on, now, r.asker())
	all := make([]Outlook, len(m.candidates))
	shares := r.shares(open, now)
	for i, c := range m.candidates {
		all[i] = Outlook{Candidate: c, Share: shares[i]}
		l := &all[i]
		l.State, l.StateWhy, _ = c.standing(now)
		switch {
		case r.able&(1<<i) == 0:
			lack, _ := c.Provider.Lacks(n)
			l.Param, l.Why = lack.Param.String(), c.Provider.Contract.Explain(lack, n)
		case open&(1<<i) == 0:
			l.Why = c.closed(now, r.asker()).String()
		}
	}
	if i, found := r.leastBad(now); open == 0 && found && int64(now) >= m.thrift.resort.Load() {
		all[i].LastResort, all[i].Share, all[i].Why = true, 1, ""
	}
	slices.SortStableFunc(all, func(a, b Outlook) int {
		return cmp.Or(compareBool(a.Why != "", b.Why != ""), cmp.Compare(b.Share, a.Share), cmp.Compare(a.Tier, b.Tier))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// closure is why a candidate with the right contract cannot be asked.
type closure struct {
	state State
	why   string
}

func (c *Candidate) closed(now instant, by asker) closure {
	state, why, _ := c.standing(now)
	if state == StateReady && c.lane != nil && !c.isTrusted(now, by.tenant) {
		why = "it forbids what this tenant asks"
	}
	return closure{state, why}
}

// String is a predicate.
func (c closure) String() string {
	switch {
	case c.why == "":
		return "cannot take a request at this moment"
	case c.state == StateReady:
		return "cannot be asked: " + c.why
	}
	return "is " + string(c.state) + ": " + c.why
}

// Passed is who was passed over: a candidate, or all of a provider.
type Passed struct {
	Provider *Provider
	// Candidate is nil where the provider's contract is the reason.
	Candidate *Candidate
	// Param is the request field by which the provider cannot serve the request; empty: the candidate's state was the reason.
	Param  string
	lack   string
	closed closure
}

// Why is a predicate.
func (p Passed) Why() string {
	if p.Param != "" {
		return p.lack
	}
	return p.closed.String()
}

// note remembers who could not be asked when the request began, and why.
func (r *Route) note(open set, now instant) {
	m := r.model
	for rest := r.able & m.on &^ open; rest != 0; rest &= rest - 1 {
		c := m.candidates[rest.first()]
		r.closed = append(r.closed, Passed{Provider: c.Provider, Candidate: c, closed: c.closed(now, r.asker())})
	}
}

// PassedOver returns who could not be asked when the first attempt was chosen: providers whose
// contract lacks something of n, which must be the needs that the route was begun with, and
// candidates that were not available.
func (r *Route) PassedOver(n *Needs) []Passed {
	m := r.model
	var passed []Passed
	for _, p := range m.providers {
		if p.candidates&r.able == 0 {
			lack, _ := p.provider.Lacks(n)
			passed = append(passed, Passed{Provider: p.provider, Param: lack.Param.String(), lack: p.provider.Contract.Explain(lack, n)})
		}
	}
	for rest := r.able &^ m.on; rest != 0; rest &= rest - 1 {
		c := m.candidates[rest.first()]
		passed = append(passed, Passed{Provider: c.Provider, Candidate: c, closed: closure{StateOff, "none of its api_keys is set"}})
	}
	return append(passed, r.closed...)
}
