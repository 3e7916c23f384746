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
// may be asked come first, in about the order in which they would be, and then those
// who would not, as they are configured. Nothing is chosen or spent.
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
			l.Why = c.closed(now, r.asker())
		}
	}
	if i, found := r.leastBad(now); open == 0 && found && int64(now) >= m.thrift.resort.Load() {
		all[i].LastResort, all[i].Share, all[i].Why = true, 1, ""
	}
	slices.SortStableFunc(all, func(a, b Outlook) int {
		return cmp.Or(compareBool(a.Why != "", b.Why != ""), cmp.Compare(a.Tier, b.Tier), cmp.Compare(b.Share, a.Share))
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

// shares is about how likely each of those who can be asked is to be the first.
func (r *Route) shares(open set, now instant) (each [maxCandidates]float64) {
	m := r.model
	for _, tier := range m.tiers {
		if open&tier == 0 {
			continue
		}
		p := pool{model: m, set: open & tier, kind: r.kind, now: now}
		if r.anchor != 0 {
			each[pickByAnchor(p, r.anchor)] = 1
			return each
		}
		m.policy.shares(p, &each)
		break
	}
	total := 0.0
	for rest := open; rest != 0; rest &= rest - 1 {
		i := rest.first()
		each[i] *= m.candidates[i].ramp(now, r.kind)
		total += each[i]
	}
	for i := range each {
		each[i] /= max(total, 1e-9)
	}
	return each
}

// closed is a predicate that says why a candidate with the right contract cannot be asked.
func (c *Candidate) closed(now instant, by asker) string {
	state, why, _ := c.standing(now)
	switch {
	case state == StateReady && c.lane != nil && !c.isTrusted(now, by.tenant):
		return "forbids what this tenant asks"
	case state == StateReady, why == "":
		return "cannot take a request at this moment"
	}
	return "is " + string(state) + ": " + why
}

// Passed is a candidate that was passed over.
type Passed struct {
	*Candidate
	// Param is the request field by which its provider cannot serve the request; empty: its state was the reason.
	Param string
	// Why is a predicate.
	Why string
}

// note remembers who could not be asked when the request began, and why.
func (r *Route) note(open set, now instant) {
	m := r.model
	for rest := r.able & m.on &^ open; rest != 0; rest &= rest - 1 {
		c := m.candidates[rest.first()]
		r.closed = append(r.closed, Passed{Candidate: c, Why: c.closed(now, r.asker())})
	}
}

// PassedOver returns who could not be asked when the first attempt was chosen: those whose
// contract lacks something of n, which must be the needs that the route was begun with, and
// those who were not available.
func (r *Route) PassedOver(n *Needs) []Passed {
	m := r.model
	var passed []Passed
	for rest := m.all() &^ r.able; rest != 0; rest &= rest - 1 {
		c := m.candidates[rest.first()]
		lack, _ := c.Provider.Lacks(n)
		passed = append(passed, Passed{c, lack.Param.String(), c.Provider.Contract.Explain(lack, n)})
	}
	for rest := r.able &^ m.on; rest != 0; rest &= rest - 1 {
		passed = append(passed, Passed{Candidate: m.candidates[rest.first()], Why: "is off: none of its api_keys is set"})
	}
	return append(passed, r.closed...)
}
