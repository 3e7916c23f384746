package admin

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"tollgate/keys"
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
	// Tokens are more of them, each under the name that the audit gives as the author of what was changed with it:
	// 1 to 32 of a-z, 0-9, ".", "_" and "-". The name of Token is admin; tollgate is the gateway itself.
	Tokens map[string]telemetry.Secret `yaml:"tokens"`
}

// DefaultConfig returns the defaults of the `admin` section: loopback only, and a token of its own.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:8081", Tokens: map[string]telemetry.Secret{}}
}

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("admin.listen: must be host:port such as \"127.0.0.1:8081\", got %q", c.Listen))
	}
	if c.Token != "" {
		errs = append(errs, tokenProblems("admin.token", c.Token)...)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		errs = append(errs, c.namedProblems(name)...)
	}
	return errors.Join(errs...)
}

func tokenProblems(option string, token telemetry.Secret) []error {
	var errs []error
	if n := len(token); n < minToken {
		errs = append(errs, fmt.Errorf("%s: must be at least %d characters, got %d", option, minToken, n))
	}
	if strings.ContainsFunc(token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, fmt.Errorf("%s: must be printable ASCII without spaces; does its file end with a line break?", option))
	}
	return errs
}

// namedProblems says what is wrong with one of c.Tokens.
func (c Config) namedProblems(name string) []error {
	if problem := operatorProblem(name); problem != "" {
		return []error{errors.New("admin.tokens: " + problem)}
	}
	option, token := "admin.tokens."+name, c.Tokens[name]
	errs := tokenProblems(option, token)
	if token != "" && token == c.Token {
		errs = append(errs, fmt.Errorf("%s: must not be admin.token, too: the audit could not tell them apart", option))
	}
	for _, other := range slices.Sorted(maps.Keys(c.Tokens)) {
		if other >= name {
			break
		}
		if token != "" && token == c.Tokens[other] {
			errs = append(errs, fmt.Errorf("%s: must not be admin.tokens.%s, too: the audit could not tell them apart", option, other))
		}
	}
	return errs
}

func operatorProblem(name string) string {
	const maxName = 32
	strange := strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != ""
	switch {
	case name == OwnName:
		return "the name " + OwnName + " is that of admin.token, or of the one in data_dir/admin-token: choose another"
	case name == keys.Gateway:
		return "the name " + keys.Gateway + " is that of the gateway itself, which repairs what a store has lost: choose another"
	case (name == "" || strange) && len(name) < minToken:
		return `a name must be 1 to 32 of a-z, 0-9, ".", "_" and "-", got ` + quoted(name)
	case len(name) > maxName, strange: // perhaps a token, in the place of its name
		return fmt.Sprintf(`a name must be 1 to 32 of a-z, 0-9, ".", "_" and "-", got %d characters`, len(name))
	}
	return ""
}
