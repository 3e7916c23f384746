package keys

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// write puts a record into the file, then into memory. The caller holds writing.
func (s *BoltStore) write(ctx context.Context, edit Edit) (Record, error) {
	record := edit.Record
	if s.takesAnothers(record) {
		return Record{}, ErrDuplicate
	}
	version := s.nextVersion()
	key := *record.Key
	key.Version = version
	record.Key = &key
	document, err := encode(record)
	if err != nil {
		return Record{}, err
	}
	graves := s.graves()
	err = s.commit(ctx, version, edit.Entry, func(tx *bolt.Tx) error {
		if err := put(tx, boltKeys, []byte(key.ID), framed(version, document)); err != nil {
			return err
		}
		for _, id := range graves {
			if err := tx.Bucket([]byte(boltKeys)).Delete([]byte(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buried = s.buried[len(graves):]
	for _, id := range graves {
		s.forget(id)
	}
	before, known := s.byID[key.ID]
	switch buried := known && !before.Key.DeletedAt.IsZero(); {
	case buried && key.DeletedAt.IsZero():
		s.buried = slices.DeleteFunc(s.buried, func(id string) bool { return id == key.ID })
	case !buried && !key.DeletedAt.IsZero():
		s.buried = append(s.buried, key.ID)
	}
	s.remember(record)
	return record, nil
}

// writeTenant does the same for a tenant.
func (s *BoltStore) writeTenant(ctx context.Context, edit TenantEdit) (Tenant, error) {
	tenant := edit.Tenant
	version := s.nextVersion()
	tenant.Version = version
	document, err := encodeTenant(tenant)
	if err != nil {
		return Tenant{}, err
	}
	err = s.commit(ctx, version, edit.Entry, func(tx *bolt.Tx) error {
		if tenant.Deleted {
			return tx.Bucket([]byte(boltTenants)).Delete([]byte(tenant.Name))
		}
		return put(tx, boltTenants, []byte(tenant.Name), framed(version, document))
	})
	if err != nil {
		return Tenant{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rememberTenant(tenant)
	return tenant, nil
}

// commit makes one change durable, together with its line of the audit.
func (s *BoltStore) commit(ctx context.Context, version uint64, entry Entry, change func(*bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return asUnavailable(err)
	}
	line, err := encodeEntry(entry)
	if err != nil {
		return err
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{boltKeys, boltTenants, boltAudit} {
			if tx.Bucket([]byte(name)) == nil {
				return errNoBucket
			}
		}
		if err := change(tx); err != nil {
			return err
		}
		if err := put(tx, boltAudit, binary.BigEndian.AppendUint64(nil, version), framed(version, line)); err != nil {
			return err
		}
		return trimAudit(tx.Bucket([]byte(boltAudit)), s.auditLines)
	})
	if err != nil {
		return fmt.Errorf("%w: cannot write to %s: %w", ErrUnavailable, s.db.Path(), err)
	}
	return nil
}

func put(tx *bolt.Tx, bucket string, name, value []byte) error {
	return tx.Bucket([]byte(bucket)).Put(name, value)
}

// trimAudit drops what is oldest, a part of it at a time: counting the lines of each change would cost more than the change.
func trimAudit(audit *bolt.Bucket, keep int) error {
	every := uint64(keep/100 + 1)
	if audit.Sequence()%every == 0 {
		for n := audit.Stats().KeyN; n > keep; n-- {
			oldest, _ := audit.Cursor().First()
			if err := audit.Delete(oldest); err != nil {
				return err
			}
		}
	}
	_, err := audit.NextSequence()
	return err
}

// nextVersion is higher than all before, and about the microsecond of the present. The caller holds writing.
func (s *BoltStore) nextVersion() uint64 {
	s.version = max(s.version+1, uint64(max(time.Now().UnixMicro(), 0)))
	return s.version
}

// takesAnothers tells whether one of the record's digests is another key's.
func (s *BoltStore) takesAnothers(record Record) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, secret := range record.leading() {
		if id, taken := s.byDigest[secret.Digest]; taken && id != record.Key.ID {
			return true
		}
	}
	return false
}

// graves are the ids of keys that were deleted long ago.
func (s *BoltStore) graves() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for n, id := range s.buried {
		if at := s.byID[id].Key.DeletedAt; time.Since(at) <= graveTime {
			return slices.Clone(s.buried[:n])
		}
	}
	return slices.Clone(s.buried)
}

// remember puts the record into memory. The caller holds mu, or is the only one who knows s.
func (s *BoltStore) remember(record Record) {
	s.forget(record.Key.ID)
	s.byID[record.Key.ID] = record
	for _, secret := range record.leading() {
		s.byDigest[secret.Digest] = record.Key.ID
	}
	s.version = max(s.version, record.Key.Version)
	if record.Key.Severed {
		s.cuts.sever(record.Key.ID)
	} else {
		s.cuts.mend(record.Key.ID)
	}
}

func (s *BoltStore) forget(id string) {
	for _, secret := range s.byID[id].leading() {
		delete(s.byDigest, secret.Digest)
	}
	delete(s.byID, id)
}

func (s *BoltStore) rememberTenant(tenant Tenant) {
	s.version = max(s.version, tenant.Version)
	if tenant.Deleted {
		delete(s.tenants, tenant.Name)
		return
	}
	s.tenants[tenant.Name] = tenant
}
