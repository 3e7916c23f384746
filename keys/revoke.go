package keys

import (
	"context"
	"time"
)

// Urgency says what a revocation does to answers in progress.
type Urgency int

const (
	// Soon lets answers in progress come to their end.
	Soon Urgency = iota
	// AtOnce ends them at their next event.
	AtOnce
)

// Revoke ends the key with this id for good and returns it; its record stays, for the bills that name it. Revoking a revoked
// key changes nothing, unless it was Soon and is now AtOnce. ErrNotFound: there is no such key.
func (o Operator) Revoke(ctx context.Context, id string, urgency Urgency) (*Key, error) {
	return o.edit(ctx, id, ActionRevoke, func(r *Record, now time.Time) error {
		sever := urgency == AtOnce && !r.Key.Severed
		if !r.Key.RevokedAt.IsZero() && !sever {
			return errUnchanged
		}
		if r.Key.RevokedAt.IsZero() {
			r.Key.RevokedAt = now
		}
		r.Key.Severed = sever
		return nil
	})
}

// Delete removes the key with this id and returns what it was. Its answers in progress come to their end: Revoke it AtOnce
// before, where they must not. Deleting a deleted key changes nothing, for a week; then it is ErrNotFound, as for a key that never was.
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
