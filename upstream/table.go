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
	known     *known
}

// TableOptions are what a Table stands in; the zero value is a table of its own.
type TableOptions struct {
	// Log is told once of each endpoint that is off; nil: nobody is.
	Log *slog.Logger
	// Monitor is told when the state of an endpoint changes; nil: nobody is.
	Monitor *Monitor
	// Previous is the table that this one takes the place of: what it knows of endpoints that
	// stay is shared by both. Nil: none.
	Previous *Table
}

// NewTable builds the table of a configuration, which it validates first. An
// endpoint without a credential is off, which is logged once.
func NewTable(c Config, o TableOptions) (*Table, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return newTable(c, o, rand.Uint64N), nil
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
	StateReady       State = "ready"       // it may be asked
	StateOpen        State = "open"        // a breaker refuses
	StateHalfOpen    State = "half_open"   // a breaker admits a few probes
	StateCooling     State = "cooling"     // it asked to be left alone for a while
	StateQuarantined State = "quarantined" // its credential was refused
	StateFull        State = "full"        // max_concurrent is reached
	StateOff         State = "off"         // it has no credential
)

// EndpointState is one line of the operators' view: one credential of one
// address, for one of the provider's models.
type EndpointState struct {
	Provider, URL, Credential string
	// Model is the provider's own name.
	Model string
	State State
	// Why says in a few words why it is not ready, or why less is asked of it; empty: nothing is wrong.
	Why string
	// Pending is how many requests are in progress there.
	Pending int
	// FirstEvent is what a stream's first event takes at present, a weighted mean that
	// follows peaks at once; 0: not known.
	FirstEvent time.Duration
	// Answer is the same of plain answers.
	Answer time.Duration
	// LastError is the last outcome that was the provider's fault, such as "server_error"; empty: none was.
	LastError string
	// LastErrorAt is when that was.
	LastErrorAt time.Time
	// ProbeIn is how long it is still left alone; zero when it may be asked.
	ProbeIn time.Duration
}

// Endpoints returns the present state of everything that can be asked, sorted.
func (t *Table) Endpoints() []EndpointState {
	now := t.known.clock.now()
	states := make([]EndpointState, len(t.endpoints))
	for i, c := range t.endpoints {
		states[i] = c.view(now)
	}
	return states
}

func (c *Candidate) view(now instant) EndpointState {
	e := EndpointState{Provider: c.Provider.Name, URL: c.Endpoint.URL, Credential: c.Endpoint.Credential, Model: c.Model}
	e.State, e.Why, e.ProbeIn = c.standing(now)
	l := c.lane
	if l == nil {
		return e
	}
	e.Pending = int(l.pending.Load())
	e.FirstEvent, e.Answer = seconds(l.first.read(now)), seconds(l.answer.read(now))
	if last, at, ok := l.fault.read(); ok {
		e.LastError, e.LastErrorAt = last.String(), c.clock.wall(at)
	}
	return e
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

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
