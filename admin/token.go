package admin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tollgate/telemetry"
)

// TokenFile is the file inside the data folder that holds a token made by Tollgate.
const TokenFile = "admin-token"

// OwnName is the name of the operator who has admin.token, or the token made by Tollgate.
const OwnName = "admin"

// LoadTokens returns the tokens that operators present: admin.token, or the one in
// dataDir/admin-token, which it makes (0600, 256 random bits in base62) when there is none,
// and then those of admin.tokens by name. None is ever printed.
func LoadTokens(c Config, dataDir string) ([]NamedToken, error) {
	own, err := loadToken(c, dataDir)
	if err != nil {
		return nil, err
	}
	all := []NamedToken{{OwnName, own}}
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		if c.Tokens[name] == own {
			return nil, fmt.Errorf("admin.tokens.%s: must not be the token of %s, too: the audit could not tell them apart", name, OwnName)
		}
		all = append(all, NamedToken{name, c.Tokens[name]})
	}
	return all, nil
}

func loadToken(c Config, dataDir string) (telemetry.Secret, error) {
	if c.Token != "" {
		return c.Token, nil
	}
	token, err := ReadToken(dataDir)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := writeToken(dataDir, newToken()); err != nil {
		return "", fmt.Errorf("admin.token: cannot keep a new one: %w; make data_dir writable, or set admin.token", err)
	}
	return ReadToken(dataDir)
}

// ReadToken returns the token in dataDir/admin-token, for a command on the machine
// that serves. The error wraps fs.ErrNotExist where no gateway has made one.
func ReadToken(dataDir string) (telemetry.Secret, error) {
	path := filepath.Join(dataDir, TokenFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("admin.token: cannot read the one kept in data_dir: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if len(token) < minToken {
		return "", fmt.Errorf("admin.token: %s holds %d characters, a token has at least %d: delete the file, and serve makes a new one",
			path, len(token), minToken)
	}
	return telemetry.Secret(token), nil
}

func newToken() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails: without randomness the process is stopped
	return new(big.Int).SetBytes(random[:]).Text(62)
}

// writeToken puts the token into place whole: a crash leaves no empty file, and a
// token that another process has made meanwhile is left as it is.
func writeToken(dataDir, token string) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dataDir, TokenFile+".*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(token + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	err = os.Link(file.Name(), filepath.Join(dataDir, TokenFile))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
