package upstream

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"tollgate/telemetry"
)

// builder turns a valid configuration into a Table.
type builder struct {
	config  Config
	options TableOptions
	random  func(n uint64) uint64

	pools map[string]providerPool
	old   *known // of the table before
	known *known // of this one: what stays of the old, and what is new
	built map[laneID]*Candidate
}

// known is what has been learned of upstreams, by what makes each one of its kind.
// What two tables in a row have in common, both know by the same pointer.
type known struct {
	clock     clock
	addresses map[addressID]*address
	accounts  map[accountID]*account
	lanes     map[laneID]*lane
	models    map[string]*thrift
	off       map[addressID]bool // told already
}

// The identities of what is known.
type (
	addressID struct{ provider, url string }
	accountID struct {
		addressID
		key fingerprint
	}
	laneID struct {
		accountID
		model string
	}
)

// fingerprint stands for a credential. It is none itself: package fmt would show a
// Secret here, because it calls no method of what stands in unexported fields.
type fingerprint [sha256.Size]byte

func fingerprintOf(key telemetry.Secret) fingerprint { return sha256.Sum256([]byte(key.Reveal())) }

func newKnown(c clock) *known {
	return &known{c, make(map[addressID]*address), make(map[accountID]*account), make(map[laneID]*lane), make(map[string]*thrift), make(map[addressID]bool)}
}

// keep returns what the old map has under an identity, or makes it, and enters it
// into the new one.
func keep[K comparable, V any](old, new map[K]*V, id K, make func() *V) *V {
	if v, ok := new[id]; ok {
		return v
	}
	v, ok := old[id]
	if !ok {
		v = make()
	}
	new[id] = v
	return v
}

// providerPool is a provider with its endpoints.
type providerPool struct {
	provider  *Provider
	endpoints []*Endpoint
	keys      []telemetry.Secret // of the endpoints; empty: off
	shares    []float64          // of the provider's traffic, summing to 1 over the endpoints that are on
}

func newTable(c Config, o TableOptions, random func(n uint64) uint64) *Table {
	old := newKnown(newClock())
	if o.Previous != nil {
		old = o.Previous.known
	}
	b := &builder{
		config: c, options: o, random: random, old: old, known: newKnown(old.clock),
		pools: make(map[string]providerPool, len(c.Providers)), built: make(map[laneID]*Candidate),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		b.pools[name] = b.pool(name, c.Providers[name])
	}
	t := &Table{models: make(map[string]*Model, len(c.Models)), names: slices.Sorted(maps.Keys(c.Models)), known: b.known}
	for _, name := range t.names {
		t.models[name] = b.model(name)
	}
	b.countModels()
	t.endpoints = slices.SortedFunc(maps.Values(b.built), byIdentity)
	return t
}

// tellOff warns of an endpoint that is off, unless it was so before.
func (b *builder) tellOff(id addressID) {
	b.known.off[id] = true
	if !b.old.off[id] {
		b.options.Log.Warn("endpoint is off: none of its api_keys is set", telemetry.FieldProvider, id.provider, telemetry.FieldUpstream, id.url)
	}
}

// countModels tells each address how many models it is asked for.
func (b *builder) countModels() {
	models := make(map[addressID]map[string]bool)
	for id := range b.known.lanes {
		if models[id.addressID] == nil {
			models[id.addressID] = make(map[string]bool)
		}
		models[id.addressID][id.model] = true
	}
	for id, a := range b.known.addresses {
		a.models.Store(int32(len(models[id]))) //nolint:gosec // a few
	}
}

// pool builds a provider and its endpoints: one for each credential, one that
// is off for an address without any.
func (b *builder) pool(name string, c ProviderConfig) providerPool {
	contract := c.Contract.contract()
	usage := contract.StreamUsage
	if c.StreamUsage != "" {
		usage, _ = StreamUsageByName(c.StreamUsage)
	}
	unsupported, _ := UnsupportedByName(c.Unsupported)
	p := providerPool{provider: &Provider{Name: name, Contract: contract, StreamUsage: usage, Unsupported: unsupported, Drain: c.drain()}}
	total := 0.0
	for _, e := range c.Endpoints {
		base, _ := parseBaseURL(e.URL)
		weight, on := orDefault(e.Weight, 1), float64(len(e.keys()))
		for i, key := range e.APIKeys {
			if key == "" {
				continue
			}
			p.endpoints = append(p.endpoints, &Endpoint{
				URL: base.String(), Credential: credentialLabel(i, key), Weight: weight, MaxConcurrent: int64(e.MaxConcurrent),
				wire: newWire(base, key), reveals: newReveals(key),
			})
			p.keys = append(p.keys, key)
			p.shares = append(p.shares, float64(weight)/on)
			total += float64(weight) / on
		}
		if on == 0 {
			b.tellOff(addressID{name, base.String()})
			p.endpoints = append(p.endpoints, &Endpoint{URL: base.String(), Credential: "none", Weight: weight})
			p.keys = append(p.keys, "")
			p.shares = append(p.shares, 0)
		}
	}
	for i := range p.shares {
		p.shares[i] /= max(total, 1e-9) // all zero when everything is off
	}
	return p
}

