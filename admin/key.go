package admin

import (
	"time"

	"tollgate/keys"
	"tollgate/telemetry"
)

// Key is a tenant key as the API shows it: everything but its secret.
type Key struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	// Last4 are the last four characters of the present secret; an imported one may show fewer.
	Last4 string `json:"last4"`
	// State is active, disabled, expired or revoked, at the moment of the answer.
	State keys.State `json:"state"`
	// Models are exact names or "prefix*"; none means every model.
	Models []string `json:"models"`
	// CIDRs are the networks that its requests may come from; none means any.
	CIDRs []string `json:"cidrs"`
	// RequestsPerMinute is 0 where the configured default holds.
	RequestsPerMinute int `json:"requests_per_minute"`
	// Burst is how many requests may come at once; 0 means RequestsPerMinute.
	Burst int `json:"burst"`
	// TokensPerMinute bounds prompt and completion tokens together; 0 is the configured default.
	TokensPerMinute int `json:"tokens_per_minute"`
	// Concurrent is how many requests may be in progress at once; 0 is the configured default.
	Concurrent int `json:"concurrent"`
	// Shadow limits are decided and counted, and not enforced; those that the key has by default are so, too.
	Shadow bool `json:"shadow"`
	// BudgetUSD is an amount of dollars such as "25" or "0.5", stored and not enforced yet; empty: no budget.
	BudgetUSD string `json:"budget_usd"`
	// BudgetPeriod is day, month or total; empty where there is no budget.
	BudgetPeriod string `json:"budget_period"`
	// Disabled keys are refused until they are enabled again.
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`
	// A moment that never was, or that is not to come, is left out: UpdatedAt of a key that was never changed,
	// RotatedAt of one that has its first secret, PreviousUntil where no former secret was left to work on,
	// ExpiresAt of one that never expires, RevokedAt of one that was not revoked.
	UpdatedAt     time.Time `json:"updated_at,omitzero"`
	RotatedAt     time.Time `json:"rotated_at,omitzero"`
	PreviousUntil time.Time `json:"previous_until,omitzero"`
	ExpiresAt     time.Time `json:"expires_at,omitzero"`
	RevokedAt     time.Time `json:"revoked_at,omitzero"`
	// Version grows with each change: of two answers about a key, the higher one is the later.
	Version uint64 `json:"version"`
	// Standing is where each limit in force stands; only of a key that was asked for alone, and nil elsewhere.
	Standing []Standing `json:"standing,omitzero"`
}

// KeyPage is a part of the list of keys, oldest first.
type KeyPage struct {
	Keys []Key `json:"keys"`
	// Next is what to ask for with after to get the keys that follow; empty: there are no more.
	Next string `json:"next,omitempty"`
}

// IssuedKey is a key with its new secret, which is never shown again. Secret is empty
// where the caller gave a secret's hash.
type IssuedKey struct {
	Key
	Secret telemetry.Secret `json:"secret"`
}

// RevealedKey is an IssuedKey that encodes with its secret in clear text.
type RevealedKey struct {
	ID     string `json:"id"`
	Secret string `json:"secret,omitempty"`
	Key
}

// Reveal returns the key in the form that shows the secret: for the one answer and
// the one command that issue it.
func (k IssuedKey) Reveal() RevealedKey {
	return RevealedKey{ID: k.ID, Secret: k.Secret.Reveal(), Key: k.Key}
}

// NewKey is what an operator asks for. What is left out is none, no limit of the key's own, or never.
type NewKey struct {
	Tenant            string   `json:"tenant"`
	Name              string   `json:"name"`
	Models            []string `json:"models,omitempty"`
	CIDRs             []string `json:"cidrs,omitempty"`
	RequestsPerMinute int      `json:"requests_per_minute,omitempty"`
	Burst             int      `json:"burst,omitempty"`
	TokensPerMinute   int      `json:"tokens_per_minute,omitempty"`
	Concurrent        int      `json:"concurrent,omitempty"`
	Shadow            bool     `json:"shadow,omitempty"`
	BudgetUSD         string   `json:"budget_usd,omitempty"`
	BudgetPeriod      string   `json:"budget_period,omitempty"`
	// Expires is a moment in RFC 3339 or a duration from now such as "720h"; empty: never.
	Expires  string `json:"expires,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
	// SHA256 imports a secret that exists already, by the 64 hexadecimal digits of its hash; empty: one is made.
	SHA256 string `json:"secret_sha256,omitempty"`
	// Last4 are the last characters of that secret, up to four, for a person to recognise it by.
	Last4 string `json:"last4,omitempty"`
	// Minted says that the caller made that secret just now, in Tollgate's own form (see keys.NewSecret): the audit then has
	// a key that was created, not imported. It must come with SHA256 and all of Last4.
	Minted bool `json:"minted,omitempty"`
}

// KeyPatch changes the fields of a key that it has; nil leaves one as it is. A list is
// changed as a whole, and must not point to a nil slice: that would be sent as null, which is refused.
type KeyPatch struct {
	Name              *string   `json:"name,omitempty"`
	Models            *[]string `json:"models,omitempty"`
	CIDRs             *[]string `json:"cidrs,omitempty"`
	RequestsPerMinute *int      `json:"requests_per_minute,omitempty"`
	Burst             *int      `json:"burst,omitempty"`
	TokensPerMinute   *int      `json:"tokens_per_minute,omitempty"`
	Concurrent        *int      `json:"concurrent,omitempty"`
	Shadow            *bool     `json:"shadow,omitempty"`
	BudgetUSD         *string   `json:"budget_usd,omitempty"`
	BudgetPeriod      *string   `json:"budget_period,omitempty"`
	// Expires is as in NewKey; "" means never.
	Expires  *string `json:"expires,omitempty"`
	Disabled *bool   `json:"disabled,omitempty"`
}

// Rotation gives a key another secret.
type Rotation struct {
	// Grace is how long the secrets it had go on working, a duration such as "24h"; empty: they end at once.
	Grace string `json:"grace,omitempty"`
	// SHA256 and Last4 are as in NewKey.
	SHA256 string `json:"secret_sha256,omitempty"`
	Last4  string `json:"last4,omitempty"`
}

// Revocation ends a key for good.
type Revocation struct {
	// Now ends its answers in progress as well, at their next event; else they come to their end.
	Now bool `json:"now,omitempty"`
}

// keyView is the key as the API shows it.
func keyView(k *keys.Key, now time.Time) Key {
	view := Key{
		ID: k.ID, Tenant: k.Tenant, Name: k.Name, Last4: k.Last4, State: k.State(now),
		Models: k.Models, CIDRs: make([]string, len(k.CIDRs)),
		RequestsPerMinute: k.RequestsPerMinute, Burst: k.Burst, TokensPerMinute: k.TokensPerMinute, Concurrent: k.Concurrent,
		Shadow: k.Shadow, BudgetUSD: k.Budget.USD(), BudgetPeriod: string(k.Budget.Per), Disabled: k.Disabled,
		CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt, RotatedAt: k.RotatedAt, PreviousUntil: k.PreviousUntil,
		ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, Version: k.Version,
	}
	if view.Models == nil {
		view.Models = []string{}
	}
	for i, prefix := range k.CIDRs {
		view.CIDRs[i] = prefix.String()
	}
	return view
}
