package keys

import (
	"context"
	"crypto/sha256"
)

// Digest is what is stored in place of a secret: its SHA-256, or its HMAC-SHA256 under the pepper.
type Digest [sha256.Size]byte

// Record is one key as a Store keeps it.
type Record struct {
	// Key is shared and immutable, as everywhere.
	Key *Key
	// Digest of the secret.
	Digest Digest
	// Scheme names how the digest was made, so that a changed pepper can be noticed.
	Scheme string
}

// Finder is the hot path: one look-up per request.
type Finder interface {
	// ByDigest returns the record whose digest this is, revoked and expired ones included.
	// ErrNotFound: no secret has it. ErrUnavailable: the store could not be asked.
	ByDigest(ctx context.Context, digest Digest) (Record, error)
}

// Registry is the life cycle: an operator's calls.
type Registry interface {
	// Insert stores a new record durably. ErrDuplicate: its id or digest exists, nothing was changed.
	Insert(ctx context.Context, record Record) error
	// Update replaces the key with this id by what change returns for it, atomically and durably; look-ups that
	// start after it returned see the new one. change may be called more than once; it must not modify its argument's
	// Models and cannot change the ID. ErrNotFound: no key has the id.
	Update(ctx context.Context, id string, change func(Key) Key) (*Key, error)
	// List returns every key, revoked and expired ones included, oldest first.
	List(ctx context.Context) ([]Record, error)
}

// Store keeps the records of all keys. An implementation is safe for concurrent
// use, never overwrites on Insert, and wraps ErrUnavailable where it cannot answer.
type Store interface {
	Finder
	Registry
}
