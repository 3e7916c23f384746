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
	// CacheTTL is how long a replica believes what it knows of a key before it asks a shared store again. A change made
	// elsewhere is obeyed after so long where the store answers within 50 ms, and after three times as long where it takes
	// up to 150 ms; while it fails, outage_grace counts. 10ms to 1m. The embedded store needs no cache.
	CacheTTL time.Duration `yaml:"cache_ttl"`
	// CacheSize is how many keys a replica remembers at once, about 1 KiB each; as many again are remembered as unknown.
	CacheSize int `yaml:"cache_size"`
	// OutageGrace is how long a key that was seen goes on working while the shared store does not answer. Its expiry is
	// still obeyed. 0s to 24h.
	OutageGrace time.Duration `yaml:"outage_grace"`
}

// DefaultConfig returns the defaults of the `keys` section: no pepper, and changes obeyed within a second.
func DefaultConfig() Config {
	return Config{CacheTTL: time.Second, CacheSize: 100_000, OutageGrace: 15 * time.Minute}
}

// The ranges of the cache's options.
const (
	minCacheTTL    = 10 * time.Millisecond
	maxCacheTTL    = time.Minute
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
	if c.OutageGrace < 0 || c.OutageGrace > maxOutageGrace {
		bad("outage_grace: must be between 0s and %s, got %s", maxOutageGrace, c.OutageGrace)
	}
	return errors.Join(errs...)
}
