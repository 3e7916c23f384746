package keys

import "errors"

// Why a presented secret was refused. A client gets the same answer for the first
// five, or the answer would tell which secrets once existed; logs may tell them apart.
var (
	// ErrMalformed says that the secret does not have the form of one, or its checksum is wrong: no store was asked.
	ErrMalformed = errors.New("malformed key")
	// ErrUnknown says that no key has this secret.
	ErrUnknown = errors.New("unknown key")
	// ErrRevoked says that the key was revoked.
	ErrRevoked = errors.New("revoked key")
	// ErrDisabled says that the key is disabled for now.
	ErrDisabled = errors.New("disabled key")
	// ErrExpired says that the time of the key, or of a secret that was rotated, is over.
	ErrExpired = errors.New("expired key")
	// ErrUnavailable says that the store could not answer: nothing is known about the secret.
	ErrUnavailable = errors.New("key store unavailable")
)

// ErrNotFound says that no key has the id or the digest asked for, or that no tenant has the name.
var ErrNotFound = errors.New("no such key or tenant")

// ErrRevokedForGood says that a revoked key cannot be changed any more: only deleted.
var ErrRevokedForGood = errors.New("the key is revoked for good: create another")

// ErrTooManySecrets says that a key has as many secrets in grace as it can have.
var ErrTooManySecrets = errors.New("too many secrets of the key are in grace: rotate with a shorter grace, which ends them sooner, or wait until one has ended")

// ErrUnreadable says that a store holds a record that this binary cannot read, such as a newer one's, and names its id.
// It comes with ErrUnavailable: nothing is known about the key, and what was known before may have been revoked.
var ErrUnreadable = errors.New("unreadable key record")

// ErrDuplicate says that a record with this id or digest exists; Insert never overwrites.
var ErrDuplicate = errors.New("key exists already")

// FieldError is one field of a Spec that cannot be accepted. Calls join one for each bad field.
type FieldError struct {
	// Field is the field's name in the admin API, such as requests_per_minute.
	Field string
	// Problem says what the field must be and what it is.
	Problem string
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// FieldErrors lists the field errors that err wraps or joins, in the order of the Spec's fields.
func FieldErrors(err error) []*FieldError {
	switch e := err.(type) { //nolint:errorlint // this is the walk over the tree that errors.As would stop at the first match
	case *FieldError:
		return []*FieldError{e}
	case interface{ Unwrap() []error }:
		var all []*FieldError
		for _, one := range e.Unwrap() {
			all = append(all, FieldErrors(one)...)
		}
		return all
	case interface{ Unwrap() error }:
		return FieldErrors(e.Unwrap())
	default:
		return nil
	}
}
