package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// schemaVersion is the latest form in which records are written. A new field raises it:
// a binary that does not know the field must refuse the record rather than write
// it back without. Readers take every version up to their own.
const schemaVersion = 3

// document is a Record as it is stored. It holds nothing that would let a reader of the store in.
type document struct {
	Form int    `json:"v"`
	ID   string `json:"id"`
	// Digest and Scheme are the one secret of a record in form 1.
	Digest    string           `json:"digest,omitempty"`
	Scheme    string           `json:"scheme,omitempty"`
	Secrets   []secretDocument `json:"secrets,omitempty"`
	Last4     string           `json:"last4"`
	Tenant    string           `json:"tenant"`
	Name      string           `json:"name"`
	Models    []string         `json:"models,omitempty"`
	CIDRs     []netip.Prefix   `json:"cidrs,omitempty"`
	CreatedAt time.Time        `json:"created_at"`
	UpdatedAt time.Time        `json:"updated_at,omitzero"`
	RotatedAt time.Time        `json:"rotated_at,omitzero"`
	GraceEnd  time.Time        `json:"previous_until,omitzero"`
	ExpiresAt time.Time        `json:"expires_at,omitzero"`
	RevokedAt time.Time        `json:"revoked_at,omitzero"`
	DeletedAt time.Time        `json:"deleted_at,omitzero"`
	Severed   bool             `json:"severed,omitempty"`
	Disabled  bool             `json:"disabled,omitempty"`
	limitsDocument
}

type secretDocument struct {
	Digest string    `json:"digest"`
	Scheme string    `json:"scheme"`
	Until  time.Time `json:"until,omitzero"`
}

type limitsDocument struct {
	RequestsPerMinute int    `json:"requests_per_minute,omitempty"`
	Burst             int    `json:"burst,omitempty"`
	TokensPerMinute   int    `json:"tokens_per_minute,omitempty"`
	Concurrent        int    `json:"concurrent,omitempty"`
	Shadow            bool   `json:"shadow,omitempty"`
	BudgetNanoUSD     int64  `json:"budget_nano_usd,omitempty"`
	BudgetPer         Period `json:"budget_per,omitempty"`
}

// tenantDocument is a Tenant as it is stored.
type tenantDocument struct {
	Form      int       `json:"v"`
	Name      string    `json:"name"`
	UpdatedAt time.Time `json:"updated_at"`
	limitsDocument
}

// entryDocument is an Entry as it is stored.
type entryDocument struct {
	At      time.Time        `json:"at"`
	By      string           `json:"by"`
	Action  Action           `json:"action"`
	KeyID   string           `json:"key_id,omitempty"`
	Tenant  string           `json:"tenant"`
	Changes []changeDocument `json:"changes,omitempty"`
}

type changeDocument struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// encode is the stored form of a record, without its version, which the store gives.
func encode(r Record) ([]byte, error) {
	k := r.Key
	limits := encodeLimits(k.Limits, k.Budget)
	doc := document{
		Form: limits.form(), ID: k.ID, Last4: k.Last4, Tenant: k.Tenant, Name: k.Name, Models: k.Models, CIDRs: k.CIDRs,
		CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt, RotatedAt: k.RotatedAt, GraceEnd: k.PreviousUntil, ExpiresAt: k.ExpiresAt,
		RevokedAt: k.RevokedAt, DeletedAt: k.DeletedAt, Severed: k.Severed, Disabled: k.Disabled,
		limitsDocument: limits,
	}
	for _, s := range r.Secrets {
		doc.Secrets = append(doc.Secrets, secretDocument{Digest: s.Digest.text(), Scheme: s.Scheme, Until: s.Until})
	}
	return json.Marshal(doc)
}

func encodeTenant(t Tenant) ([]byte, error) {
	limits := encodeLimits(t.Limits, t.Budget)
	return json.Marshal(tenantDocument{Form: limits.form(), Name: t.Name, UpdatedAt: t.UpdatedAt, limitsDocument: limits})
}

// encodeEntry is the stored form of an entry, without its version.
func encodeEntry(e Entry) ([]byte, error) {
	doc := entryDocument{At: e.At, By: e.By, Action: e.Action, KeyID: e.KeyID, Tenant: e.Tenant}
	for _, c := range e.Changes {
		doc.Changes = append(doc.Changes, changeDocument(c))
	}
	return json.Marshal(doc)
}

func encodeLimits(l Limits, b Budget) limitsDocument {
	return limitsDocument{
		RequestsPerMinute: l.RequestsPerMinute, Burst: l.Burst, TokensPerMinute: l.TokensPerMinute, Concurrent: l.Concurrent,
		Shadow: l.Shadow, BudgetNanoUSD: b.NanoUSD, BudgetPer: b.Per,
	}
}

// form is the first that has all of the fields that are set. What has none of the latest ones can be read
// by replicas that do not know them, as there are while a fleet is upgraded.
func (d limitsDocument) form() int {
	if d.Shadow {
		return schemaVersion
	}
	return 2
}

func (d limitsDocument) limits() Limits {
	return Limits{
		RequestsPerMinute: d.RequestsPerMinute, Burst: d.Burst, TokensPerMinute: d.TokensPerMinute, Concurrent: d.Concurrent, Shadow: d.Shadow,
	}
}

