package store

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"tollgate/telemetry"
)

// Config is the `store` section of config.yaml: what the replicas of a fleet share.
type Config struct {
	// Redis is the fleet's Redis. Without an address each replica keeps its keys in its own embedded store.
	Redis RedisConfig `yaml:"redis"`
}

// RedisConfig says where a fleet's Redis is and how to log in.
type RedisConfig struct {
	// Addresses are host:port: one for a single server, several for the nodes of a Cluster, or, with master_name, the Sentinels.
	Addresses []string `yaml:"addresses"`
	// Cluster says that a single address is a Cluster's; several addresses without master_name always are.
	Cluster bool `yaml:"cluster"`
	// MasterName is the name under which the Sentinels at addresses know the master.
	MasterName string `yaml:"master_name"`
	// SentinelUsername is the ACL user at the Sentinels; empty: the default user.
	SentinelUsername string `yaml:"sentinel_username"`
	// SentinelPassword is the password at the Sentinels; empty: none.
	SentinelPassword telemetry.Secret `yaml:"sentinel_password"`
	// Username is the ACL user; empty: the default user.
	Username string `yaml:"username"`
	// Password is the user's password; empty: none.
	Password telemetry.Secret `yaml:"password"`
	// DB is the number of the database; a Cluster has only 0.
	DB int `yaml:"db"`
	// TLS encrypts every connection, the Sentinels' too, and verifies the servers' certificates.
	TLS bool `yaml:"tls"`
	// TLSCA is a PEM file with the authorities to trust in place of the system's.
	TLSCA string `yaml:"tls_ca"`
}

// DefaultConfig returns the defaults of the `store` section: no Redis.
func DefaultConfig() Config { return Config{} }

// Shared reports whether the replicas share a Redis.
func (c Config) Shared() bool { return len(c.Redis.Addresses) > 0 }

// clustered reports whether the addresses are a Cluster's.
func (c RedisConfig) clustered() bool {
	return c.MasterName == "" && (c.Cluster || len(c.Addresses) > 1)
}

// maxDB bounds the database number; Redis has 16 unless it was told otherwise.
const maxDB = 1 << 20

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	r := c.Redis
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("store.redis."+format, args...)) }
	for i, address := range r.Addresses {
		switch host, port, err := net.SplitHostPort(address); {
		case strings.Contains(address, "@"), strings.Contains(address, "://"): // it is not shown: it may hold a password
			bad("addresses[%d]: must be host:port such as \"redis:6379\"; a URL or a login does not belong there: use username, password, db and tls", i)
		case err != nil, host == "", port == "":
			bad("addresses[%d]: must be host:port such as \"redis:6379\", got %q", i, address)
		}
	}
	if r.DB < 0 || r.DB > maxDB {
		bad("db: must be between 0 and %d, got %d", maxDB, r.DB)
	}
	if r.clustered() && r.DB != 0 {
		bad("db: must be 0 for a Cluster, which has no other, got %d", r.DB)
	}
	if r.Cluster && r.MasterName != "" {
		bad("cluster: a master_name says that the addresses are Sentinels, so they cannot be a Cluster's; drop one of the two")
	}
	if r.MasterName == "" && (r.SentinelUsername != "" || r.SentinelPassword != "") {
		bad("master_name: must be set where a Sentinel's login is")
	}
	if r.TLSCA != "" && !r.TLS {
		bad("tls: must be true where tls_ca is set")
	}
	// A password alone is no mistake: whoever runs the gateway may set its variable everywhere.
	if !c.Shared() && (r.Cluster || r.MasterName != "" || r.Username != "" || r.DB != 0 || r.TLS) {
		bad("addresses: must name a server where other options of store.redis are set")
	}
	return errors.Join(errs...)
}
