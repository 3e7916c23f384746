package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/redis/go-redis/v9"

	"tollgate/store"
)

const (
	// replicaTime bounds the wait for a replica, which has a change within a millisecond or two where all is well.
	replicaTime = 60 * time.Millisecond
	// swapTries bounds how often Update is overtaken. Of several callers one always wins, so it takes more than so many at once to fail.
	swapTries = 32
)

// RedisStore keeps the records in the Redis of a fleet: a single server, one
// behind Sentinels, or a Cluster. Nothing is kept in memory, every call is a
// question to Redis, so all replicas see a change at once; CachedStore stands in front of it.
//
// It needs Lua scripts (EVALSHA, EVAL). How durable a change is, Redis decides:
// without "appendonly yes" a restart, and without AwaitReplica a failover, may
// lose the last ones. After an error that wraps ErrUnavailable a
// change may have been made: the answer can be lost on its way back.
type RedisStore struct {
	client                      redis.UniversalClient
	find, list, commit, changes *redis.Script
	auditLines                  int
	awaitReplica                bool
	confirm                     func(ctx context.Context, runID string) error
}

// RedisOption changes how a RedisStore works.
type RedisOption func(*RedisStore)

// AwaitReplica makes each change wait until a replica has it, for replicaTime at most, and go on without in the end: what
// was answered then outlives a failover. It is for a master that Sentinels watch. A server without a replica that
// works would cost each change all of that time, and a Cluster refuses it.
func AwaitReplica() RedisOption { return func(s *RedisStore) { s.awaitReplica = true } }

// ConfirmMaster makes each change ask, once it is made, whether the server that took it is the master still: a master that
// was replaced takes changes for some seconds, and forgets them. Its error is the change's, and wraps store.ErrReplaced.
func ConfirmMaster(confirm func(ctx context.Context, runID string) error) RedisOption {
	return func(s *RedisStore) { s.confirm = confirm }
}

// NewRedisStore returns the records behind client, which stays the caller's to close. It asks Redis nothing.
func NewRedisStore(client redis.UniversalClient, options ...RedisOption) *RedisStore {
	s := &RedisStore{
		client:     client,
		find:       redis.NewScript(findScript),
		list:       redis.NewScript(listScript),
		commit:     redis.NewScript(commitScript),
		changes:    redis.NewScript(changesScript),
		auditLines: maxAudit,
	}
	for _, apply := range options {
		apply(s)
	}
	return s
}

// ByDigest implements Finder in one round trip. Where its connection turns out to
// be dead, it asks once more on another: a question may be put twice.
func (s *RedisStore) ByDigest(ctx context.Context, digest Digest, _ netip.Addr) (Record, error) {
	ask := func() ([]string, error) {
		return s.find.Run(ctx, s.client, []string{redisRecords, redisDigests}, digest.text()).StringSlice()
	}
	found, err := ask()
	if store.ConnectionLost(err) {
		found, err = ask()
	}
	if nothingThere(err) {
		return Record{}, ErrNotFound
	}
	if err == nil && len(found) != 2 {
		err = fmt.Errorf("the script returned %d values, not an id and a document", len(found))
	}
	if err != nil {
		return Record{}, redisFailure(ctx, "look a secret up", err)
	}
	record, err := fromRedis(found[0], found[1])
	if _, ok := record.secret(digest); err == nil && !ok {
		return Record{}, unreadable(found[0], errors.New("another digest leads to it"))
	}
	return record, err
}

// ByID implements Finder.
func (s *RedisStore) ByID(ctx context.Context, id string) (Record, error) {
	record, _, err := s.byID(ctx, id)
	return record, err
}

// Insert implements Registry.
func (s *RedisStore) Insert(ctx context.Context, edit Edit) (Record, error) {
	record, err := s.write(ctx, Record{}, "", edit)
	if errors.Is(err, errOvertaken) {
		err = ErrDuplicate
	}
	if errors.Is(err, ErrDuplicate) {
		err = cmp.Or(s.confirmRead(ctx), err)
	}
	return record, err
}

// Update implements Registry. It fails with ErrUnavailable, and changes nothing, when others change the key all the time.
func (s *RedisStore) Update(ctx context.Context, id string, change func(Record) (Edit, error)) (Record, error) {
	for range swapTries {
		before, old, err := s.byID(ctx, id)
		if err != nil {
			return Record{}, err
		}
		edit, err := change(before)
		switch {
		case errors.Is(err, errUnchanged):
			if err := s.confirmRead(ctx); err != nil {
				return Record{}, err
			}
			return before, nil
		case err != nil:
			return Record{}, err
		}
		key := *edit.Record.Key
		key.ID = id
		edit.Record.Key = &key
		after, err := s.write(ctx, before, old, edit)
		if !errors.Is(err, errOvertaken) {
			return after, err
		}
	}
	return Record{}, fmt.Errorf("%w: key %q was changed by others %d times meanwhile; try again", ErrUnavailable, id, swapTries)
}

// byID also returns the value as it is stored, for a compare-and-set.
func (s *RedisStore) byID(ctx context.Context, id string) (record Record, value string, err error) {
	value, err = s.client.HGet(ctx, redisRecords, id).Result()
	if nothingThere(err) {
		return Record{}, "", ErrNotFound
	}
	if err != nil {
		return Record{}, "", redisFailure(ctx, "look a key up", err)
	}
	record, err = fromRedis(id, value)
	return record, value, err
}

func fromRedis(id, value string) (Record, error) {
	record, err := readRecord(id, []byte(value))
	if err != nil {
		return Record{}, unreadable(id, err)
	}
	return record, nil
}

func unreadable(id string, err error) error {
	return fmt.Errorf("%w: %w: key %q: %w", ErrUnavailable, ErrUnreadable, id, err)
}

// nothingThere tells Redis' own answer from an outage: behind Sentinels a failed
// call may join redis.Nil with other errors, and must not look like an unknown key.
func nothingThere(err error) bool {
	return err == redis.Nil //nolint:errorlint // see above
}

// redisFailure names the end of the caller's time also where the client saw only a time-out, which may come a moment sooner.
func redisFailure(ctx context.Context, doing string, err error) error {
	ended := ctx.Err()
	if deadline, ok := ctx.Deadline(); ok && ended == nil && !time.Now().Before(deadline) {
		ended = context.DeadlineExceeded
	}
	if ended != nil && !errors.Is(err, ended) {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	return fmt.Errorf("%w: cannot %s in Redis: %w", ErrUnavailable, doing, err)
}
