package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tollgate/store"

	"github.com/redis/go-redis/v9"
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
		coming: missingFrom(before.leading(), record.leading()), gone: missingFrom(record.leading(), before.leading()),
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

// leading are the secrets whose digests lead to the record. A deleted key's are there for the replicas alone.
func (r Record) leading() []StoredSecret {
	if r.Key == nil || !r.Key.DeletedAt.IsZero() {
		return nil
	}
	return r.Secrets
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
	if tenant.Deleted {
		c.deleted = time.Now()
	} else {
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
	args, err := s.arguments(c)
	if err != nil {
		return 0, err
	}
	keys := []string{c.hash, redisDigests, redisVersion, redisChanges, redisAudit, redisGraves, redisRecords}
	said, err := s.send(ctx, keys, args)
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
	return version, nil
}

// arguments are the ARGV of commitScript.
func (s *RedisStore) arguments(c commit) ([]any, error) {
	line, err := encodeEntry(c.entry)
	if err != nil {
		return nil, err
	}
	deleted := ""
	if !c.deleted.IsZero() {
		deleted = strconv.FormatInt(c.deleted.Unix(), 10)
	}
	args := []any{
		c.field, c.old, c.new, c.member, line, s.auditLines, deleted, time.Now().Add(-graveTime).Unix(), len(c.coming), redisNews,
	}
	for _, digest := range slices.Concat(c.coming, c.gone) {
		args = append(args, digest.text())
	}
	return args, nil
}

// send runs commitScript, and where that is asked for waits for a replica, on the connection that the script ran on.
func (s *RedisStore) send(ctx context.Context, keys []string, args []any) (said string, err error) {
	if !s.awaitReplica && s.confirm == nil {
		return s.commit.Run(ctx, s.client, keys, args...).Text()
	}
	err = s.client.Watch(ctx, func(conn *redis.Tx) error { // of nothing: it is the way to keep a connection
		said, err = s.commit.Run(ctx, conn, keys, args...).Text()
		if err != nil || said == "overtaken" || said == "duplicate" {
			return err
		}
		return s.secure(ctx, conn)
	})
	return said, err
}

// secure makes sure that what was written over conn outlives the server's being replaced, as far as that was asked for.
func (s *RedisStore) secure(ctx context.Context, conn *redis.Tx) error {
	if s.awaitReplica {
		awaitReplica(ctx, conn)
	}
	return s.confirmServer(ctx, conn)
}

// confirmRead is for a change that needs no writing, because it is made already: by whom is not known, and it may be a
// former try, at a master that has been replaced.
func (s *RedisStore) confirmRead(ctx context.Context) error {
	if err := s.confirmServer(ctx, s.client); err != nil {
		return redisFailure(ctx, "store a change", err)
	}
	return nil
}

// confirmServer returns an error where the server that this is a connection to is known not to be the master.
func (s *RedisStore) confirmServer(ctx context.Context, server redis.Cmdable) error {
	if s.confirm == nil {
		return nil
	}
	info, err := server.Info(ctx, "server").Result()
	if err != nil {
		return nil // the user may not ask, or the server is gone: what it has is what counts
	}
	return s.confirm(ctx, store.RunID(info))
}

// awaitReplica waits until one has what was written. Whether it comes to that changes nothing any more. A server looks
// ten times a second for who has waited long enough, so its answer may take as much longer.
func awaitReplica(ctx context.Context, conn *redis.Tx) {
	ctx, cancel := context.WithTimeout(ctx, 4*replicaTime)
	defer cancel()
	_ = conn.Wait(ctx, 1, replicaTime).Err()
}
