package ratelimit

import (
	"errors"
	"fmt"
)

// maxPerMinute keeps a bucket's arithmetic within the precision of a float64.
const maxPerMinute = 1_000_000_000

// defaultMaxKeys bounds the buckets held at once; at about 250 bytes each they take 25 MB.
const defaultMaxKeys = 100_000

// Config is the `limits` section of config.yaml: what a key may spend unless it says otherwise.
type Config struct {
	// Default holds the limits of every key that has none of its own. A tenant has none unless an operator sets it.
	Default Limits `yaml:"default"`
	// MaxKeys bounds the keys whose buckets are held at once, and as many tenants; 0 means 100000. Idle buckets are dropped first, which
	// loses nothing. It should exceed the number of keys that are busy in the same minute.
	MaxKeys int `yaml:"max_keys"`
}

// Limits are what one key may spend.
type Limits struct {
	// RequestsPerMinute is a bucket of so many requests, refilled evenly over a minute; 0 means no limit.
	RequestsPerMinute int `yaml:"requests_per_minute"`
}

// DefaultConfig returns the defaults of the `limits` section: 600 requests per minute and key.
func DefaultConfig() Config {
	return Config{Default: Limits{RequestsPerMinute: 600}, MaxKeys: defaultMaxKeys}
}

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	var errs []error
	if n := c.Default.RequestsPerMinute; n < 0 || n > maxPerMinute {
		errs = append(errs, fmt.Errorf("limits.default.requests_per_minute: must be 0 (no limit) to %d, got %d", maxPerMinute, n))
	}
	if c.MaxKeys < 0 {
		errs = append(errs, fmt.Errorf("limits.max_keys: must be 0 (the default of %d) or more, got %d", defaultMaxKeys, c.MaxKeys))
	}
	return errors.Join(errs...)
}
