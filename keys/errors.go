package keys

import "errors"

// Why a presented secret was refused. A client gets the same answer for the first
// four, or the answer would tell which secrets once existed; logs may tell them apart.
var (
	// ErrMalformed says that the secret does not have the form of one, or its checksum is wrong: no store was asked.
	ErrMalformed = errors.New("malformed key")
	// ErrUnknown says that no key has this secret.
	ErrUnknown = errors.New("unknown key")
	// ErrRevoked says that the key was revoked.
	ErrRevoked = errors.New("revoked key")
	// ErrExpired says that the key's time is over.
	ErrExpired = errors.New("expired key")
	// ErrUnavailable says that the store could not answer: nothing is known about the secret.
	ErrUnavailable = errors.New("key store unavailable")
)

// ErrNotFound says that no key has the id (Show, Revoke) or the digest (Store) asked for.
var ErrNotFound = errors.New("no such key")

// ErrUnreadable says that a store holds a record that this binary cannot read, such as a newer one's, and names its id.
// It comes with ErrUnavailable: nothing is known about the key, and what was known before may have been revoked.
var ErrUnreadable = errors.New("unreadable key record")

// ErrDuplicate says that a record with this id or digest exists; Insert never overwrites.
var ErrDuplicate = errors.New("key exists already")

// FieldError is one field of a Spec that cannot be accepted. Create joins one for each bad field.
type FieldError struct {
	// Field is the field's name in the admin API: tenant, name, models, requests_per_minute or expires.
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
