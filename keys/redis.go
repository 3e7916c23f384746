package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"tollgate/store"
)

// The hashes of the shared store. The document of a key stands in one place, so
// a change is one write, and a digest only leads there. "{keys}" is their hash
// tag: a Cluster keeps both in one slot, where one script may touch both.
const (
	redisRecords = "tollgate:{keys}:records" // public id -> document
	redisDigests = "tollgate:{keys}:digests" // digest, as in the document -> public id
)

const (
	// findScript follows a digest to its document in one round trip. A digest that leads nowhere gives the id and "",
	// which no reader takes for a document: a damaged store must not look like an unknown key.
	findScript = `
local id = redis.call('HGET', KEYS[2], ARGV[1])
if not id then return false end
return {id, redis.call('HGET', KEYS[1], id) or ''}`

	// insertScript reads both hashes before it writes, so that it writes both or none.
	insertScript = `
local id, digest, document = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HEXISTS', KEYS[1], id) + redis.call('HEXISTS', KEYS[2], digest) > 0 then return 0 end
redis.call('HSET', KEYS[1], id, document)
redis.call('HSET', KEYS[2], digest, id)
return 1`

	// swapScript is a compare-and-set of one document.
	swapScript = `
local id, old, new = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', KEYS[1], id) ~= old then return 0 end
redis.call('HSET', KEYS[1], id, new)
return 1`
)

const (
	// swapTries bounds how often Update is overtaken. Of several callers one always wins, so it takes more than so many at once to fail.
	swapTries = 32
	// listChunk is about how many documents one answer holds: some 150 KB, which keeps nobody else waiting for long.
	listChunk = 500
)

// RedisStore keeps the records in the Redis of a fleet: a single server, one
// behind Sentinels, or a Cluster. Nothing is kept in memory, every call is a
// question to Redis, so all replicas see a change at once; CachedStore stands in front of it.
//
// It needs Lua scripts (EVALSHA, EVAL). How durable a change is, Redis decides:
// without "appendonly yes" a restart, and without a synchronous replica a
// failover, may lose the last ones. After an error that wraps ErrUnavailable a
// change may have been made: the answer can be lost on its way back.
type RedisStore struct {
	client             redis.UniversalClient
	find, insert, swap *redis.Script
}

// NewRedisStore returns the Store behind client, which stays the caller's to close. It asks Redis nothing.
func NewRedisStore(client redis.UniversalClient) *RedisStore {
	return &RedisStore{
		client: client,
		find:   redis.NewScript(findScript),
		insert: redis.NewScript(insertScript),
		swap:   redis.NewScript(swapScript),
	}
}

// ByDigest implements Finder in one round trip. Where its connection turns out to
// be dead, it asks once more on another: a question may be put twice.
func (s *RedisStore) ByDigest(ctx context.Context, digest Digest) (Record, error) {
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
	if err == nil && record.Digest != digest {
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
func (s *RedisStore) Insert(ctx context.Context, record Record) error {
	document, err := encode(record)
	if err != nil {
		return err
	}
	hashes := []string{redisRecords, redisDigests}
	inserted, err := s.insert.Run(ctx, s.client, hashes, record.Key.ID, record.Digest.text(), document).Bool()
	switch {
	case err != nil:
		return redisFailure(ctx, "store a key", err)
	case !inserted:
		return ErrDuplicate
	default:
		return nil
	}
}

// Update implements Registry. It fails with ErrUnavailable, and changes nothing, when others change the key all the time.
func (s *RedisStore) Update(ctx context.Context, id string, change func(Key) Key) (*Key, error) {
	for range swapTries {
		record, old, err := s.byID(ctx, id)
		if err != nil {
			return nil, err
		}
		changed := change(*record.Key)
		changed.ID = id
		record.Key = &changed
		document, err := encode(record)
		if err != nil {
			return nil, err
		}
		swapped, err := s.swap.Run(ctx, s.client, []string{redisRecords}, id, old, document).Bool()
		if err != nil {
			return nil, redisFailure(ctx, "change a key", err)
		}
		if swapped {
			return &changed, nil
		}
	}
	return nil, fmt.Errorf("%w: key %q was changed by others %d times meanwhile; try again", ErrUnavailable, id, swapTries)
}

// List implements Registry. What is inserted while it runs may be missing.
func (s *RedisStore) List(ctx context.Context) ([]Record, error) {
	found, failed := make(map[string]Record), make(map[string]error) // a scan may meet a field twice
	for cursor := uint64(0); ; {
		chunk, next, err := s.client.HScan(ctx, redisRecords, cursor, "", listChunk).Result()
		if err != nil {
			return nil, redisFailure(ctx, "list the keys", err)
		}
		for pair := range slices.Chunk(chunk, 2) {
			if record, err := fromRedis(pair[0], pair[1]); err != nil {
				failed[pair[0]] = err
			} else {
				found[pair[0]] = record
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	all := slices.AppendSeq(make([]Record, 0, len(found)), maps.Values(found))
	sortByAge(all)
	return all, errors.Join(slices.Collect(maps.Values(failed))...)
}

// byID also returns the document as it is stored, for a compare-and-set.
func (s *RedisStore) byID(ctx context.Context, id string) (record Record, document string, err error) {
	document, err = s.client.HGet(ctx, redisRecords, id).Result()
	if nothingThere(err) {
		return Record{}, "", ErrNotFound
	}
	if err != nil {
		return Record{}, "", redisFailure(ctx, "look a key up", err)
	}
	record, err = fromRedis(id, document)
	return record, document, err
}

func fromRedis(id, document string) (Record, error) {
	record, err := decodeAs(id, []byte(document))
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
