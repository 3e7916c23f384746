package keys

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"time"
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
// without "Bearer ", by a client at the address from. It does not retain presented, and
// allocates nothing of its own.
//
// The errors are ErrMalformed (no store was asked), ErrUnknown, ErrRevoked, ErrDisabled,
// ErrExpired and ErrUnavailable. A client must get one and the same answer for the
// first five; for ErrUnavailable nothing is known and the answer is not "no".
func (d *Directory) Authenticate(ctx context.Context, presented []byte, from netip.Addr) (*Key, error) {
	if !wellFormed(presented) {
		return nil, ErrMalformed
	}
	digest := d.digester.digest(presented)
	record, err := d.store.ByDigest(ctx, digest, from)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, asUnavailable(err)
	}
	// The comparison runs for unknown secrets too, so that all refusals take one path. It also means that a store that
	// answers with the wrong record lets nobody in.
	secret, ok := record.secret(digest)
	if !ok {
		return nil, ErrUnknown
	}
	now := d.now()
	switch record.Key.State(now) {
	case StateRevoked:
		return nil, ErrRevoked
	case StateExpired:
		return nil, ErrExpired
	case StateDisabled:
		return nil, ErrDisabled
	}
	if !secret.Until.IsZero() && !now.Before(secret.Until) {
		return nil, ErrExpired
	}
	return record.Key, nil
}

// secret is the one with this digest. Every one is compared, and one that nobody has where there is none.
func (r Record) secret(digest Digest) (found StoredSecret, ok bool) {
	var nobodys [1]StoredSecret
	secrets := r.Secrets
	if len(secrets) == 0 {
		secrets = nobodys[:]
	}
	for i := range secrets {
		if subtle.ConstantTimeCompare(secrets[i].Digest[:], digest[:]) == 1 {
			found, ok = secrets[i], true
		}
	}
	return found, ok && len(r.Secrets) > 0
}

// TenantLimits returns what all keys of the tenant may use together. It allocates nothing and asks nobody.
func (d *Directory) TenantLimits(tenant string) Limits { return d.store.TenantLimits(tenant) }

// Cuts are the keys whose answers in progress must end.
func (d *Directory) Cuts() *Cuts { return d.store.Cuts() }

// Filter says which keys a list shall have. An empty field admits every key.
type Filter struct {
	// Tenant is whose keys.
	Tenant string
	// Name is their label, exactly.
	Name string
	// State is where they stand now.
	State State
	// After is the id of the last key of the page before; empty: from the beginning.
	After string
	// Limit is how many keys at most; 0 means all.
	Limit int
}

// List returns the keys that the filter admits, oldest first, and whether there are more of them. A FieldError about
// "after": there is no such key any more, and it was not deleted lately.
func (d *Directory) List(ctx context.Context, f Filter) (page []*Key, more bool, err error) {
	after := &Key{}
	if f.After != "" {
		if after, err = d.cursor(ctx, f.After); err != nil {
			return nil, false, err
		}
	}
	records, err := d.store.List(ctx)
	if err != nil {
		return nil, false, err
	}
	now := d.now()
	for _, r := range records {
		switch {
		case byAge(r.Key, after) <= 0 || !f.admits(r.Key, now):
		case f.Limit > 0 && len(page) == f.Limit:
			return page, true, nil
		default:
			page = append(page, r.Key)
		}
	}
	return page, false, nil
}

// cursor is the last key of the page before, which may have been deleted since: whoever deletes page by page reads on.
func (d *Directory) cursor(ctx context.Context, id string) (*Key, error) {
	record, err := d.store.ByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, &FieldError{Field: "after", Problem: "must be the id of a key that was listed: begin the list anew, got " + excerpt(id)}
	}
	return record.Key, err
}

func (f Filter) admits(k *Key, now time.Time) bool {
	return (f.Tenant == "" || k.Tenant == f.Tenant) && (f.Name == "" || k.Name == f.Name) && (f.State == "" || k.State(now) == f.State)
}

// Show returns the key with this id, whatever its state, or ErrNotFound.
func (d *Directory) Show(ctx context.Context, id string) (*Key, error) {
	record, err := d.store.ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if !record.Key.DeletedAt.IsZero() {
		return nil, ErrNotFound
	}
	return record.Key, nil
}

// Tenants returns every tenant that has limits of its own, by name.
func (d *Directory) Tenants(ctx context.Context) ([]Tenant, error) { return d.store.Tenants(ctx) }

// Tenant returns one tenant, or ErrNotFound.
func (d *Directory) Tenant(ctx context.Context, name string) (Tenant, error) {
	return d.store.Tenant(ctx, name)
}

// AuditQuery says which changes an operator wants to see. An empty field admits every one.
type AuditQuery struct {
	// KeyID is the key that was changed, Tenant whose it is, By who did it.
	KeyID, Tenant, By string
	// Before is the version below which to begin; 0: with the latest.
	Before uint64
	// Limit is how many entries at most; 0 means all.
	Limit int
}

// Audit returns the changes that q admits, latest first, and whether there are more of them.
func (d *Directory) Audit(ctx context.Context, q AuditQuery) (page []Entry, more bool, err error) {
	const chunk = 1000
	for before := q.Before; ; {
		entries, err := d.store.Audit(ctx, before, chunk)
		if err != nil {
			return nil, false, err
		}
		for _, e := range entries {
			if !q.admits(e) {
				continue
			}
			if q.Limit > 0 && len(page) == q.Limit {
				return page, true, nil
			}
			page = append(page, e)
		}
		if len(entries) < chunk {
			return page, false, nil
		}
		before = entries[len(entries)-1].Version
	}
}

func (q AuditQuery) admits(e Entry) bool {
	return (q.KeyID == "" || e.KeyID == q.KeyID) && (q.Tenant == "" || e.Tenant == q.Tenant) && (q.By == "" || e.By == q.By)
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
		if r.Secrets[0].Scheme != d.digester.scheme && r.Key.State(now) == StateActive {
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
