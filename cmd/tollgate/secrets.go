package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"tollgate/keys"
	"tollgate/telemetry"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newSecret is a secret made here, and what the gateway is told of it. So the call that issues a key can be
// made again where its answer was lost: it is the same key both times.
type newSecret struct {
	secret telemetry.Secret
	sha256 string
	last4  string
}

func mintSecret() newSecret { return toldOf(keys.NewSecret()) }

// toldOf is the secret with what the gateway is told of it.
func toldOf(secret telemetry.Secret) newSecret {
	text := secret.Reveal()
	sum := sha256.Sum256([]byte(text))
	return newSecret{secret: secret, sha256: hex.EncodeToString(sum[:]), last4: text[max(0, len(text)-4):]}
}

// The form of a secret that a key can be presented by: others would be refused before anybody looks for their key.
const (
	minSecret      = 16
	maxSecret      = 256
	tollgateSecret = 41
)

// readSecret reads a secret that exists already from standard input. Its errors quote none of it.
func readSecret(stdin io.Reader) (newSecret, error) {
	raw, err := io.ReadAll(io.LimitReader(stdin, maxSecret+3))
	if err != nil {
		return newSecret{}, fmt.Errorf("--secret-stdin: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	visible := !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
	switch {
	case len(text) < minSecret || len(text) > maxSecret || !visible:
		return newSecret{}, fmt.Errorf("--secret-stdin: must be one line of %d to %d visible ASCII characters without spaces: "+
			"no client could present anything else", minSecret, maxSecret)
	case strings.HasPrefix(text, "tg_") && len(text) != tollgateSecret:
		return newSecret{}, fmt.Errorf("--secret-stdin: a secret that begins with tg_ has %d characters; this one has %d", tollgateSecret, len(text))
	}
	return toldOf(telemetry.Secret(text)), nil
}

// secretForm is a whole secret, or nearly one, wherever it stands.
var secretForm = regexp.MustCompile(`tg_[0-9A-Za-z]{20,}`)

// secretPart is what may be a secret in an error, which can do without it.
var secretPart = regexp.MustCompile(`\btg_[0-9A-Za-z]{6,}|tg_[0-9A-Za-z]{20,}`)

// isSecret reports whether a text that may be anything, a name such as stg_backend included, holds the
// secret of a key. holdsSecret is for texts that are to be an id, and more suspicious.
func isSecret(text string) bool { return secretForm.MatchString(text) }

// withoutSecrets is the text with what may be a secret left out, parts of one included.
func withoutSecrets(text string) string { return secretPart.ReplaceAllString(text, "[redacted]") }

// refuseSecrets refuses a command line that holds a secret, before anything of it is sent or printed. Who
// can list the processes of this machine may have seen it.
func refuseSecrets(cmd *cobra.Command) error {
	const stern = "this is a key's secret, which others on this machine can see in a command line: " +
		"revoke that key, and name keys by their ids, as tollgate keys list shows them"
	var found error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if isSecret(f.Value.String()) {
			found = &usageError{errors.New("--" + f.Name + ": " + stern)}
		}
	})
	for _, arg := range cmd.Flags().Args() {
		if isSecret(arg) {
			found = &usageError{errors.New(stern)}
		}
	}
	return found
}
