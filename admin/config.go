package admin

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"tollgate/telemetry"
)

// minToken is the shortest configured token taken: shorter ones can be guessed over the network.
const minToken = 16

// Config is the `admin` section of config.yaml: the operators' API.
type Config struct {
	// Listen is the operators' address, host:port. It should not be reachable from outside the cluster.
	Listen string `yaml:"listen"`
	// Token is the bearer token operators present, at least 16 characters. Empty: one is made and kept in
	// data_dir/admin-token (0600), where the command line finds it; it is never printed.
	Token telemetry.Secret `yaml:"token"`
}

// DefaultConfig returns the defaults of the `admin` section: loopback only, and a token of its own.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:8081"} }

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("admin.listen: must be host:port such as \"127.0.0.1:8081\", got %q", c.Listen))
	}
	if n := len(c.Token); n > 0 && n < minToken {
		errs = append(errs, fmt.Errorf("admin.token: must be empty or at least %d characters, got %d", minToken, n))
	}
	if strings.ContainsFunc(c.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, errors.New("admin.token: must be printable ASCII without spaces; does its file end with a line break?"))
	}
	return errors.Join(errs...)
}
