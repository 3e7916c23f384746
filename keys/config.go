package keys

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"tollgate/telemetry"
)

// minPepper is the shortest pepper worth the name: 16 random characters cannot be guessed from a stolen store.
const minPepper = 16

// Config is the `keys` section of config.yaml: how tenant secrets are stored.
type Config struct {
	// Pepper, when set, makes stored digests HMAC-SHA256 under it instead of plain SHA-256, so that a stolen store
	// cannot be searched without it. At least 16 characters. Changing it makes every secret issued before it unknown.
	Pepper telemetry.Secret `yaml:"pepper"`
	// CacheTTL is how often a key in use is looked up in the shared store, in the background: changes made elsewhere are
	// heard of within 250 ms without it, so it only mends what was changed there by hand. 10ms to 10m. The embedded store needs no cache.
	CacheTTL time.Duration `yaml:"cache_ttl"`
	// CacheSize is how many keys a replica remembers at once, about 1 KiB each; up to 32768 more are remembered as unknown.
	CacheSize int `yaml:"cache_size"`
	// FailedLookups is how many unknown keys a second are looked up in the shared store for one client address (of IPv6 a /64), with
	// a burst of four seconds' worth. Beyond it the replica answers from what it has heard, up to 700 ms later; no valid key is
	// ever refused. 1 to 10000.
	FailedLookups int `yaml:"failed_lookups"`
	// OutageGrace is how long a key that was seen goes on working while the shared store does not answer. Its expiry is
	// still obeyed. 0s to 24h.
	OutageGrace time.Duration `yaml:"outage_grace"`
}

// DefaultConfig returns the defaults of the `keys` section: no pepper, and a key in use is looked up every 30 seconds.
func DefaultConfig() Config {
	return Config{CacheTTL: 30 * time.Second, CacheSize: 100_000, FailedLookups: 5, OutageGrace: 15 * time.Minute}
}

// The ranges of the cache's options.
const (
	minCacheTTL    = 10 * time.Millisecond
	maxCacheTTL    = 10 * time.Minute
	maxLookups     = 10_000
	maxCacheSize   = 10_000_000
	maxOutageGrace = 24 * time.Hour
)

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("keys."+format, args...)) }
	if n := len(c.Pepper); n > 0 && n < minPepper {
		bad("pepper: must be empty or at least %d characters, got %d", minPepper, n)
	}
	if strings.ContainsFunc(c.Pepper.Reveal(), unicode.IsControl) {
		// Taken as it is, it would void every key on the day that somebody mends it.
		bad("pepper: must not hold control characters; does its file end with a line break?")
	}
	if c.CacheTTL < minCacheTTL || c.CacheTTL > maxCacheTTL {
		bad("cache_ttl: must be between %s and %s, got %s", minCacheTTL, maxCacheTTL, c.CacheTTL)
	}
	if c.CacheSize < 1 || c.CacheSize > maxCacheSize {
		bad("cache_size: must be between 1 and %d, got %d", maxCacheSize, c.CacheSize)
	}
	if c.FailedLookups < 1 || c.FailedLookups > maxLookups {
		bad("failed_lookups: must be between 1 and %d unknown keys a second, got %d", maxLookups, c.FailedLookups)
	}
	if c.OutageGrace < 0 || c.OutageGrace > maxOutageGrace {
		bad("outage_grace: must be between 0s and %s, got %s", maxOutageGrace, c.OutageGrace)
	}
	return errors.Join(errs...)
}
