package ratelimit

import (
	"errors"
	"fmt"
)

// The most that an option may say.
const (
	maxRequests    = 1_000_000_000
	maxTokens      = 1_000_000_000_000
	maxConcurrent  = 1_000_000
	maxReplicas    = 10_000
	maxCompletions = 1 << 31
)

const (
	// defaultMaxKeys bounds the keys and tenants held at once; at about 700 bytes each they take 70 MB.
	defaultMaxKeys = 100_000
	// defaultMaxReplicas is how many replicas there may be, as long as none has been counted.
	defaultMaxReplicas = 10
)

// Config is the `limits` section of config.yaml: what a key may spend unless it says otherwise, and how limits are kept.
type Config struct {
	// Default holds the limits of every key that has none of its own. A tenant has none unless an operator sets it.
	Default Limits `yaml:"default"`
	// MaxCompletionTokens bounds the answer that a request is taken to ask for, in tokens, when it is reserved against a
	// limit of tokens; 1 to 2^31.
	MaxCompletionTokens int64 `yaml:"max_completion_tokens"`
	// Shadow decides, counts and shows all limits of all keys and tenants, and enforces none.
	Shadow bool `yaml:"shadow"`
	// MaxKeys bounds the keys and tenants whose state is held at once; 0 means 100000. Idle ones are dropped first, which
	// loses nothing. It should exceed the number of keys that are busy in the same minute.
	MaxKeys int `yaml:"max_keys"`
	// MaxReplicas is how many replicas share a limit while Redis, where they are counted, has not been reached since the
	// start: each then grants its share of so many; 0 means 10.
	MaxReplicas int `yaml:"max_replicas"`
}

// Limits are what a key, or all keys of a tenant together, may use. In an Account, 0 is no limit of one's own: a key has
// the default then, a tenant no limit. In the default, it is no limit.
type Limits struct {
	// RequestsPerMinute fills a bucket of Burst requests, evenly; at most 1e9.
	RequestsPerMinute int `yaml:"requests_per_minute"`
	// Burst is how many requests may come at once; 0 means RequestsPerMinute. What a bucket needs longer than 46 days to
	// fill is cut off.
	Burst int `yaml:"burst"`
	// TokensPerMinute bounds prompt and completion tokens together, and is their burst, too; at most 1e12.
	TokensPerMinute int `yaml:"tokens_per_minute"`
	// Concurrent is how many requests may be in progress at once; at most 1e6.
	Concurrent int `yaml:"concurrent"`
}

// DefaultConfig returns the defaults of the `limits` section: 600 requests per minute and key.
func DefaultConfig() Config {
	return Config{
		Default: Limits{RequestsPerMinute: 600}, MaxCompletionTokens: 65536,
		MaxKeys: defaultMaxKeys, MaxReplicas: defaultMaxReplicas,
	}
}

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	var errs []error
	for _, o := range [...]struct {
		name     string
		n, most  int
		whenZero string
	}{
		{"default.requests_per_minute", c.Default.RequestsPerMinute, maxRequests, "no limit"},
		{"default.burst", c.Default.Burst, maxRequests, "requests_per_minute"},
		{"default.tokens_per_minute", c.Default.TokensPerMinute, maxTokens, "no limit"},
		{"default.concurrent", c.Default.Concurrent, maxConcurrent, "no limit"},
		{"max_keys", c.MaxKeys, maxRequests, fmt.Sprint("the default of ", defaultMaxKeys)},
		{"max_replicas", c.MaxReplicas, maxReplicas, fmt.Sprint("the default of ", defaultMaxReplicas)},
	} {
		if o.n < 0 || o.n > o.most {
			errs = append(errs, fmt.Errorf("limits.%s: must be 0 (%s) to %d, got %d", o.name, o.whenZero, o.most, o.n))
		}
	}
	if c.Default.Burst > 0 && c.Default.RequestsPerMinute == 0 {
		errs = append(errs, fmt.Errorf("limits.default.burst: %d is of no use without limits.default.requests_per_minute: set that, too", c.Default.Burst))
	}
	if n := c.MaxCompletionTokens; n < 1 || n > maxCompletions {
		errs = append(errs, fmt.Errorf("limits.max_completion_tokens: must be 1 to %d, got %d", maxCompletions, n))
	}
	return errors.Join(errs...)
}
