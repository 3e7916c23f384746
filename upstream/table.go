package upstream

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Table is everything that can be asked, by public model name. It is safe for
// concurrent use and owns no goroutine: an unreachable Table is simply garbage.
type Table struct {
	models    map[string]*Model
	names     []string
	endpoints []*Candidate // one for each provider, endpoint and upstream model
}

// NewTable builds the table of a configuration, which it validates first. An
// endpoint without a credential is off, which is logged once. A nil log discards.
func NewTable(c Config, log *slog.Logger) (*Table, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newTable(c, log, rand.Uint64N), nil
}

// Model returns the model that clients call by this name. A model without a
// usable endpoint is there as well, and answers unavailable.
func (t *Table) Model(name string) (*Model, bool) {
	m, ok := t.models[name]
	return m, ok
}

// Names returns the public model names, sorted.
func (t *Table) Names() []string { return slices.Clone(t.names) }

// State is what an endpoint can do for the next request.
type State string

// The states of an endpoint.
const (
	StateReady    State = "ready"     // its breaker is closed
	StateOpen     State = "open"      // its breaker refuses
	StateHalfOpen State = "half_open" // its breaker admits a few probes
	StateOff      State = "off"       // it has no credential
)

// EndpointState is one line of the operators' view: one credential of one
// address, for one of the provider's models.
type EndpointState struct {
	Provider, URL, Credential string
	// Model is the provider's own name.
	Model string
	State State
	// ProbeIn is how long an open breaker still refuses; zero in every other state.
	ProbeIn time.Duration
}

// Endpoints returns the present state of everything that can be asked, sorted.
func (t *Table) Endpoints() []EndpointState {
	states := make([]EndpointState, len(t.endpoints))
	for i, c := range t.endpoints {
		states[i] = EndpointState{
			Provider:   c.Provider.Name,
			URL:        c.Endpoint.URL,
			Credential: c.Endpoint.Credential,
			Model:      c.Model,
			State:      c.State(),
		}
		if states[i].State == StateOpen {
			states[i].ProbeIn = c.breaker.probeIn()
		}
	}
	return states
}

// byIdentity orders candidates as operators read them.
func byIdentity(a, b *Candidate) int {
	for _, order := range [...]int{
		strings.Compare(a.Provider.Name, b.Provider.Name),
		strings.Compare(a.Model, b.Model),
		strings.Compare(a.Endpoint.URL, b.Endpoint.URL),
		strings.Compare(a.Endpoint.Credential, b.Endpoint.Credential),
	} {
		if order != 0 {
			return order
		}
	}
	return 0
}
