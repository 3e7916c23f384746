package keys

import (
	"fmt"

	"tollgate/telemetry"
)

// minPepper is the shortest pepper worth the name: 16 random characters cannot be guessed from a stolen store.
const minPepper = 16

// Config is the `keys` section of config.yaml: how tenant secrets are stored.
type Config struct {
	// Pepper, when set, makes stored digests HMAC-SHA256 under it instead of plain SHA-256, so that a stolen store
	// cannot be searched without it. At least 16 characters. Changing it makes every secret issued before it unknown.
	Pepper telemetry.Secret `yaml:"pepper"`
}

// DefaultConfig returns the defaults of the `keys` section: no pepper.
func DefaultConfig() Config { return Config{} }

// Validate returns one error for each bad option.
func (c Config) Validate() error {
	if n := len(c.Pepper); n > 0 && n < minPepper {
		return fmt.Errorf("keys.pepper: must be empty or at least %d characters, got %d", minPepper, n)
	}
	return nil
}