func (d limitsDocument) budget() Budget { return Budget{NanoUSD: d.BudgetNanoUSD, Per: d.BudgetPer} }

// text is the digest as it is stored: base64url without padding.
func (d Digest) text() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// decodeAs reads the record that is stored under id, in its version.
func decodeAs(id string, raw []byte, version uint64) (Record, error) {
	record, err := decode(raw)
	if err == nil && record.Key.ID != id {
		return Record{}, errors.New("it is filed under another id")
	}
	if err == nil {
		record.Key.Version = version
	}
	return record, err
}

// decode reads a stored record. It refuses what this binary cannot write back whole.
func decode(raw []byte) (Record, error) {
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return Record{}, fmt.Errorf("not a key record: %w", err)
	}
	if err := checkForm(doc.Form); err != nil {
		return Record{}, err
	}
	if doc.Form == 1 {
		doc.Secrets = []secretDocument{{Digest: doc.Digest, Scheme: doc.Scheme}}
	}
	secrets, err := decodeSecrets(doc.Secrets)
	if err != nil {
		return Record{}, err
	}
	return Record{
		Key: &Key{
			ID: doc.ID, Tenant: doc.Tenant, Name: doc.Name, Last4: doc.Last4, Models: doc.Models, CIDRs: doc.CIDRs,
			Limits: doc.limits(), Budget: doc.budget(), Disabled: doc.Disabled,
			CreatedAt: doc.CreatedAt, UpdatedAt: doc.UpdatedAt, RotatedAt: doc.RotatedAt, PreviousUntil: doc.GraceEnd, ExpiresAt: doc.ExpiresAt,
			RevokedAt: doc.RevokedAt, Severed: doc.Severed, DeletedAt: doc.DeletedAt,
		},
		Secrets: secrets,
	}, nil
}

func checkForm(form int) error {
	if form < 1 || form > schemaVersion {
		return fmt.Errorf("record version %d: this binary reads 1 to %d; run the newer one that wrote it", form, schemaVersion)
	}
	return nil
}

func decodeSecrets(docs []secretDocument) ([]StoredSecret, error) {
	secrets := make([]StoredSecret, len(docs))
	for i, doc := range docs {
		digest, err := base64.RawURLEncoding.DecodeString(doc.Digest)
		if err != nil || len(digest) != len(Digest{}) {
			return nil, errors.New("not a key record: its digest is damaged")
		}
		secrets[i] = StoredSecret{Digest: Digest(digest), Scheme: doc.Scheme, Until: doc.Until}
	}
	if len(secrets) == 0 {
		return nil, errors.New("not a key record: it has no digest")
	}
	return secrets, nil
}

// decodeTenant reads the tenant that is stored under name, in its version.
func decodeTenant(name string, raw []byte, version uint64) (Tenant, error) {
	var doc tenantDocument
	if err := json.Unmarshal(raw, &doc); err != nil {
		return Tenant{}, fmt.Errorf("not a tenant: %w", err)
	}
	if err := checkForm(doc.Form); err != nil {
		return Tenant{}, err
	}
	if doc.Name != name {
		return Tenant{}, errors.New("it is filed under another name")
	}
	return Tenant{Name: name, Limits: doc.limits(), Budget: doc.budget(), UpdatedAt: doc.UpdatedAt, Version: version}, nil
}

func decodeEntry(raw []byte, version uint64) (Entry, error) {
	var doc entryDocument
	if err := json.Unmarshal(raw, &doc); err != nil {
		return Entry{}, fmt.Errorf("not a line of the audit: %w", err)
	}
	e := Entry{Version: version, At: doc.At, By: doc.By, Action: doc.Action, KeyID: doc.KeyID, Tenant: doc.Tenant}
	for _, c := range doc.Changes {
		e.Changes = append(e.Changes, FieldChange(c))
	}
	return e, nil
}

// framed puts the version in front of a document: a store gives it at the moment of writing.
func framed(version uint64, document []byte) []byte {
	return append(strconv.AppendUint(nil, version, 10), append([]byte{' '}, document...)...)
}

// unframed takes the version off. What an older binary wrote has none, and is older than all else.
func unframed(value []byte) (version uint64, document []byte, err error) {
	number, document, found := bytes.Cut(value, []byte(" "))
	if !found || bytes.HasPrefix(value, []byte("{")) {
		return 0, value, nil
	}
	version, err = strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return 0, nil, errors.New("not a record: its version is damaged")
	}
	return version, document, nil
}

// readRecord reads what is stored under id.
func readRecord(id string, value []byte) (Record, error) {
	version, document, err := unframed(value)
	if err != nil {
		return Record{}, err
	}
	return decodeAs(id, document, version)
}

// readTenant reads what is stored under name.
func readTenant(name string, value []byte) (Tenant, error) {
	version, document, err := unframed(value)
	if err != nil {
		return Tenant{}, err
	}
	return decodeTenant(name, document, version)
}

// readEntry reads a line of the audit.
func readEntry(value []byte) (Entry, error) {
	version, document, err := unframed(value)
	if err != nil {
		return Entry{}, err
	}
	return decodeEntry(document, version)
}
