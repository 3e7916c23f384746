package keys

import (
	"strings"
	"time"
)

// Key is what Tollgate knows about one tenant key, all but its secret. It is
// immutable once returned: one value serves every request that carries the key.
type Key struct {
	// ID is the public name of the key, "key_" and 12 base62 characters: safe in logs and records.
	ID string
	// Tenant is who pays.
	Tenant string
	// Name is the operator's label for the key.
	Name string
	// Last4 are the last four characters of the secret, for a person to recognise it by.
	Last4 string
	// Models lists what the key may use, exact names or "prefix*"; none means every model.
	Models []string
	// RequestsPerMinute is the key's own rate limit; 0 means the configured default.
	RequestsPerMinute int
	// CreatedAt is when the key was issued, in UTC.
	CreatedAt time.Time
	// ExpiresAt is the first moment at which the key is refused; zero means never.
	ExpiresAt time.Time
	// RevokedAt is when the key was revoked; zero means it was not.
	RevokedAt time.Time
}

// State is where a key stands in its life.
type State string

// The states of a key. Revocation outlasts expiry: a revoked key stays revoked.
const (
	StateActive  State = "active"
	StateRevoked State = "revoked"
	StateExpired State = "expired"
)

// State tells where the key stands at the given moment.
func (k *Key) State(now time.Time) State {
	switch {
	case !k.RevokedAt.IsZero():
		return StateRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StateExpired
	default:
		return StateActive
	}
}

// MayUse tells whether the key's allowlist admits the public model name. Names
// are compared byte for byte; a key without a list may use every model.
func (k *Key) MayUse(model string) bool {
	if len(k.Models) == 0 {
		return true
	}
	for _, allowed := range k.Models {
		if prefix, isPrefix := strings.CutSuffix(allowed, "*"); isPrefix {
			if strings.HasPrefix(model, prefix) {
				return true
			}
		} else if model == allowed {
			return true
		}
	}
	return false
}
