package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// bucketName is the bucket of key records in the embedded store: public id -> document.
const bucketName = "keys"

// errNoBucket means that something deleted the bucket behind our back.
var errNoBucket = errors.New(`bucket "keys" is missing`)

// BoltStore keeps the records in the embedded store. The file belongs to this
// process alone, so a copy of all records in memory (about 500 bytes each) is
// never stale: look-ups read it, changes go to the file first.
type BoltStore struct {
	db *bolt.DB

	// writing orders the changes: file, then memory, one at a time. Look-ups do not wait for the file.
	writing sync.Mutex

	mu       sync.RWMutex
	byID     map[string]Record
	byDigest map[Digest]Record
}

// NewBoltStore returns the Store in db, after reading every record in it. It
// refuses a record it cannot read: half a directory would answer 401 to the other half.
func NewBoltStore(db *bolt.DB) (*BoltStore, error) {
	s := &BoltStore{db: db, byID: make(map[string]Record), byDigest: make(map[Digest]Record)}
	err := db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte(bucketName))
		if err != nil {
			return err
		}
		return bucket.ForEach(func(id, raw []byte) error {
			record, err := decodeAs(string(id), raw)
			if err != nil {
				return fmt.Errorf("key %q: %w", id, err)
			}
			s.remember(record)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the keys in %s: %w", db.Path(), err)
	}
	return s, nil
}

// ByDigest implements Finder. It allocates nothing.
func (s *BoltStore) ByDigest(_ context.Context, digest Digest) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if record, ok := s.byDigest[digest]; ok {
		return record, nil
	}
	return Record{}, ErrNotFound
}

// ByID implements Finder.
func (s *BoltStore) ByID(_ context.Context, id string) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if record, ok := s.byID[id]; ok {
		return record, nil
	}
	return Record{}, ErrNotFound
}

// Insert implements Registry.
func (s *BoltStore) Insert(ctx context.Context, record Record) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.knows(record) {
		return ErrDuplicate
	}
	return s.write(ctx, record)
}

// Update implements Registry.
func (s *BoltStore) Update(ctx context.Context, id string, change func(Key) Key) (*Key, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	record, err := s.ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	changed := change(*record.Key)
	changed.ID = id
	record.Key = &changed
	if err := s.write(ctx, record); err != nil {
		return nil, err
	}
	return record.Key, nil
}

// List implements Registry.
func (s *BoltStore) List(context.Context) ([]Record, error) {
	s.mu.RLock()
	all := make([]Record, 0, len(s.byID))
	for _, record := range s.byID {
		all = append(all, record)
	}
	s.mu.RUnlock()
	sortByAge(all)
	return all, nil
}

// write puts the record into the file, then into memory. The caller holds writing.
func (s *BoltStore) write(ctx context.Context, record Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	raw, err := encode(record)
	if err != nil {
		return err
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte(bucketName))
		if bucket == nil {
			return errNoBucket
		}
		return bucket.Put([]byte(record.Key.ID), raw)
	})
	if err != nil {
		return fmt.Errorf("%w: cannot write to %s: %w", ErrUnavailable, s.db.Path(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(record)
	return nil
}

// knows tells whether the record's id or digest is taken.
func (s *BoltStore) knows(record Record) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, id := s.byID[record.Key.ID]
	_, digest := s.byDigest[record.Digest]
	return id || digest
}

// remember puts the record into memory. The caller holds mu, or is the only one who knows s.
func (s *BoltStore) remember(record Record) {
	s.byID[record.Key.ID] = record
	s.byDigest[record.Digest] = record
}
