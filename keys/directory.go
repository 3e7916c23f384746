package keys

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollgate/telemetry"
)

// Directory knows every tenant key. It is safe for concurrent use.
type Directory struct {
	store    Store
	digester digester
	now      func() time.Time
}

// New returns a Directory over the records in s.
func New(s Store, c Config) *Directory {
	return &Directory{store: s, digester: newDigester(c.Pepper), now: time.Now}
}

// Authenticate returns the active key whose secret was presented, the bare secret
// without "Bearer ". It does not retain presented, and allocates nothing of its own.
//
// The errors are ErrMalformed (no store was asked), ErrUnknown, ErrRevoked,
// ErrExpired and ErrUnavailable. A client must get one and the same answer for the
// first four; for ErrUnavailable nothing is known and the answer is not "no".
func (d *Directory) Authenticate(ctx context.Context, presented []byte) (*Key, error) {
	if !wellFormed(presented) {
		return nil, ErrMalformed
	}
	digest := d.digester.digest(presented)
	record, err := d.store.ByDigest(ctx, digest)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, asUnavailable(err)
	}
	// The comparison runs for unknown secrets too (against zeroes), so that all refusals take one path. It also means
	// that a store that answers with the wrong record lets nobody in.
	if subtle.ConstantTimeCompare(record.Digest[:], digest[:]) != 1 || record.Key == nil {
		return nil, ErrUnknown
	}
	switch record.Key.State(d.now()) {
	case StateRevoked:
		return nil, ErrRevoked
	case StateExpired:
		return nil, ErrExpired
	default:
		return record.Key, nil
	}
}

// Create issues a key and returns its secret: the only time that it is seen. A
// Spec that cannot be accepted gives one *FieldError for each bad field, joined
// (see FieldErrors). On an error no key was issued, or nobody knows its secret.
func (d *Directory) Create(ctx context.Context, spec Spec) (*Key, telemetry.Secret, error) {
	now := d.now().UTC().Truncate(time.Millisecond)
	if err := spec.Validate(now); err != nil {
		return nil, "", err
	}
	secret := mintSecret()
	key := &Key{
		ID:                mintID(),
		Tenant:            spec.Tenant,
		Name:              spec.Name,
		Last4:             string(secret[len(secret)-4:]),
		Models:            slices.Clone(spec.Models),
		RequestsPerMinute: spec.RequestsPerMinute,
		CreatedAt:         now,
		ExpiresAt:         inUTC(spec.ExpiresAt),
	}
	err := d.store.Insert(ctx, Record{Key: key, Digest: d.digester.digest(secret), Scheme: d.digester.scheme})
	if err != nil {
		return nil, "", fmt.Errorf("cannot store the new key: %w", err)
	}
	return key, telemetry.Secret(secret), nil
}

// List returns every key, revoked and expired ones included, oldest first.
func (d *Directory) List(ctx context.Context) ([]*Key, error) {
	records, err := d.store.List(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]*Key, len(records))
	for i, r := range records {
		all[i] = r.Key
	}
	return all, nil
}

// Show returns the key with this id, whatever its state, or ErrNotFound.
func (d *Directory) Show(ctx context.Context, id string) (*Key, error) {
	record, err := d.store.ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return record.Key, nil
}

// Revoke ends the key with this id for good and returns it; its record stays, for
// the bills that name it. Revoking a revoked key changes nothing. ErrNotFound: there is no such key.
func (d *Directory) Revoke(ctx context.Context, id string) (*Key, error) {
	now := d.now().UTC().Truncate(time.Millisecond)
	return d.store.Update(ctx, id, func(k Key) Key {
		if k.RevokedAt.IsZero() {
			k.RevokedAt = now
		}
		return k
	})
}

// Mispeppered counts the active keys whose secrets were hashed under another pepper
// than the configured one: nobody can authenticate with them until that pepper is
// back. More than zero at start means that keys.pepper was set, lost or changed.
func (d *Directory) Mispeppered(ctx context.Context) (int, error) {
	records, err := d.store.List(ctx)
	if err != nil {
		return 0, err
	}
	now, n := d.now(), 0
	for _, r := range records {
		if r.Scheme != d.digester.scheme && r.Key.State(now) == StateActive {
			n++
		}
	}
	return n, nil
}

// asUnavailable makes sure that a failed look-up can never be taken for a refusal.
func asUnavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// inUTC keeps the zero time, which means never, what it is; the monotonic reading is not worth storing.
func inUTC(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Round(0)
}
