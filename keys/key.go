package keys

import (
	"net/netip"
	"slices"
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
	// Last4 are the last four characters of the present secret, for a person to recognise it by.
	Last4 string
	// Models lists what the key may use, exact names or "prefix*"; none means every model.
	Models []string
	// CIDRs lists where requests with the key may come from; none means anywhere.
	CIDRs []netip.Prefix
	// Limits are the key's own.
	Limits
	// Budget is what the key may spend; the zero Budget bounds nothing.
	Budget Budget
	// Disabled keys are refused until they are enabled again.
	Disabled bool
	// CreatedAt is when the key was issued, in UTC.
	CreatedAt time.Time
	// UpdatedAt is when it was last changed, however; zero means never.
	UpdatedAt time.Time
	// RotatedAt is when its present secret took over; zero means that it is the first.
	RotatedAt time.Time
	// PreviousUntil is when the last secret that a rotation replaced ends; zero means that none was left in grace.
	PreviousUntil time.Time
	// ExpiresAt is the first moment at which the key is refused; zero means never.
	ExpiresAt time.Time
	// RevokedAt is when the key was revoked; zero means it was not.
	RevokedAt time.Time
	// Severed says that answers in progress end as well, at their next event: it was revoked at once.
	Severed bool
	// DeletedAt is when the key was deleted; zero means it was not. What remains of it is there to be told to replicas,
	// and no operator and no client sees it.
	DeletedAt time.Time
	// Version is the store's version as of the key's last change: of two states of one key the higher one is the later.
	Version uint64
}

// Limits are what a key, or all keys of a tenant together, may use. Zero is no limit of one's own:
// for a key the configured default then holds.
type Limits struct {
	// RequestsPerMinute is a bucket of Burst requests, refilled evenly; at most 1e9.
	RequestsPerMinute int
	// Burst is how many requests may come at once; 0 means RequestsPerMinute.
	Burst int
	// TokensPerMinute bounds prompt and completion tokens together; at most 1e12.
	TokensPerMinute int
	// Concurrent is how many requests may be in progress at once; at most 1e6.
	Concurrent int
	// Shadow decides and counts these limits, and enforces none of them; nor those that a key has by default.
	Shadow bool
}

// Budget is an amount of money in a span of calendar time, in UTC.
type Budget struct {
	// NanoUSD is the amount in 1e-9 US dollars; 0 means no budget.
	NanoUSD int64
	// Per is the span; empty where there is no budget.
	Per Period
}

// Period is how often a budget begins anew.
type Period string

// The periods of a budget.
const (
	PerDay   Period = "day"
	PerMonth Period = "month"
	InTotal  Period = "total"
)

// State is where a key stands in its life.
type State string

// The states of a key. Revocation outlasts all else: a revoked key stays revoked.
const (
	StateActive   State = "active"
	StateDisabled State = "disabled"
	StateExpired  State = "expired"
	StateRevoked  State = "revoked"
)

// State tells where the key stands at the given moment.
func (k *Key) State(now time.Time) State {
	switch {
	case !k.RevokedAt.IsZero(), !k.DeletedAt.IsZero():
		return StateRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StateExpired
	case k.Disabled:
		return StateDisabled
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

// MayComeFrom tells whether requests with the key may come from this client address. An
// IPv4 address is the same in its IPv6 form; one with a zone is in no prefix.
func (k *Key) MayComeFrom(client netip.Addr) bool {
	if len(k.CIDRs) == 0 {
		return true
	}
	client = client.Unmap()
	return slices.ContainsFunc(k.CIDRs, func(p netip.Prefix) bool { return p.Contains(client) })
}
