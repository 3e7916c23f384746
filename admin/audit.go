package admin

import (
	"time"

	"tollgate/keys"
)

// Change is one line of the audit: who changed what, and when. It holds nothing secret.
type Change struct {
	// Version is unique, and higher than that of every change before.
	Version uint64    `json:"version"`
	At      time.Time `json:"at"`
	// By is the name of the token that was presented.
	By     string      `json:"by"`
	Action keys.Action `json:"action"`
	// KeyID is left out where a tenant was changed.
	KeyID string `json:"key_id,omitempty"`
	// Tenant is whose key it is, or the tenant that was changed.
	Tenant  string        `json:"tenant"`
	Changes []FieldChange `json:"changes"`
}

// FieldChange is one field as it was and as it is; either is empty where there was nothing.
type FieldChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// AuditPage is a part of the audit, the latest change first.
type AuditPage struct {
	Changes []Change `json:"changes"`
	// Next is what to ask for with before to get the changes made earlier; 0: there are none.
	Next uint64 `json:"next,omitempty"`
}
