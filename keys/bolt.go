package keys

import (
	"context"

	bolt "go.etcd.io/bbolt"
)

// BoltStore keeps the records in the embedded store.
type BoltStore struct {
	db *bolt.DB
}

// NewBoltStore returns the Store in db.
func NewBoltStore(db *bolt.DB) (*BoltStore, error) { return &BoltStore{db: db}, nil }

// ByDigest implements Finder.
func (s *BoltStore) ByDigest(context.Context, Digest) (Record, error) { return Record{}, ErrNotFound }

// Insert implements Registry.
func (s *BoltStore) Insert(context.Context, Record) error { return ErrUnavailable }

// Update implements Registry.
func (s *BoltStore) Update(context.Context, string, func(Key) Key) (*Key, error) {
	return nil, ErrNotFound
}

// List implements Registry.
func (s *BoltStore) List(context.Context) ([]Record, error) { return nil, ErrUnavailable }
