package keys

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maxAudit is how many changes a store remembers, about 300 bytes each.
const maxAudit = 100_000

// Gateway is who did what no operator asked for: the gateway itself, such as a revocation that was lost and made again.
const Gateway = "tollgate"

// Action is what an operator did.
type Action string

// The actions of the audit.
const (
	ActionCreate       Action = "key.create"
	ActionImport       Action = "key.import"
	ActionUpdate       Action = "key.update"
	ActionRotate       Action = "key.rotate"
	ActionRevoke       Action = "key.revoke"
	ActionDelete       Action = "key.delete"
	ActionSetTenant    Action = "tenant.set"
	ActionDeleteTenant Action = "tenant.delete"
)

// Entry is one change: who, what, when. It holds nothing secret.
type Entry struct {
	// Version is the store's version that the change made: unique, and higher than all before.
	Version uint64
	// At is when it was made, by the clock of the replica that made it, in UTC.
	At time.Time
	// By is the name of the operator's token, or Gateway.
	By string
	// Action is what was done.
	Action Action
	// KeyID is the key that was changed; empty where it was a tenant.
	KeyID string
	// Tenant is whose key it is, or the tenant itself.
	Tenant string
	// Changes are the fields that were changed, in the order of the admin API.
	Changes []FieldChange
}

// FieldChange is one field as it was and as it is; either is empty where there was nothing.
type FieldChange struct {
	Field, From, To string
}

// field is one field of a key or tenant in words.
type field struct{ name, text string }

// differences are the fields of two states that are not the same; both have the same fields in the same order.
func differences(before, after []field) []FieldChange {
	var changes []FieldChange
	for i := range after {
		if from := before[i].text; from != after[i].text {
			changes = append(changes, FieldChange{Field: after[i].name, From: from, To: after[i].text})
		}
	}
	return changes
}

// fields are all that an operator may see of a key, but what never changes.
func (k *Key) fields() []field {
	all := []field{
		{"name", k.Name},
		{"last4", k.Last4},
		{"models", strings.Join(k.Models, ",")},
		{"cidrs", joinPrefixes(k.CIDRs)},
	}
	all = append(all, limitFields(k.Limits, k.Budget)...)
	return append(all,
		field{"disabled", said(k.Disabled)},
		field{"rotated_at", moment(k.RotatedAt)},
		field{"previous_until", moment(k.PreviousUntil)},
		field{"expires_at", moment(k.ExpiresAt)},
		field{"revoked_at", moment(k.RevokedAt)},
		field{"severed", said(k.Severed)},
		field{"deleted_at", moment(k.DeletedAt)},
	)
}

func (t Tenant) fields() []field { return limitFields(t.Limits, t.Budget) }

func limitFields(l Limits, b Budget) []field {
	return []field{
		{"requests_per_minute", number(l.RequestsPerMinute)},
		{"burst", number(l.Burst)},
		{"tokens_per_minute", number(l.TokensPerMinute)},
		{"concurrent", number(l.Concurrent)},
		{"shadow", said(l.Shadow)},
		{"budget_usd", b.USD()},
		{"budget_period", string(b.Per)},
	}
}

func joinPrefixes(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func said(yes bool) string {
	if yes {
		return "true"
	}
	return ""
}
