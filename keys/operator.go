package keys

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"tollgate/telemetry"
)

// maxSecrets bounds the secrets of one key: the present one, those in grace, and those that ended lately.
const maxSecrets = 64

// afterlife is how long the digest of an ended secret stays in its record, so that
// every replica hears of its end. It is longer than any outage_grace.
const afterlife = 25 * time.Hour

// maxGrace bounds how long a rotated secret goes on working.
const maxGrace = 90 * 24 * time.Hour

// Operator is a Directory in the hands of somebody by name: what it changes is
// remembered in the audit. It is safe for concurrent use.
type Operator struct {
	d    *Directory
	name string
}

// By returns the Directory in the hands of the operator with this name.
func (d *Directory) By(name string) Operator { return Operator{d: d, name: name} }

// ExistingSecret is a secret that somebody else has made, by its hash: Tollgate never sees it.
type ExistingSecret struct {
	// SHA256 is the hash of all its bytes. A secret that can be guessed can be found from it: it should have 128 random bits.
	SHA256 Digest
	// Last4 are its last four characters, or fewer, for a person to recognise it by.
	Last4 string
}

// Create issues a key and returns its secret: the only time that it is seen. A
// Spec that cannot be accepted gives one *FieldError for each bad field, joined
// (see FieldErrors). On an error no key was issued, or nobody knows its secret.
func (o Operator) Create(ctx context.Context, spec Spec) (*Key, telemetry.Secret, error) {
	secret := mintSecret()
	key, err := o.insert(ctx, ActionCreate, spec, o.d.minted(secret))
	if err != nil {
		return nil, "", err
	}
	return key, telemetry.Secret(secret), nil
}

