package keys

import (
	"context"
	"errors"
	"fmt"
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

// Rotate gives the key with this id a new secret and returns it: the only time that it is seen. The secrets that it had go on
// working for grace, up to 90 days, unless they end sooner; with none they end at once. Id, limits and history stay.
//
// ErrNotFound: there is no such key. ErrRevokedForGood: it was revoked. ErrTooManySecrets: too many of its secrets are in
// grace. After ErrUnavailable, rotate again: the key may have a secret that nobody knows.
func (o Operator) Rotate(ctx context.Context, id string, grace time.Duration) (*Key, telemetry.Secret, error) {
	if err := graceProblem(grace); err != nil {
		return nil, "", err
	}
	secret := mintSecret()
	key, err := o.rotate(ctx, id, grace, o.d.minted(secret))
	if err != nil {
		return nil, "", err
	}
	return key, telemetry.Secret(secret), nil
}

// RotateTo is Rotate with a secret that exists already. Doing it twice changes nothing, not even the grace of the first time.
// ErrDuplicate: this key had the secret before, or another key has had it.
func (o Operator) RotateTo(ctx context.Context, id string, grace time.Duration, secret ExistingSecret) (*Key, error) {
	presented, err := o.d.imported(secret)
	if err = errors.Join(graceProblem(grace), err); err != nil {
		return nil, err
	}
	key, err := o.rotate(ctx, id, grace, presented)
	if errors.Is(err, ErrDuplicate) {
		return nil, fmt.Errorf("%w: this or another key has had the secret: rotate to one that is new", ErrDuplicate)
	}
	return key, err
}

func (o Operator) rotate(ctx context.Context, id string, grace time.Duration, secret newSecret) (*Key, error) {
	return o.edit(ctx, id, ActionRotate, func(r *Record, now time.Time) error {
		if !r.Key.RevokedAt.IsZero() {
			return ErrRevokedForGood
		}
		if r.Secrets[0].Digest == secret.stored.Digest {
			return errUnchanged
		}
		if _, had := r.secret(secret.stored.Digest); had {
			return ErrDuplicate
		}
		end := now.Add(grace)
		r.Secrets = trimmed(append([]StoredSecret{secret.stored}, ending(r.Secrets, end)...), now)
		if len(r.Secrets) > maxSecrets {
			return ErrTooManySecrets
		}
		r.Key.Last4, r.Key.RotatedAt, r.Key.PreviousUntil = secret.last4, now, time.Time{}
		if grace > 0 {
			r.Key.PreviousUntil = end
		}
		return nil
	})
}

// ending are the secrets, none of which outlives end. An older one never outlives a newer one: it was ended by the same rotations.
func ending(secrets []StoredSecret, end time.Time) []StoredSecret {
	ended := make([]StoredSecret, len(secrets))
	for i, secret := range secrets {
		if secret.Until.IsZero() || secret.Until.After(end) {
			secret.Until = end
		}
		ended[i] = secret
	}
	return ended
}

// trimmed drops the oldest secrets: those that ended so long ago that every replica knows, and where there are too many, those
// that ended at all. A replica that has not heard of their end by then hears of it from the shared store.
func trimmed(secrets []StoredSecret, now time.Time) []StoredSecret {
	for len(secrets) > 1 {
		last := len(secrets) - 1
		ended := now.Sub(secrets[last].Until)
		if ended < 0 || ended < afterlife && len(secrets) <= maxSecrets {
			break
		}
		secrets = secrets[:last]
	}
	return secrets
}

func graceProblem(grace time.Duration) error {
	if grace < 0 || grace > maxGrace {
		return &FieldError{Field: "grace", Problem: fmt.Sprintf("must be 0s to %dh, got %s", int(maxGrace.Hours()), grace)}
	}
	return nil
}
