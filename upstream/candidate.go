package upstream

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollgate/telemetry"
)

// Provider is a configured provider.
type Provider struct {
	// Name is the operator's name for it.
	Name string
	// Contract says what it takes.
	Contract *Contract
	// StreamUsage says whether it may be asked for usage on streams.
	StreamUsage StreamUsage
	// Unsupported says what becomes of harmless tuning fields that its contract does not know.
	Unsupported Unsupported
	// Drain bounds how long an answer is read on whose client has left; nil: it is cancelled at once.
	Drain *Drain
}

// Drain bounds the reading of an answer that nobody waits for any more.
type Drain struct {
	// Time is how long it may go on.
	Time time.Duration
	// Tokens is how many more tokens it may bring, by a rough count.
	Tokens int64
}

// Endpoint is one address of a provider with one of its credentials.
type Endpoint struct {
	// URL is the base address, without /chat/completions.
	URL string
	// Credential tells the address's credentials apart and is safe to show: its
	// position in api_keys, and its last four characters when it is long enough.
	Credential string
	// Weight is the address's configured weight.
	Weight int
	// MaxConcurrent bounds the requests in progress with this credential; 0: nothing does.
	MaxConcurrent int64

	wire    wire // nil: off
	reveals func(text string) bool
}

// Off reports whether the endpoint has no credential, so that it is never asked.
func (e *Endpoint) Off() bool { return e.wire == nil }

// Reveals reports whether text holds the endpoint's credential, as it is or escaped
// for a URL: a provider may put anything into what it says, its caller's key too.
func (e *Endpoint) Reveals(text string) bool { return e.reveals != nil && e.reveals(text) }

// String returns the address and the credential's label.
func (e *Endpoint) String() string { return e.URL + " key " + e.Credential }

// wire returns what every request to an endpoint begins with: where it goes and
// its header, which the caller must not change. Both are made once. It is a
// function because the header holds the credential: package fmt finds its way
// into every other unexported field, but shows of a function only the address.
type wire func(stream bool) (*url.URL, http.Header)

// newReveals looks for a credential. Like wire it is a function, for the same reason.
func newReveals(key telemetry.Secret) func(text string) bool {
	forms := []string{key.Reveal(), url.QueryEscape(key.Reveal()), url.PathEscape(key.Reveal())}
	return func(text string) bool {
		return slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(text, form) })
	}
}

// newWire prepares the requests of a valid base address.
func newWire(base *url.URL, key telemetry.Secret) wire {
	header := func(accept string) http.Header {
		return http.Header{
			"Accept":          {accept},
			"Accept-Encoding": {"identity"},
			"Authorization":   {"Bearer " + key.Reveal()},
			"Content-Type":    {"application/json"},
			"User-Agent":      {"tollgate"},
		}
	}
	whole := chatCompletions(base)
	plain := header("application/json")
	// TheTurbo documents application/json as a must, also for streams.
	events := header("text/event-stream, application/json")
	return func(stream bool) (*url.URL, http.Header) {
		if stream {
			return whole, events
		}
		return whole, plain
	}
}

// chatCompletions returns the address below base that answers. (URL.JoinPath
// would make a relative one of a base without a path.)
func chatCompletions(base *url.URL) *url.URL {
	const path = "/chat/completions"
	u := *base
	u.Path += path
	if u.RawPath != "" {
		u.RawPath += path
	}
	return &u
}

// credentialLabel names the key at position i of api_keys. Four characters of a
// short secret would be too much of it.
func credentialLabel(i int, key telemetry.Secret) string {
	const longEnough, shown = 20, 4
	label := "#" + strconv.Itoa(i+1)
	if s := key.Reveal(); len(s) >= longEnough {
		label += " ..." + s[len(s)-shown:]
	}
	return label
}

// Candidate is one way to have a model's requests answered: a target through
// one of its provider's endpoints. It never changes.
type Candidate struct {
	Provider *Provider
	Endpoint *Endpoint
	// Model is the provider's own name for the model.
	Model string
	// Tier and Weight are the target's.
	Tier, Weight int

	share   uint64        // of the traffic inside the tier, by weight
	weight  float64       // the same
	seed    uint64        // tells candidates apart, and is the same on every replica
	slowest time.Duration // after which an attempt is decided at the latest
	proven  time.Duration // after which a stream that goes on is sound
	clock   clock
	lane    *lane // nil: off
}

// load is how busy the candidate would be with one more request, for its weight.
func (c *Candidate) load() float64 { return float64(c.lane.pending.Load()+1) / c.weight }

// State is what operators are shown. It changes at any moment.
func (c *Candidate) State() State {
	s, _, _ := c.standing(c.clock.now())
	return s
}
