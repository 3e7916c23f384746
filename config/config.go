package config

import (
	"errors"
	"fmt"
	"net"

	"tollgate/admin"
	"tollgate/keys"
	"tollgate/proxy"
	"tollgate/ratelimit"
	"tollgate/store"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"
)

// Config is the whole of config.yaml: every package's own section, summed up once.
type Config struct {
	// Server is the public API: its address, its bounds and its time limits.
	Server proxy.Config `yaml:"server"`
	// Admin is the operators' API, on a listener of its own.
	Admin admin.Config `yaml:"admin"`
	// DataDir is the folder of everything of this replica that must survive a restart: usage records, and the keys where no store is shared. Only one process may use it at a time.
	DataDir string `yaml:"data_dir"`
	// Keys says how tenant secrets are stored.
	Keys keys.Config `yaml:"keys"`
	// Store is what the replicas of a fleet share. Empty: the embedded store, one replica.
	Store store.Config `yaml:"store"`
	// Upstream holds the top-level sections providers and models.
	Upstream upstream.Config `yaml:",inline"`
	// Usage holds the top-level sections usage, prices and costs.
	Usage usage.Config `yaml:",inline"`
	// Limits is what a key may spend unless it says otherwise.
	Limits ratelimit.Config `yaml:"limits"`
	// Telemetry is how the gateway speaks of itself.
	Telemetry telemetry.Config `yaml:"telemetry"`
}

// Default returns the configuration of an empty file. It serves no model,
// because neither providers nor models can be guessed.
func Default() Config {
	return Config{
		Server:    proxy.DefaultConfig(),
		Admin:     admin.DefaultConfig(),
		DataDir:   "./data",
		Keys:      keys.DefaultConfig(),
		Store:     store.DefaultConfig(),
		Upstream:  upstream.DefaultConfig(),
		Usage:     usage.DefaultConfig(),
		Limits:    ratelimit.DefaultConfig(),
		Telemetry: telemetry.DefaultConfig(),
	}
}

// Validate returns one joined error with a line for each bad option of every
// section, and for each place where two sections contradict each other.
func (c Config) Validate() error {
	return errors.Join(
		c.Server.Validate(),
		c.Admin.Validate(),
		c.validateDataDir(),
		c.Keys.Validate(),
		c.Store.Validate(),
		c.Upstream.Validate(),
		c.Usage.Validate(),
		c.Limits.Validate(),
		c.Telemetry.Validate(),
		c.validateListeners(),
		c.validatePriced(),
	)
}

func (c Config) validateDataDir() error {
	if c.DataDir == "" {
		return errors.New("data_dir: must name a folder such as \"./data\"; without one no usage record would be safe")
	}
	return nil
}

// validateListeners keeps the operators' API off the public address. Port 0
// asks the system for a free port, so two of them never meet.
func (c Config) validateListeners() error {
	_, port, err := net.SplitHostPort(c.Server.Listen)
	if err != nil || port == "0" || c.Admin.Listen != c.Server.Listen {
		return nil
	}
	return fmt.Errorf("admin.listen: must differ from server.listen, both are %q", c.Admin.Listen)
}

// validatePriced refuses a price or a cost that can never apply: a misspelt
// name would leave the real model free of charge.
func (c Config) validatePriced() error {
	var errs []error
	for i, price := range c.Usage.Prices {
		if _, ok := c.Upstream.Models[price.Model]; !ok && price.Model != "" {
			errs = append(errs, fmt.Errorf("prices[%d].model: models has no %q; a price applies to a public model name", i, price.Model))
		}
	}
	for i, cost := range c.Usage.Costs {
		if _, ok := c.Upstream.Providers[cost.Provider]; !ok && cost.Provider != "" {
			errs = append(errs, fmt.Errorf("costs[%d].provider: providers has no %q", i, cost.Provider))
		}
	}
	return errors.Join(errs...)
}
