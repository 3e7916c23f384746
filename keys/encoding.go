package keys

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// schemaVersion is the form in which records are written. A new field raises it:
// a binary that does not know the field must refuse the record rather than write
// it back without. Readers take every version up to their own.
const schemaVersion = 1

// document is a Record as it is stored. It holds nothing that would let a reader of the store in.
type document struct {
	Version           int       `json:"v"`
	ID                string    `json:"id"`
	Digest            string    `json:"digest"`
	Scheme            string    `json:"scheme"`
	Last4             string    `json:"last4"`
	Tenant            string    `json:"tenant"`
	Name              string    `json:"name"`
	Models            []string  `json:"models,omitempty"`
	RequestsPerMinute int       `json:"requests_per_minute,omitempty"`
	CreatedAt         time.Time `json:"created_at"`
	ExpiresAt         time.Time `json:"expires_at,omitzero"`
	RevokedAt         time.Time `json:"revoked_at,omitzero"`
}

// encode is the stored form of a record.
func encode(r Record) ([]byte, error) {
	return json.Marshal(document{
		Version:           schemaVersion,
		ID:                r.Key.ID,
		Digest:            r.Digest.text(),
		Scheme:            r.Scheme,
		Last4:             r.Key.Last4,
		Tenant:            r.Key.Tenant,
		Name:              r.Key.Name,
		Models:            r.Key.Models,
		RequestsPerMinute: r.Key.RequestsPerMinute,
		CreatedAt:         r.Key.CreatedAt,
		ExpiresAt:         r.Key.ExpiresAt,
		RevokedAt:         r.Key.RevokedAt,
	})
}

// text is the digest as it is stored: base64url without padding.
func (d Digest) text() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// decodeAs reads the record that is stored under id.
func decodeAs(id string, raw []byte) (Record, error) {
	record, err := decode(raw)
	if err == nil && record.Key.ID != id {
		return Record{}, errors.New("it is filed under another id")
	}
	return record, err
}

// decode reads a stored record. It refuses what this binary cannot write back whole.
func decode(raw []byte) (Record, error) {
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return Record{}, fmt.Errorf("not a key record: %w", err)
	}
	if doc.Version < 1 || doc.Version > schemaVersion {
		return Record{}, fmt.Errorf("record version %d: this binary reads 1 to %d; run the newer one that wrote it", doc.Version, schemaVersion)
	}
	digest, err := base64.RawURLEncoding.DecodeString(doc.Digest)
	if err != nil || len(digest) != len(Digest{}) {
		return Record{}, errors.New("not a key record: its digest is damaged")
	}
	return Record{
		Key: &Key{
			ID:                doc.ID,
			Tenant:            doc.Tenant,
			Name:              doc.Name,
			Last4:             doc.Last4,
			Models:            doc.Models,
			RequestsPerMinute: doc.RequestsPerMinute,
			CreatedAt:         doc.CreatedAt,
			ExpiresAt:         doc.ExpiresAt,
			RevokedAt:         doc.RevokedAt,
		},
		Digest: Digest(digest),
		Scheme: doc.Scheme,
	}, nil
}
