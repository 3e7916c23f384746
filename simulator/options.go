package simulator

import (
	"slices"
	"time"
)

// Provider names one of the three providers; it is also the first element of
// its path: /starmagic/v1/chat/completions.
type Provider string

// The providers that the simulator plays.
const (
	StarMagic Provider = "starmagic"
	TheTurbo  Provider = "theturbo"
	Evolink   Provider = "evolink"
)

// Providers returns the three providers, in the order of this package's constants.
func Providers() []Provider { return []Provider{StarMagic, TheTurbo, Evolink} }

// Models returns the model names that the provider's page documents, in its
// order; none for a name that is not one of Providers.
func (p Provider) Models() []string {
	if c := contractOf(p, Deviations{}); c != nil {
		return slices.Clone(c.models)
	}
	return nil
}

// MediaTokens is how many prompt tokens one image, audio or video part counts.
const MediaTokens = 258

// Options says what New builds. The zero value works.
type Options struct {
	// Seed changes every pseudo-random text.
	Seed uint64
	// Behaviour is how every provider answers that Providers does not list.
	Behaviour Behaviour
	// Providers gives single providers a behaviour of their own, which replaces Behaviour whole.
	Providers map[Provider]Behaviour
	// MaxBody is the largest request body in bytes, 413 beyond it; 32 MiB when 0.
	MaxBody int64
	// TruthEntries is how many requests the truth log remembers, the oldest are forgotten first; 4096 when 0.
	TruthEntries int
	// TruthBytes is how much of a request's body, and of each answered text, an Entry keeps; 16 KiB when 0.
	TruthBytes int
	// Now is the clock behind `created` and the truth log's times; time.Now when nil.
	Now func() time.Time
}

// Behaviour is how a provider answers: how fast, how much, for whom. It can be
// changed while requests are in flight; they keep the behaviour they began with.
type Behaviour struct {
	// Keys are the API keys that are accepted; any key when empty.
	Keys []string
	// FirstToken is the time from the request to the first event of a stream. Its header is sent at once.
	FirstToken time.Duration
	// Gap is the time between a stream's tokens. A plain answer takes as long as the same stream would.
	Gap time.Duration
	// Tokens is the length of an answer's text in tokens when nothing cuts it short; 24 when 0, none when negative.
	// JSON and tool calls are as long as their schema makes them.
	Tokens int
	// ReasoningTokens are added to each choice's completion tokens by the providers whose page
	// documents them (StarMagic, Evolink), unless the request says reasoning_effort: none.
	ReasoningTokens int
	// CachedTokens is how many of the prompt's tokens are reported as cached, at most all of them.
	CachedTokens int
	// ChunkBytes is the size of a text token in bytes; one word when 0.
	ChunkBytes int
	// Text replaces the pseudo-random text. A request for JSON or for a tool call is still answered with one.
	Text string
	// Style is how the events of a stream are written; LF when empty or unknown.
	Style Style
	// Comments is how many comments (": PROCESSING" and an empty line, a write of their own) come before each
	// event of a stream, as from resellers.
	Comments int
	// Deviations are what the provider does otherwise than its page says.
	Deviations Deviations
}

func (o Options) withDefaults() Options {
	if o.MaxBody == 0 {
		o.MaxBody = 32 << 20
	}
	if o.TruthEntries <= 0 {
		o.TruthEntries = 4096
	}
	if o.TruthBytes <= 0 {
		o.TruthBytes = 16 << 10
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (b Behaviour) withDefaults() Behaviour {
	if b.Tokens == 0 {
		b.Tokens = 24
	}
	b.Tokens = max(b.Tokens, 0)
	b.Keys = slices.Clone(b.Keys)
	b.Deviations = b.Deviations.clone()
	return b
}
