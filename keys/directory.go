package keys

import (
	"context"
	"time"

	"tollgate/telemetry"
)

// Directory knows every tenant key. It is safe for concurrent use.
type Directory struct {
	store Store
	now   func() time.Time
}

// New returns a Directory over the records in s.
func New(s Store, c Config) *Directory {
	return &Directory{store: s, now: time.Now}
}

// Authenticate finds the key whose secret was presented.
func (d *Directory) Authenticate(ctx context.Context, presented []byte) (*Key, error) {
	return nil, ErrUnknown
}

// Create issues a key.
func (d *Directory) Create(ctx context.Context, spec Spec) (*Key, telemetry.Secret, error) {
	return nil, "", ErrUnavailable
}

// List returns every key, oldest first.
func (d *Directory) List(ctx context.Context) ([]*Key, error) { return nil, ErrUnavailable }

// Show returns the key with this id.
func (d *Directory) Show(ctx context.Context, id string) (*Key, error) { return nil, ErrNotFound }

// Revoke ends the key with this id.
func (d *Directory) Revoke(ctx context.Context, id string) (*Key, error) { return nil, ErrNotFound }
