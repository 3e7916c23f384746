package keys

import (
	"context"
	"slices"
	"strings"
)

// Record is one key as a Store keeps it.
type Record struct {
	// Key is shared and immutable, as everywhere.
	Key *Key
	// Digest is what the presented secret must hash to.
	Digest Digest
	// Scheme names how the digest was made, so that a changed pepper can be noticed.
	Scheme string
}

// Finder looks records up. ByDigest is the hot path: one call per request.
//
// Both return the record in any state, revoked and expired ones included.
// ErrNotFound: no record has it. Any other error means that the store could not be asked.
type Finder interface {
	ByDigest(ctx context.Context, digest Digest) (Record, error)
	ByID(ctx context.Context, id string) (Record, error)
}

// Registry is the life cycle of keys: an operator's calls.
type Registry interface {
	// Insert stores a new record durably before it returns. ErrDuplicate: its id or digest exists, and nothing was changed.
	Insert(ctx context.Context, record Record) error
	// Update replaces the key with this id by what change returns for it, atomically and durably, and returns the new one;
	// a look-up that starts after it returned sees that. change may be called more than once, cannot change the ID,
	// and must not write to the Models it was given. ErrNotFound: no key has the id.
	Update(ctx context.Context, id string, change func(Key) Key) (*Key, error)
	// List returns all records in any state, oldest first, those of one instant by id. Where some cannot be read, it
	// returns the others, and an error that wraps ErrUnreadable and names each that is missing.
	List(ctx context.Context) ([]Record, error)
}

// Store keeps the records of all keys. An implementation is safe for concurrent
// use and wraps ErrUnavailable where it could not do what it was asked.
type Store interface {
	Finder
	Registry
}

// sortByAge puts records in the order of List.
func sortByAge(records []Record) {
	slices.SortFunc(records, func(a, b Record) int {
		if byAge := a.Key.CreatedAt.Compare(b.Key.CreatedAt); byAge != 0 {
			return byAge
		}
		return strings.Compare(a.Key.ID, b.Key.ID)
	})
}
