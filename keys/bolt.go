package keys

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The buckets of the embedded store.
const (
	boltKeys    = "keys"       // public id -> version and document
	boltTenants = "tenants"    // name -> version and document
	boltAudit   = "keys_audit" // version, big endian -> version and document
)

// errNoBucket means that something deleted a bucket behind our back.
var errNoBucket = errors.New("one of its buckets is missing")

// graveTime is how long a deleted key is remembered.
const graveTime = 7 * 24 * time.Hour

// BoltStore keeps the records in the embedded store. The file belongs to this
// process alone, so a copy of all records in memory (about 1 KiB each) is
// never stale: look-ups read it, changes go to the file first.
type BoltStore struct {
	db         *bolt.DB
	cuts       *Cuts
	auditLines int

	// writing orders the changes: file, then memory, one at a time. Look-ups do not wait for the file.
	writing sync.Mutex

	mu       sync.RWMutex
	version  uint64 // the highest given
	byID     map[string]Record
	byDigest map[Digest]string
	tenants  map[string]Tenant
	buried   []string // the ids of deleted keys, in the order of their versions
}

// NewBoltStore returns the Store in db, after reading every record in it. It
// refuses a record it cannot read: half a directory would answer 401 to the other half.
func NewBoltStore(db *bolt.DB) (*BoltStore, error) {
	s := &BoltStore{
		db: db, cuts: newCuts(), auditLines: maxAudit,
		byID: make(map[string]Record), byDigest: make(map[Digest]string), tenants: make(map[string]Tenant),
	}
	if err := db.Update(s.load); err != nil {
		return nil, fmt.Errorf("cannot read the keys in %s: %w", db.Path(), err)
	}
	return s, nil
}

// load makes the buckets, where they are missing, and reads what is in them.
func (s *BoltStore) load(tx *bolt.Tx) error {
	read := map[string]func(name, value []byte) error{
		boltKeys: func(id, value []byte) error {
			record, err := readRecord(string(id), value)
			if err != nil {
				return fmt.Errorf("%w: key %q: %w", ErrUnreadable, id, err)
			}
			s.remember(record)
			return nil
		},
		boltTenants: func(name, value []byte) error {
			tenant, err := readTenant(string(name), value)
			if err != nil {
				return fmt.Errorf("%w: tenant %q: %w", ErrUnreadable, name, err)
			}
			s.rememberTenant(tenant)
			return nil
		},
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		bucket, err := tx.CreateBucketIfNotExists([]byte(name))
		if err != nil {
			return err
		}
		if err := bucket.ForEach(read[name]); err != nil {
			return err
		}
	}
	for id, record := range s.byID {
		if !record.Key.DeletedAt.IsZero() {
			s.buried = append(s.buried, id)
		}
	}
	slices.SortFunc(s.buried, func(a, b string) int { return cmp.Compare(s.byID[a].Key.Version, s.byID[b].Key.Version) })
	audit, err := tx.CreateBucketIfNotExists([]byte(boltAudit))
	if err != nil {
		return err
	}
	if last, _ := audit.Cursor().Last(); last != nil {
		s.version = max(s.version, binary.BigEndian.Uint64(last))
	}
	return nil
}

// ByDigest implements Finder. It allocates nothing.
func (s *BoltStore) ByDigest(_ context.Context, digest Digest, _ netip.Addr) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if record, ok := s.byID[s.byDigest[digest]]; ok {
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
func (s *BoltStore) Insert(ctx context.Context, edit Edit) (Record, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := s.ByID(ctx, edit.Record.Key.ID); err == nil {
		return Record{}, ErrDuplicate
	}
	return s.write(ctx, edit)
}

// Update implements Registry.
func (s *BoltStore) Update(ctx context.Context, id string, change func(Record) (Edit, error)) (Record, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	record, err := s.ByID(ctx, id)
	if err != nil {
		return Record{}, err
	}
	edit, err := change(record)
	switch {
	case errors.Is(err, errUnchanged):
		return record, nil
	case err != nil:
		return Record{}, err
	}
	key := *edit.Record.Key
	key.ID = id
	edit.Record.Key = &key
	return s.write(ctx, edit)
}

// List implements Registry.
func (s *BoltStore) List(context.Context) ([]Record, error) {
	s.mu.RLock()
	all := make([]Record, 0, len(s.byID))
	for _, record := range s.byID {
		if record.Key.DeletedAt.IsZero() {
			all = append(all, record)
		}
	}
	s.mu.RUnlock()
	sortByAge(all)
	return all, nil
}

// Tenant implements TenantRegistry.
func (s *BoltStore) Tenant(_ context.Context, name string) (Tenant, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if tenant, ok := s.tenants[name]; ok {
		return tenant, nil
	}
	return Tenant{}, ErrNotFound
}

// Tenants implements TenantRegistry.
func (s *BoltStore) Tenants(context.Context) ([]Tenant, error) {
	s.mu.RLock()
	all := slices.AppendSeq(make([]Tenant, 0, len(s.tenants)), maps.Values(s.tenants))
	s.mu.RUnlock()
	sortByName(all)
	return all, nil
}

// UpdateTenant implements TenantRegistry.
func (s *BoltStore) UpdateTenant(ctx context.Context, name string, change func(Tenant) (TenantEdit, error)) (Tenant, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	before, err := s.Tenant(ctx, name)
	if err != nil {
		before = Tenant{Name: name}
	}
	edit, err := change(before)
	switch {
	case errors.Is(err, errUnchanged):
		return before, nil
	case err != nil:
		return Tenant{}, err
	}
	edit.Tenant.Name = name
	return s.writeTenant(ctx, edit)
}

// TenantLimits implements Memory.
func (s *BoltStore) TenantLimits(tenant string) Limits {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tenants[tenant].Limits
}

// Cuts implements Memory.
func (s *BoltStore) Cuts() *Cuts { return s.cuts }

// Audit implements Auditor.
func (s *BoltStore) Audit(ctx context.Context, before uint64, limit int) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, asUnavailable(err)
	}
	entries := []Entry{}
	err := s.db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte(boltAudit))
		if bucket == nil {
			return errNoBucket
		}
		cursor := bucket.Cursor()
		at, value := cursor.Last()
		if before > 0 {
			if at, _ = cursor.Seek(binary.BigEndian.AppendUint64(nil, before)); at == nil {
				at, value = cursor.Last()
			} else {
				at, value = cursor.Prev()
			}
		}
		for ; at != nil && len(entries) < limit; at, value = cursor.Prev() {
			entry, err := readEntry(value)
			if err != nil {
				return err
			}
			entries = append(entries, entry)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: cannot read the audit in %s: %w", ErrUnavailable, s.db.Path(), err)
	}
	return entries, nil
}
