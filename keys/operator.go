package keys

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"tollgate/telemetry"
)

// Operator is a Directory in the hands of somebody by name: what it changes is
// remembered in the audit. It is safe for concurrent use.
//
// Where a call fails with ErrUnavailable, the change may have been made all the same: the answer of
// a shared store can be lost. Every call can be repeated then; those that mint a secret mint another.
type Operator struct {
	d    *Directory
	name string
	tell func(Entry) // nil: nobody
}

// By returns the Directory in the hands of the operator with this name.
func (d *Directory) By(name string) Operator { return Operator{d: d, name: name} }

// OnChange returns the Operator who tells of each change that was made, before the call that made it returns. Of a call that
// changes nothing, or fails, nothing is told.
func (o Operator) OnChange(tell func(Entry)) Operator {
	o.tell = tell
	return o
}

// made tells of a change.
func (o Operator) made(e Entry, version uint64) {
	if o.tell != nil {
		e.Version = version
		o.tell(e)
	}
}

// Create issues a key and returns its secret: the only time that it is seen. A
// Spec that cannot be accepted gives one *FieldError for each bad field, joined
// (see FieldErrors). On an error no key was issued, or nobody knows its secret.
func (o Operator) Create(ctx context.Context, spec Spec) (*Key, telemetry.Secret, error) {
	secret := mintSecret()
	key, err := o.insert(ctx, ActionCreate, mintID(), spec, o.d.minted(secret))
	if err != nil {
		return nil, "", err
	}
	return key, telemetry.Secret(secret), nil
}

// newSecret is a secret that a key is about to have.
type newSecret struct {
	stored StoredSecret
	last4  string
}

func (d *Directory) minted(secret []byte) newSecret {
	return newSecret{
		stored: StoredSecret{Digest: d.digester.digest(secret), Scheme: d.digester.scheme},
		last4:  string(secret[len(secret)-4:]),
	}
}

// today is the present moment as it is stored.
func (d *Directory) today() time.Time { return d.now().UTC().Truncate(time.Millisecond) }

func (o Operator) insert(ctx context.Context, action Action, id string, spec Spec, secret newSecret) (*Key, error) {
	now := o.d.today()
	if err := spec.Validate(now); err != nil {
		return nil, err
	}
	key := &Key{ID: id, Tenant: spec.Tenant, Last4: secret.last4, CreatedAt: now}
	key.take(spec)
	entry := o.entry(now, action, &Key{}, key)
	record, err := o.d.store.Insert(ctx, Edit{Record: Record{Key: key, Secrets: []StoredSecret{secret.stored}}, Entry: entry})
	if err != nil {
		return nil, fmt.Errorf("cannot store the new key: %w", err)
	}
	o.made(entry, record.Key.Version)
	return record.Key, nil
}

// entry is the line of the audit about what became of a key.
func (o Operator) entry(at time.Time, action Action, before, after *Key) Entry {
	return Entry{
		At: at, By: o.name, Action: action, KeyID: after.ID, Tenant: after.Tenant,
		Changes: differences(before.fields(), after.fields()),
	}
}

// Update changes what can be chosen of the key with this id: change is given the present Spec, may be called more than once,
// and must not call the Directory. A Spec that cannot be accepted gives one *FieldError for each bad field; an expiry that is
// left as it is may have passed. ErrNotFound: there is no such key. ErrRevokedForGood: it was revoked. What is as it was
// already changes nothing.
func (o Operator) Update(ctx context.Context, id string, change func(*Spec)) (*Key, error) {
	return o.edit(ctx, id, ActionUpdate, func(r *Record, now time.Time) error {
		if !r.Key.RevokedAt.IsZero() {
			return ErrRevokedForGood
		}
		before, after := specOf(r.Key), specOf(r.Key)
		change(&after)
		if after = normal(after); reflect.DeepEqual(before, after) {
			return errUnchanged
		}
		var moved error
		if after.Tenant != before.Tenant {
			moved = &FieldError{Field: "tenant", Problem: "cannot change: create a key for the other tenant, and revoke this one"}
			after.Tenant = before.Tenant
		}
		expiry := ""
		if after.ExpiresAt != before.ExpiresAt {
			expiry = expiryProblem(after.ExpiresAt, now)
		}
		r.Key.take(after)
		return errors.Join(moved, after.validate(expiry))
	})
}

// edit writes what change makes of a copy of the key and its secrets, which only Delete may find deleted.
func (o Operator) edit(ctx context.Context, id string, action Action, change func(r *Record, now time.Time) error) (*Key, error) {
	now := o.d.today()
	var found uint64 // the version that was changed last
	var entry Entry
	record, err := o.d.store.Update(ctx, id, func(r Record) (Edit, error) {
		found = r.Key.Version
		if !r.Key.DeletedAt.IsZero() && action != ActionDelete {
			return Edit{}, ErrNotFound
		}
		before, key := r.Key, *r.Key
		r.Key = &key
		if err := change(&r, now); err != nil {
			return Edit{}, err
		}
		key.UpdatedAt = now
		entry = o.entry(now, action, before, &key)
		return Edit{Record: r, Entry: entry}, nil
	})
	if err != nil {
		return nil, err
	}
	if record.Key.Version != found {
		o.made(entry, record.Key.Version)
	}
	return record.Key, nil
}
