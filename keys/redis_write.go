package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// errOvertaken says that somebody else has changed the document meanwhile.
var errOvertaken = errors.New("changed by others meanwhile")

// commit is one change on its way into Redis.
type commit struct {
	doing        string // for messages
	hash, field  string
	old, new     string
	member       string
	entry        Entry
	deleted      time.Time // zero: not
	coming, gone []Digest
}

// write makes edit of the record before, which is stored as old.
func (s *RedisStore) write(ctx context.Context, before Record, old string, edit Edit) (Record, error) {
	record := edit.Record
	document, err := encode(record)
	if err != nil {
		return Record{}, err
	}
	c := commit{
		doing: "store a key", hash: redisRecords, field: record.Key.ID, old: old, new: string(document),
		member: record.Key.ID, entry: edit.Entry, deleted: record.Key.DeletedAt,
	}
	// A deleted key's digests are in its record, for the replicas, and lead nowhere any more.
	if record.Key.DeletedAt.IsZero() {
		c.coming = missingFrom(before.Secrets, record.Secrets)
		c.gone = missingFrom(record.Secrets, before.Secrets)
	} else {
		c.gone = missingFrom(nil, before.Secrets)
	}
	version, err := s.run(ctx, c)
	if err != nil {
		return Record{}, err
	}
	key := *record.Key
	key.Version = version
	record.Key = &key
	return record, nil
}

// missingFrom are the digests of all that are not in some.
func missingFrom(some, all []StoredSecret) []Digest {
	var missing []Digest
	for _, secret := range all {
		if !slices.ContainsFunc(some, func(s StoredSecret) bool { return s.Digest == secret.Digest }) {
			missing = append(missing, secret.Digest)
		}
	}
	return missing
}

func (s *RedisStore) writeTenant(ctx context.Context, old string, edit TenantEdit) (Tenant, error) {
	tenant := edit.Tenant
	c := commit{
		doing: "store a tenant", hash: redisTenants, field: tenant.Name, old: old,
		member: tenantMember + tenant.Name, entry: edit.Entry,
	}
	if !tenant.Deleted {
		document, err := encodeTenant(tenant)
		if err != nil {
			return Tenant{}, err
		}
		c.new = string(document)
	}
	version, err := s.run(ctx, c)
	tenant.Version = version
	return tenant, err
}

// run makes one change, and says so to whoever listens. It returns the version of the change.
func (s *RedisStore) run(ctx context.Context, c commit) (version uint64, err error) {
	line, err := encodeEntry(c.entry)
	if err != nil {
		return 0, err
	}
	keys := []string{c.hash, redisDigests, redisVersion, redisChanges, redisAudit, redisGraves, redisRecords}
	deleted := ""
	if !c.deleted.IsZero() {
		deleted = strconv.FormatInt(c.deleted.Unix(), 10)
	}
	args := []any{
		c.field, c.old, c.new, c.member, line, maxAudit, deleted, time.Now().Add(-graveTime).Unix(), len(c.coming),
	}
	for _, digest := range slices.Concat(c.coming, c.gone) {
		args = append(args, digest.text())
	}
	said, err := s.commit.Run(ctx, s.client, keys, args...).Text()
	switch {
	case err != nil:
		return 0, redisFailure(ctx, c.doing, err)
	case said == "overtaken":
		return 0, errOvertaken
	case said == "duplicate":
		return 0, ErrDuplicate
	}
	version, err = strconv.ParseUint(said, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: cannot %s in Redis: it answered %q, not a version", ErrUnavailable, c.doing, said)
	}
	// Whoever does not hear of it asks soon anyway.
	_ = s.client.Publish(ctx, redisNews, said).Err()
	return version, nil
}
