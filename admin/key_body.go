package admin

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tollgate/keys"
)

func (k *NewKey) fields() []field {
	return []field{
		{"tenant", &k.Tenant, wantText},
		{"name", &k.Name, wantText},
		{"models", &k.Models, wantTexts},
		{"cidrs", &k.CIDRs, wantTexts},
		{"requests_per_minute", &k.RequestsPerMinute, wantNumber},
		{"burst", &k.Burst, wantNumber},
		{"tokens_per_minute", &k.TokensPerMinute, wantNumber},
		{"concurrent", &k.Concurrent, wantNumber},
		{"shadow", &k.Shadow, wantBool},
		{"budget_usd", &k.BudgetUSD, wantText},
		{"budget_period", &k.BudgetPeriod, wantText},
		{"expires", &k.Expires, wantText},
		{"disabled", &k.Disabled, wantBool},
		{"secret_sha256", &k.SHA256, wantText},
		{"last4", &k.Last4, wantText},
		{"minted", &k.Minted, wantBool},
	}
}

// spec is the key asked for. What has a form of its own is read here; keys judges the rest.
func (k *NewKey) spec(now time.Time) (keys.Spec, error) {
	cidrs, badCIDRs := readPrefixes(k.CIDRs)
	expires, badExpires := readExpiry(k.Expires, now)
	return keys.Spec{
		Tenant: k.Tenant, Name: k.Name, Models: k.Models, CIDRs: cidrs,
		Limits: keys.Limits{
			RequestsPerMinute: k.RequestsPerMinute, Burst: k.Burst, TokensPerMinute: k.TokensPerMinute, Concurrent: k.Concurrent, Shadow: k.Shadow,
		},
		Budget:    keys.Budget{NanoUSD: readUSD(k.BudgetUSD), Per: keys.Period(k.BudgetPeriod)},
		ExpiresAt: expires, Disabled: k.Disabled,
	}, allBad(badCIDRs, badExpires)
}

// keyChange is the body of a PATCH: a tenant may be repeated in it, but not changed.
type keyChange struct {
	KeyPatch
	tenant *string
}

func (c *keyChange) fields() []field {
	return []field{
		{"name", &c.Name, wantText},
		{"models", &c.Models, wantTexts},
		{"cidrs", &c.CIDRs, wantTexts},
		{"requests_per_minute", &c.RequestsPerMinute, wantNumber},
		{"burst", &c.Burst, wantNumber},
		{"tokens_per_minute", &c.TokensPerMinute, wantNumber},
		{"concurrent", &c.Concurrent, wantNumber},
		{"shadow", &c.Shadow, wantBool},
		{"budget_usd", &c.BudgetUSD, wantText},
		{"budget_period", &c.BudgetPeriod, wantText},
		{"expires", &c.Expires, wantText},
		{"disabled", &c.Disabled, wantBool},
		{"tenant", &c.tenant, wantText},
	}
}

// change is what the patch makes of a spec.
func (c *keyChange) change(now time.Time) (func(*keys.Spec), error) {
	var cidrs []netip.Prefix
	var expires time.Time
	var badCIDRs, badExpires error
	if c.CIDRs != nil {
		cidrs, badCIDRs = readPrefixes(*c.CIDRs)
	}
	if c.Expires != nil {
		expires, badExpires = readExpiry(*c.Expires, now)
	}
	return func(s *keys.Spec) {
		set(&s.Tenant, c.tenant)
		set(&s.Name, c.Name)
		set(&s.Models, c.Models)
		if c.CIDRs != nil {
			s.CIDRs = cidrs
		}
		c.limits().apply(&s.Limits, &s.Budget)
		if c.Expires != nil {
			s.ExpiresAt = expires
		}
		set(&s.Disabled, c.Disabled)
	}, allBad(badCIDRs, badExpires)
}

// limits are those of the patch, which a tenant has as well.
func (p *KeyPatch) limits() *TenantPatch {
	return &TenantPatch{
		RequestsPerMinute: p.RequestsPerMinute, Burst: p.Burst, TokensPerMinute: p.TokensPerMinute, Concurrent: p.Concurrent,
		Shadow: p.Shadow, BudgetUSD: p.BudgetUSD, BudgetPeriod: p.BudgetPeriod,
	}
}

// set changes what was given.
func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func readPrefixes(texts []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &keys.FieldError{Field: "cidrs", Problem: "each must be a prefix such as 203.0.113.0/24 or 2001:db8::/32, got " + quoted(text)}
		}
		prefixes[i] = prefix
	}
	return prefixes, nil
}

// readExpiry reads a moment or a duration from now; nothing is the zero time, which is never.
func readExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	// It takes more than RFC 3339 has: an hour of one digit, and a comma.
	lax := err == nil && (text[len("2006-01-02T0")] == ':' || strings.Contains(text, ","))
	if err != nil || lax {
		var life time.Duration
		life, err = time.ParseDuration(text)
		at = now.Add(life).Truncate(time.Millisecond)
	}
	if err != nil {
		return time.Time{}, &keys.FieldError{
			Field:   "expires",
			Problem: `must be a duration such as "720h" or a moment such as "2027-01-31T00:00:00Z", got ` + quoted(text),
		}
	}
	if at.IsZero() {
		at = at.Add(1) // or the first moment of all would be taken for never
	}
	return at, nil
}

// readUSD reads an amount of dollars in 1e-9 of them; one that keys must refuse is negative.
func readUSD(text string) int64 {
	if text == "" {
		return 0
	}
	amount, ok := keys.ParseUSD(text)
	if !ok {
		return -1
	}
	return amount
}

// readSecret reads the hash of a secret that exists already, nil where none is given. Nothing is
// repeated in its errors: who mistakes one field for the other has given the secret.
func readSecret(sha256, last4 string) (*keys.ExistingSecret, error) {
	var bad badFields
	secret := keys.ExistingSecret{Last4: last4}
	raw, err := hex.DecodeString(sha256)
	if copy(secret.SHA256[:], raw); sha256 != "" && (err != nil || len(raw) != len(secret.SHA256)) {
		bad.add("secret_sha256", "secret_sha256: must be the SHA-256 of the secret, 64 hexadecimal digits")
	}
	if len(last4) > 4 {
		bad.add("last4", fmt.Sprintf("last4: must be at most the last four characters of the secret, got %d", len(last4)))
	} else if last4 != "" && sha256 == "" {
		bad.add("last4", "last4: must come with secret_sha256, the hash of the secret that it is the end of")
	}
	if err := bad.orNil(); err != nil || sha256 == "" {
		return nil, err
	}
	return &secret, nil
}

func readGrace(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	grace, err := time.ParseDuration(text)
	if err != nil {
		return 0, &keys.FieldError{Field: "grace", Problem: `must be a duration such as "24h", got ` + quoted(text)}
	}
	return grace, nil
}
