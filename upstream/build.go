package upstream

import (
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"tollgate/telemetry"
)

// builder turns a valid configuration into a Table.
type builder struct {
	config Config
	log    *slog.Logger
	random func(n uint64) uint64

	pools   map[string]pool
	slowest map[breakerKey]time.Duration
	built   map[breakerKey]*Candidate // the first candidate with this breaker
}

// pool is a provider with its endpoints.
type pool struct {
	provider  *Provider
	endpoints []*Endpoint
	shares    []float64 // of the provider's traffic, summing to 1 over the endpoints that are on
}

// breakerKey is what candidates of several models can have in common: when the
// upstream model fails for one of them it fails for all.
type breakerKey struct {
	endpoint *Endpoint
	model    string
}

func newTable(c Config, log *slog.Logger, random func(n uint64) uint64) *Table {
	b := &builder{
		config:  c,
		log:     log,
		random:  random,
		pools:   make(map[string]pool, len(c.Providers)),
		slowest: make(map[breakerKey]time.Duration),
		built:   make(map[breakerKey]*Candidate),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		b.pools[name] = b.pool(name, c.Providers[name])
	}
	t := &Table{models: make(map[string]*Model, len(c.Models)), names: slices.Sorted(maps.Keys(c.Models))}
	for _, name := range t.names {
		b.measure(name)
	}
	for _, name := range t.names {
		t.models[name] = b.model(name)
	}
	t.endpoints = slices.SortedFunc(maps.Values(b.built), byIdentity)
	return t
}

// pool builds a provider and its endpoints: one for each credential, one that
// is off for an address without any.
func (b *builder) pool(name string, c ProviderConfig) pool {
	contract, _ := ContractByName(c.Contract)
	usage := contract.StreamUsage
	if c.StreamUsage != "" {
		usage, _ = StreamUsageByName(c.StreamUsage)
	}
	p := pool{provider: &Provider{Name: name, Contract: contract, StreamUsage: usage, Drain: c.drain()}}
	total := 0.0
	for _, e := range c.Endpoints {
		base, _ := parseBaseURL(e.URL)
		weight, on := orDefault(e.Weight, 1), float64(len(e.keys()))
		for i, key := range e.APIKeys {
			if key == "" {
				continue
			}
			p.endpoints = append(p.endpoints, &Endpoint{
				URL: base.String(), Credential: credentialLabel(i, key), Weight: weight, wire: newWire(base, key), reveals: newReveals(key),
			})
			p.shares = append(p.shares, float64(weight)/on)
			total += float64(weight) / on
		}
		if on == 0 {
			b.log.Warn("endpoint is off: none of its api_keys is set", telemetry.FieldProvider, name, telemetry.FieldUpstream, base.String())
			p.endpoints = append(p.endpoints, &Endpoint{URL: base.String(), Credential: "none", Weight: weight})
			p.shares = append(p.shares, 0)
		}
	}
	for i := range p.shares {
		p.shares[i] /= max(total, 1e-9) // all zero when everything is off
	}
	return p
}

// measure notes how long an attempt of this model may take to fail, for the
// breakers that it shares with other models.
func (b *builder) measure(name string) {
	c := b.config.Models[name]
	limits := c.Timeouts.withDefaults()
	slowest := max(limits.FirstToken, limits.Answer) + limits.Connect
	for _, t := range c.Targets {
		for _, e := range b.pools[t.Provider].endpoints {
			key := breakerKey{e, orDefault(t.Model, name)}
			b.slowest[key] = max(b.slowest[key], slowest)
		}
	}
}

// model builds a model with its candidates in the order of their tiers.
func (b *builder) model(name string) *Model {
	c := b.config.Models[name]
	m := &Model{
		Name:        name,
		Timeouts:    c.Timeouts.withDefaults(),
		MaxAttempts: orDefault(c.MaxAttempts, 3),
		random:      b.random,
	}
	for _, t := range c.Targets {
		m.candidates = append(m.candidates, b.candidates(name, t)...)
	}
	slices.SortStableFunc(m.candidates, func(a, b *Candidate) int { return a.Tier - b.Tier })
	for i, c := range m.candidates {
		m.index(i, c)
	}
	return m
}

// candidates builds the candidates of a target. Its weight is shared among its
// endpoints, so that another key does not draw traffic from other targets.
func (b *builder) candidates(name string, t TargetConfig) []*Candidate {
	p := b.pools[t.Provider]
	candidates := make([]*Candidate, len(p.endpoints))
	for i, e := range p.endpoints {
		c := &Candidate{
			Provider: p.provider,
			Endpoint: e,
			Model:    orDefault(t.Model, name),
			Tier:     orDefault(t.Tier, 1),
			Weight:   orDefault(t.Weight, 1),
		}
		const unit = 1 << 32 // shares are whole numbers: their sums must not depend on the order
		c.share = max(1, uint64(float64(c.Weight)*p.shares[i]*unit))
		c.breaker = b.breakerOf(c)
		candidates[i] = c
	}
	return candidates
}

// breakerOf returns the breaker that the candidate shares with every other one
// that asks the same endpoint for the same model.
func (b *builder) breakerOf(c *Candidate) *breaker {
	key := breakerKey{c.Endpoint, c.Model}
	if first, ok := b.built[key]; ok {
		return first.breaker
	}
	b.built[key] = c
	return newBreaker(breakerOptions{
		slowest: b.slowest[key],
		jitter:  2*rand.Float64() - 1,
		log: b.log.With(telemetry.FieldProvider, c.Provider.Name, telemetry.FieldModel, c.Model,
			telemetry.FieldUpstream, c.Endpoint.String()),
	})
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