// model builds a model with its candidates in the order of their tiers.
func (b *builder) model(name string) *Model {
	c := b.config.Models[name]
	m := &Model{
		Name:        name,
		Timeouts:    c.Timeouts.withDefaults(),
		MaxAttempts: orDefault(c.MaxAttempts, 3),
		random:      b.random,
		clock:       b.known.clock,
		thrift:      keep(b.old.models, b.known.models, name, func() *thrift { return &thrift{budget: newBudget()} }),
	}
	m.policy, _ = newPolicy(c.Policy)
	m.Affinity, _ = AffinityByName(c.Affinity)
	for _, t := range c.Targets {
		m.candidates = append(m.candidates, b.candidates(m, t)...)
	}
	slices.SortStableFunc(m.candidates, func(a, b *Candidate) int { return a.Tier - b.Tier })
	for i, c := range m.candidates {
		m.index(i, c)
	}
	for _, name := range slices.Sorted(maps.Keys(b.pools)) {
		m.known = append(m.known, b.pools[name].provider)
	}
	return m
}

// candidates builds the candidates of a target. Its weight is shared among its
// endpoints, so that another key does not draw traffic from other targets.
func (b *builder) candidates(m *Model, t TargetConfig) []*Candidate {
	p := b.pools[t.Provider]
	candidates := make([]*Candidate, len(p.endpoints))
	for i, e := range p.endpoints {
		c := &Candidate{
			Provider: p.provider,
			Endpoint: e,
			Model:    orDefault(t.Model, m.Name),
			Tier:     orDefault(t.Tier, 1),
			Weight:   orDefault(t.Weight, 1),
			slowest:  max(m.Timeouts.FirstToken, m.Timeouts.Answer) + m.Timeouts.Connect,
			proven:   min(m.Timeouts.Idle+provenAfter, m.Timeouts.Total),
			clock:    b.known.clock,
		}
		const unit = 1 << 32 // shares are whole numbers: their sums must not depend on the order
		c.share = max(1, uint64(float64(c.Weight)*p.shares[i]*unit))
		c.weight = float64(c.share) / unit
		id := laneID{accountID{addressID{p.provider.Name, e.URL}, fingerprintOf(p.keys[i])}, c.Model}
		c.seed = id.seed()
		if !e.Off() {
			c.lane = b.lane(id, c)
		}
		if _, ok := b.built[id]; !ok {
			b.built[id] = c
		}
		candidates[i] = c
	}
	return candidates
}

// lane returns what is known of a candidate's endpoint and model, which it shares
// with every other candidate that asks the same.
func (b *builder) lane(id laneID, c *Candidate) *lane {
	clock, monitor := b.known.clock, b.options.Monitor
	a := keep(b.old.addresses, b.known.addresses, id.addressID, func() *address {
		a := &address{bits: make(map[string]uint64)}
		a.label.Store(&c.Endpoint.URL)
		a.breaker = newBreaker(clock, rule{a.tripsWide, breakerCredit}, monitor.of(subject{subjectAddress, c.Provider.Name, ""}, &a.label))
		return a
	})
	of := keep(b.old.accounts, b.known.accounts, id.accountID, func() *account { return new(account) })
	l := keep(b.old.lanes, b.known.lanes, id, func() *lane {
		l := &lane{address: a, account: of, model: a.bitOf(id.model)}
		l.breaker = newBreaker(clock, rule{tripsOnFailures, breakerCredit}, monitor.of(subject{subjectAnswers, c.Provider.Name, c.Model}, &l.label))
		l.streams = newBreaker(clock, rule{tripsOnBreaks, breakCredit}, monitor.of(subject{subjectStreams, c.Provider.Name, c.Model}, &l.label))
		l.tell = monitor.of(subject{subjectRest, c.Provider.Name, c.Model}, &l.label)
		return l
	})
	label := c.Endpoint.String() // a credential's place in api_keys may have changed
	l.label.Store(&label)
	return l
}

// seed is a hash of the identity, the same on every replica.
func (id laneID) seed() uint64 {
	return xxhash.Sum64String(strings.Join([]string{id.provider, id.url, string(id.key[:]), id.model}, "\x00"))
}

// index enters the candidate at position i into the model's sets.
func (m *Model) index(i int, c *Candidate) {
	bit := set(1) << i
	if !c.Endpoint.Off() {
		m.on |= bit
	}
	if i == 0 || m.candidates[i-1].Tier != c.Tier {
		m.tiers = append(m.tiers, 0)
	}
	m.tiers[len(m.tiers)-1] |= bit
	for k := range m.providers {
		if m.providers[k].provider == c.Provider {
			m.providers[k].candidates |= bit
			return
		}
	}
	m.providers = append(m.providers, provided{c.Provider, bit})
}
