package admin

import (
	"net/http"
	"strconv"
	"time"

	"tollgate/keys"
	"tollgate/telemetry"
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

// listChanges answers GET /admin/v1/audit.
func (s *Server) listChanges(r *http.Request) (answer, error) {
	query := r.URL.Query()
	limit, badLimit := readLimit(query.Get("limit"))
	before, badBefore := readVersion(query.Get("before"))
	if err := allBad(badLimit, badBefore); err != nil {
		return answer{}, err
	}
	entries, more, err := s.options.Keys.Audit(r.Context(), keys.AuditQuery{
		KeyID: query.Get("key"), Tenant: query.Get("tenant"), By: query.Get("by"), Before: before, Limit: limit,
	})
	if err != nil {
		return answer{}, err
	}
	page := AuditPage{Changes: make([]Change, len(entries))}
	for i, e := range entries {
		page.Changes[i] = changeView(e)
	}
	if more {
		page.Next = entries[len(entries)-1].Version
	}
	return answer{http.StatusOK, page}, nil
}

// logChange writes a line about a change that was made.
func (s *Server) logChange(e keys.Entry) {
	said := map[keys.Action]string{
		keys.ActionCreate: "key created", keys.ActionImport: "key imported", keys.ActionUpdate: "key changed", keys.ActionRotate: "key rotated",
		keys.ActionRevoke: "key revoked", keys.ActionDelete: "key deleted",
		keys.ActionSetTenant: "tenant limits set", keys.ActionDeleteTenant: "tenant limits deleted",
	}
	fields := []any{telemetry.FieldOperator, e.By}
	if e.KeyID != "" {
		fields = append(fields, telemetry.FieldKeyID, e.KeyID)
	}
	//nolint:sloglint // the messages are those above
	s.log.Info(said[e.Action], append(fields, telemetry.FieldTenant, e.Tenant)...)
}

func changeView(e keys.Entry) Change {
	view := Change{
		Version: e.Version, At: e.At, By: e.By, Action: e.Action, KeyID: e.KeyID, Tenant: e.Tenant,
		Changes: make([]FieldChange, len(e.Changes)),
	}
	for i, c := range e.Changes {
		view.Changes[i] = FieldChange(c)
	}
	return view
}

func readVersion(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil || version == 0 {
		return 0, &keys.FieldError{Field: "before", Problem: "must be the next of the page before, got " + quoted(text)}
	}
	return version, nil
}
