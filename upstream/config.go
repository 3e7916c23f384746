package upstream

import (
	"time"

	"tollgate/telemetry"
)

// Config is the part of config.yaml that says who serves which model. Its two
// maps stand at the top level of the file.
type Config struct {
	// Providers are the services that can be asked, by a name of the operator's choice.
	Providers map[string]ProviderConfig `yaml:"providers"`
	// Models are the names that clients may ask for, each with the targets that serve it.
	Models map[string]ModelConfig `yaml:"models"`
}

// ProviderConfig is one entry of `providers`.
type ProviderConfig struct {
	// Contract says what this provider takes: the name of a contract, or one with what the provider does differently.
	Contract ContractConfig `yaml:"contract"`
	// StreamUsage says whether stream_options.include_usage may be sent: inject (always ask for it), pass (only when the client did), never. The first two need a contract that takes stream_options; contract.stream_usage says so of one that does not document it. Empty: as the contract documents.
	StreamUsage string `yaml:"stream_usage"`
	// Unsupported says what becomes of a harmless tuning field (temperature, top_p, top_k, frequency_penalty, presence_penalty, seed) that the contract does not know: skip (this provider is not asked), drop (the field is left out, and named in x-tollgate-dropped). Empty: skip.
	Unsupported string `yaml:"unsupported"`
	// OnDisconnect says what becomes of an answer whose client has left: cancel (end it at once), or drain (read it to its end, within the two bounds below, so that the bill has the provider's own figures; for providers that charge for cancelled answers). Empty: cancel.
	OnDisconnect string `yaml:"on_disconnect"`
	// DrainTime is how long such an answer may go on. 0 means 30s.
	DrainTime time.Duration `yaml:"drain_time"`
	// DrainTokens is how many more tokens, by a rough count of its text, such a stream may bring. A plain answer comes all at once: drain_time and server.max_answer bound it. 0 means 8192.
	DrainTokens int `yaml:"drain_tokens"`
	// Endpoints are the addresses this provider is reached at.
	Endpoints []EndpointConfig `yaml:"endpoints"`
}

// The values of ProviderConfig.OnDisconnect.
const (
	onDisconnectCancel = "cancel"
	onDisconnectDrain  = "drain"
)

// drain returns the bounds of on_disconnect: drain, nil for cancel.
func (p ProviderConfig) drain() *Drain {
	if p.OnDisconnect != onDisconnectDrain {
		return nil
	}
	return &Drain{Time: orDefault(p.DrainTime, 30*time.Second), Tokens: int64(orDefault(p.DrainTokens, 8192))}
}

// EndpointConfig is one address of a provider, with the credentials it takes.
type EndpointConfig struct {
	// URL is the base address up to and without /chat/completions, for example https://api.example.com/v1. Plain http and private addresses are allowed; an international host name is given in its xn-- form.
	URL string `yaml:"url"`
	// APIKeys are the credentials used in turn. Empty ones are skipped; with none left the endpoint is off.
	APIKeys []telemetry.Secret `yaml:"api_keys"`
	// Weight is this endpoint's share of the provider's traffic, relative to the other endpoints. 0 means 1.
	Weight int `yaml:"weight"`
	// MaxConcurrent bounds the requests in progress at this endpoint with each of its keys; when it is reached others are asked, or none. 0: no bound.
	MaxConcurrent int `yaml:"max_concurrent"`
}

// ModelConfig is one entry of `models`.
type ModelConfig struct {
	// Targets are the providers that serve this model. Listing two of them declares their models equivalent.
	Targets []TargetConfig `yaml:"targets"`
	// Policy chooses among the candidates of a tier: p2c (of two at random, the one that is quicker and less busy for its weight), weighted (in turn, by weight) or least_pending (the least busy for its weight). Empty: p2c.
	Policy string `yaml:"policy"`
	// Affinity sends what belongs together to the same candidate while it can take it, so that the provider's prompt cache stays warm: prefix (the same tenant, model, system prompt and first user message), key (the same key), or none. Empty: none.
	Affinity string `yaml:"affinity"`
	// MaxAttempts bounds how many candidates one request may try, the first one included. 0 means 3.
	MaxAttempts int `yaml:"max_attempts"`
	// Timeouts bound the parts of one request.
	Timeouts Timeouts `yaml:"timeouts"`
}

// TargetConfig says that a provider serves a model, and under which name.
type TargetConfig struct {
	// Provider is a name from `providers`.
	Provider string `yaml:"provider"`
	// Model is the provider's own name for the model. Empty: the public name.
	Model string `yaml:"model"`
	// Weight is this target's share of the traffic inside its tier, however many endpoints and keys it has: with the policy weighted exactly, with the others how much busier it may be than one of weight 1. 0 means 1.
	Weight int `yaml:"weight"`
	// Tier orders the targets: a higher one is asked only when no lower one can be. 0 means 1.
	Tier int `yaml:"tier"`
}

// Timeouts bound the parts of one request. Zero means the default.
type Timeouts struct {
	// Connect bounds dialling and the TLS handshake together, per attempt. Default 3s.
	Connect time.Duration `yaml:"connect"`
	// FirstToken bounds a streamed attempt from the request sent to the first content event; its expiry fails over. Default 60s.
	FirstToken time.Duration `yaml:"first_token"`
	// Answer bounds a plain attempt from the request sent to the complete answer; its expiry fails over. Default 120s.
	Answer time.Duration `yaml:"answer"`
	// Idle bounds the silence between two events of a stream. Default 45s.
	Idle time.Duration `yaml:"idle"`
	// Total bounds the whole request, all attempts included. Default 15m.
	Total time.Duration `yaml:"total"`
}

// DefaultConfig returns a configuration without providers and models: neither
// can be guessed, and a default entry could not be removed by the file.
func DefaultConfig() Config {
	return Config{}
}

// withDefaults returns t with every zero replaced by its default.
func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Connect:    orDefault(t.Connect, 3*time.Second),
		FirstToken: orDefault(t.FirstToken, 60*time.Second),
		Answer:     orDefault(t.Answer, 120*time.Second),
		Idle:       orDefault(t.Idle, 45*time.Second),
		Total:      orDefault(t.Total, 15*time.Minute),
	}
}

// orDefault returns v, or d when v is the zero value.
func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}
