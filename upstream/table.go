package upstream

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Table is everything that can be asked, by public model name.
type Table struct{}

// NewTable builds the table of a configuration. Endpoints without a credential
// are off, with a warning. A nil log discards.
func NewTable(c Config, log *slog.Logger) (*Table, error) {
	return nil, errors.New("upstream: not built yet")
}

// Model returns the model that clients call by this name.
func (t *Table) Model(name string) (*Model, bool) { return nil, false }

// Names returns the public model names, sorted.
func (t *Table) Names() []string { return nil }

// Endpoints returns the present state of every endpoint, credential and upstream model.
func (t *Table) Endpoints() []EndpointState { return nil }

// State is what an endpoint can do for the next request.
type State string

// The states of an endpoint.
const (
	StateReady    State = "ready"
	StateOpen     State = "open"
	StateHalfOpen State = "half_open"
	StateOff      State = "off"
)

// EndpointState is one line of the operators' view of the upstreams.
type EndpointState struct {
	Provider, URL, Credential, Model string
	State                            State
}

// Model is a public model name with the candidates that serve it.
type Model struct {
	// Name is the public name.
	Name string
	// Timeouts are the model's limits, defaults filled in.
	Timeouts Timeouts
	// MaxAttempts bounds the candidates that one request may try.
	MaxAttempts int
}

// Route begins one request's walk through the candidates able to serve n. It
// returns an *UnsupportedError when no candidate's contract can.
func (m *Model) Route(n *Needs) (Route, error) { return Route{}, nil }

// Route is one request's walk through its candidates.
type Route struct{}

// Next chooses the next candidate and takes its breaker's permit. The caller
// must Report the attempt's outcome. It returns ErrExhausted when nothing is
// left to try after at least one attempt, *UnavailableError when nothing could
// be tried at all.
func (r *Route) Next() (*Attempt, error) { return nil, ErrExhausted }

// Provider is a configured provider.
type Provider struct {
	Name        string
	Contract    *Contract
	StreamUsage StreamUsage
}

// Endpoint is one address with one credential.
type Endpoint struct {
	// URL is the base address, without /chat/completions.
	URL string
	// Credential tells the endpoint's credentials apart and is safe to show.
	Credential string
	Weight     int
}

// Candidate is one way to have a model's request answered.
type Candidate struct {
	Provider *Provider
	Endpoint *Endpoint
	// Model is the provider's own name for the model.
	Model        string
	Tier, Weight int
}

// Attempt is a candidate chosen for one request, with its breaker's permit.
type Attempt struct {
	*Candidate
}

// Report tells the breaker how the attempt ended. Only the first call counts.
func (a *Attempt) Report(o Outcome) {}

// ErrExhausted says that every able candidate was tried, or as many as allowed.
var ErrExhausted = errors.New("upstream: no candidate is left to try")

// UnsupportedError says that no candidate's contract takes what a request needs.
type UnsupportedError struct {
	// Param is the request field that cannot be served.
	Param string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("upstream: no provider of this model takes %q", e.Param)
}

// UnavailableError says that no candidate can be tried now.
type UnavailableError struct {
	// RetryAfter is when the soonest candidate may be tried again, at least one second.
	RetryAfter time.Duration
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("upstream: no candidate of this model can be tried, retry after %s", e.RetryAfter)
}