// Import issues a key for a secret that exists already. Importing a secret twice with the same Spec changes
// nothing and returns its key; with another it is ErrDuplicate, as is a secret that has been another key's.
func (o Operator) Import(ctx context.Context, spec Spec, secret ExistingSecret) (*Key, error) {
	presented, err := o.d.imported(secret)
	if err != nil {
		return nil, errors.Join(spec.Validate(o.d.today()), err)
	}
	key, err := o.insert(ctx, ActionImport, spec, presented)
	if !errors.Is(err, ErrDuplicate) {
		return key, err
	}
	known, findErr := o.d.store.ByID(ctx, o.idOf(presented))
	if findErr == nil && known.Secrets[0].Digest == presented.stored.Digest && reflect.DeepEqual(specOf(known.Key), normal(spec)) && known.Key.RevokedAt.IsZero() && known.Key.DeletedAt.IsZero() {
		return known.Key, nil
	}
	return nil, err
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

func (d *Directory) imported(s ExistingSecret) (newSecret, error) {
	if problem := last4Problem(s.Last4); problem != "" {
		return newSecret{}, &FieldError{Field: "last4", Problem: problem}
	}
	return newSecret{stored: StoredSecret{Digest: d.digester.stored(s.SHA256), Scheme: d.digester.scheme}, last4: s.Last4}, nil
}

// today is the present moment as it is stored.
func (d *Directory) today() time.Time { return d.now().UTC().Truncate(time.Millisecond) }

func (o Operator) insert(ctx context.Context, action Action, spec Spec, secret newSecret) (*Key, error) {
	now := o.d.today()
	if err := spec.Validate(now); err != nil {
		return nil, err
	}
	id := mintID()
	if action == ActionImport {
		id = o.idOf(secret)
	}
	key := &Key{ID: id, Tenant: spec.Tenant, Last4: secret.last4, CreatedAt: now}
	key.take(spec)
	record, err := o.d.store.Insert(ctx, Edit{
		Record: Record{Key: key, Secrets: []StoredSecret{secret.stored}},
		Entry:  o.entry(now, action, &Key{ID: key.ID, Tenant: key.Tenant}, key),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot store the new key: %w", err)
	}
	return record.Key, nil
}

// idOf is the id of the key that is issued for a secret somebody else has made: the same one each time.
func (o Operator) idOf(secret newSecret) string { return derivedID(secret.stored.Digest) }

// take gives the key what the spec asks for.
func (k *Key) take(s Spec) {
	s = normal(s)
	k.Name, k.Models, k.CIDRs, k.Limits, k.Budget = s.Name, s.Models, s.CIDRs, s.Limits, s.Budget
	k.ExpiresAt, k.Disabled = s.ExpiresAt, s.Disabled
}

// specOf is what an operator would have asked for to get this key.
func specOf(k *Key) Spec {
	return normal(Spec{
		Tenant: k.Tenant, Name: k.Name, Models: k.Models, CIDRs: k.CIDRs, Limits: k.Limits, Budget: k.Budget,
		ExpiresAt: k.ExpiresAt, Disabled: k.Disabled,
	})
}

// normal is the spec as it is stored, with nothing in it that its caller could still change.
func normal(s Spec) Spec {
	s.Models, s.CIDRs = slices.Clone(s.Models), slices.Clone(s.CIDRs)
	if len(s.Models) == 0 {
		s.Models = nil
	}
	if len(s.CIDRs) == 0 {
		s.CIDRs = nil
	}
	s.ExpiresAt = inUTC(s.ExpiresAt)
	return s
}

// entry is the line of the audit about what became of a key.
func (o Operator) entry(at time.Time, action Action, before, after *Key) Entry {
	return Entry{
		At: at, By: o.name, Action: action, KeyID: after.ID, Tenant: after.Tenant,
		Changes: differences(before.fields(), after.fields()),
	}
}

// Update changes what can be chosen of the key with this id: change is given the present Spec, and may be called more than
// once. A Spec that cannot be accepted gives one *FieldError for each bad field. ErrNotFound: there is no such key.
// ErrRevokedForGood: it was revoked. What is as it was already changes nothing.
func (o Operator) Update(ctx context.Context, id string, change func(*Spec)) (*Key, error) {
	return o.edit(ctx, id, ActionUpdate, func(r *Record, now time.Time) error {
		if !r.Key.RevokedAt.IsZero() {
			return ErrRevokedForGood
		}
		before := specOf(r.Key)
		after := before
		change(&after)
		expiry := ""
		if after.ExpiresAt = inUTC(after.ExpiresAt); !after.ExpiresAt.Equal(before.ExpiresAt) {
			expiry = expiryProblem(after.ExpiresAt, now)
		}
		err := after.validate(expiry)
		if after.Tenant != before.Tenant {
			err = errors.Join(&FieldError{Field: "tenant", Problem: "cannot change: create a key for the other tenant"}, err)
		}
		r.Key.take(after)
		return err
	})
}

// Rotate gives the key with this id a new secret and returns it: the only time that it is seen. The secrets that it had go on
// working for grace, up to 90 days, unless they end sooner; with none they end at once. Id, limits and history stay.
func (o Operator) Rotate(ctx context.Context, id string, grace time.Duration) (*Key, telemetry.Secret, error) {
	secret := mintSecret()
	key, err := o.rotate(ctx, id, grace, o.d.minted(secret))
	if err != nil {
		return nil, "", err
	}
	return key, telemetry.Secret(secret), nil
}

// RotateTo is Rotate with a secret that exists already. Doing it twice changes nothing.
func (o Operator) RotateTo(ctx context.Context, id string, grace time.Duration, secret ExistingSecret) (*Key, error) {
	presented, err := o.d.imported(secret)
	if err != nil {
		return nil, errors.Join(graceProblem(grace), err)
	}
	return o.rotate(ctx, id, grace, presented)
}

func (o Operator) rotate(ctx context.Context, id string, grace time.Duration, secret newSecret) (*Key, error) {
	if err := graceProblem(grace); err != nil {
		return nil, err
	}
	return o.edit(ctx, id, ActionRotate, func(r *Record, now time.Time) error {
		if !r.Key.RevokedAt.IsZero() {
			return ErrRevokedForGood
		}
		if r.Secrets[0].Digest == secret.stored.Digest {
			return errUnchanged
		}
		secrets := []StoredSecret{secret.stored}
		for _, old := range r.Secrets {
			if end := now.Add(grace); old.Until.IsZero() || old.Until.After(end) {
				old.Until = end
			}
			if old.Digest == secret.stored.Digest {
				return fmt.Errorf("%w: it was this key's before", ErrDuplicate)
			}
			if now.Sub(old.Until) < afterlife {
				secrets = append(secrets, old)
			}
		}
		if r.Secrets = trimmed(secrets, now); len(r.Secrets) > maxSecrets {
			return ErrTooManySecrets
		}
		r.Key.Last4, r.Key.RotatedAt, r.Key.PreviousUntil = secret.last4, now, time.Time{}
		if grace > 0 {
			r.Key.PreviousUntil = now.Add(grace)
		}
		return nil
	})
}

// trimmed drops the secrets that ended first where there are too many: a replica that
// did not hear of their end within an hour hears of it from the shared store.
func trimmed(secrets []StoredSecret, now time.Time) []StoredSecret {
	for len(secrets) > maxSecrets {
		last := len(secrets) - 1
		if secrets[last].Until.After(now) {
			break
		}
		secrets = secrets[:last]
	}
	return secrets
}

// Urgency says what a revocation does to answers in progress.
type Urgency int

const (
	// Soon lets answers in progress come to their end.
	Soon Urgency = iota
	// AtOnce ends them at their next event.
	AtOnce
)

// Revoke ends the key with this id for good and returns it; its record stays, for
// the bills that name it. Revoking a revoked key changes nothing, unless it is now to be AtOnce. ErrNotFound: there is no such key.
func (o Operator) Revoke(ctx context.Context, id string, urgency Urgency) (*Key, error) {
	return o.edit(ctx, id, ActionRevoke, func(r *Record, now time.Time) error {
		if !r.Key.RevokedAt.IsZero() && (r.Key.Severed || urgency == Soon) {
			return errUnchanged
		}
		if r.Key.RevokedAt.IsZero() {
			r.Key.RevokedAt = now
		}
		r.Key.Severed = urgency == AtOnce
		return nil
	})
}

// Delete removes the key with this id and returns it as it was. Its answers in progress come to their end. Deleting a deleted
// key changes nothing, for a week; then it is ErrNotFound, as for a key that never was.
func (o Operator) Delete(ctx context.Context, id string) (*Key, error) {
	return o.edit(ctx, id, ActionDelete, func(r *Record, now time.Time) error {
		if !r.Key.DeletedAt.IsZero() {
			return errUnchanged
		}
		if r.Key.RevokedAt.IsZero() {
			r.Key.RevokedAt = now
		}
		r.Key.DeletedAt = now
		return nil
	})
}

// edit changes a copy of the record, and writes it where something has changed.
func (o Operator) edit(ctx context.Context, id string, action Action, change func(r *Record, now time.Time) error) (*Key, error) {
	now := o.d.today()
	record, err := o.d.store.Update(ctx, id, func(r Record) (Edit, error) {
		if !r.Key.DeletedAt.IsZero() && action != ActionDelete {
			return Edit{}, ErrNotFound
		}
		before, key := r.Key, *r.Key
		r.Key = &key
		if err := change(&r, now); err != nil {
			return Edit{}, err
		}
		if action == ActionUpdate && reflect.DeepEqual(specOf(before), specOf(&key)) {
			return Edit{}, errUnchanged
		}
		key.UpdatedAt = now
		return Edit{Record: r, Entry: o.entry(now, action, before, &key)}, nil
	})
	if err != nil {
		return nil, err
	}
	return record.Key, nil
}

// SetTenant gives all keys of a tenant limits together: change is given the present ones, which are none for a tenant that has
// none, and may be called more than once. Of a bad name or a bad field there is one *FieldError each.
func (o Operator) SetTenant(ctx context.Context, name string, change func(*TenantSpec)) (Tenant, error) {
	if problem := tenantProblem(name); problem != "" {
		return Tenant{}, &FieldError{Field: "tenant", Problem: problem}
	}
	now := o.d.today()
	return o.d.store.UpdateTenant(ctx, name, func(before Tenant) (TenantEdit, error) {
		spec := TenantSpec{Limits: before.Limits, Budget: before.Budget}
		change(&spec)
		if err := spec.Validate(); err != nil {
			return TenantEdit{}, err
		}
		after := Tenant{Name: name, Limits: spec.Limits, Budget: spec.Budget, UpdatedAt: now}
		if before.Version > 0 && after.Limits == before.Limits && after.Budget == before.Budget {
			return TenantEdit{}, errUnchanged
		}
		return o.tenantEdit(ActionSetTenant, before, after), nil
	})
}

// DeleteTenant takes the tenant's limits away; its keys stay. ErrNotFound: it has none.
func (o Operator) DeleteTenant(ctx context.Context, name string) (Tenant, error) {
	now := o.d.today()
	return o.d.store.UpdateTenant(ctx, name, func(before Tenant) (TenantEdit, error) {
		if before.Version == 0 {
			return TenantEdit{}, ErrNotFound
		}
		return o.tenantEdit(ActionDeleteTenant, before, Tenant{Name: name, UpdatedAt: now, Deleted: true}), nil
	})
}

func (o Operator) tenantEdit(action Action, before, after Tenant) TenantEdit {
	return TenantEdit{Tenant: after, Entry: Entry{
		At: after.UpdatedAt, By: o.name, Action: action, Tenant: after.Name, Changes: differences(before.fields(), after.fields()),
	}}
}

func graceProblem(grace time.Duration) error {
	if grace < 0 || grace > maxGrace {
		return &FieldError{Field: "grace", Problem: fmt.Sprintf("must be 0s to %dh, got %s", int(maxGrace.Hours()), grace)}
	}
	return nil
}

func last4Problem(last4 string) string {
	visible := !slices.ContainsFunc([]byte(last4), func(c byte) bool { return c <= ' ' || c > '~' })
	if len(last4) > 4 || !visible {
		return "must be at most the last four characters of the secret, visible ASCII, got " + excerpt(last4)
	}
	return ""
}
