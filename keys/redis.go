package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"tollgate/store"
)

// What the shared store consists of. The document of a key stands in one place, so a
// change is one write, and a digest only leads there. "{keys}" is the hash tag of
// all: a Cluster keeps them in one slot, where one script may touch them.
const (
	redisRecords = "tollgate:{keys}:records" // hash: public id -> version and document
	redisDigests = "tollgate:{keys}:digests" // hash: digest, as in the document -> public id
	redisTenants = "tollgate:{keys}:tenants" // hash: name -> version and document
	redisVersion = "tollgate:{keys}:version" // the highest version
	redisChanges = "tollgate:{keys}:changes" // sorted set: what was last changed in which version: a public id, or "tenant:" and a name
	redisAudit   = "tollgate:{keys}:audit"   // sorted set: version and document of each line, by version
	redisGraves  = "tollgate:{keys}:graves"  // sorted set: the ids of deleted keys, by the second of their end
	redisNews    = "tollgate:{keys}:news"    // the channel on which each new version is said
)

// tenantMember is what the name of a tenant follows in redisChanges.
const tenantMember = "tenant:"

const (
	// findScript follows a digest to its document in one round trip. A digest that leads nowhere gives the id and "",
	// which no reader takes for a document: a damaged store must not look like an unknown key.
	findScript = `
local id = redis.call('HGET', KEYS[2], ARGV[1])
if not id then return false end
return {id, redis.call('HGET', KEYS[1], id) or ''}`

	// commitScript is a compare-and-set of one document, with all that a change brings: its version, its digests, its place
	// among the changes, and its line of the audit. It reads all before it writes, so that it writes all or nothing.
	//
	// KEYS: hash of the document, digests, version, changes, audit, graves, records.
	// ARGV: field, old value ("": none), new document ("": none), member of the changes, line of the audit, how many lines to
	// keep, the second of a deletion ("": none), the second before which graves are emptied, how many digests come, those,
	// and those that go.
	commitScript = `
local field, old, new = ARGV[1], ARGV[2], ARGV[3]
if (redis.call('HGET', KEYS[1], field) or '') ~= old then return 'overtaken' end
local coming = tonumber(ARGV[9])
for i = 10, 9 + coming do
  local owner = redis.call('HGET', KEYS[2], ARGV[i])
  if owner and owner ~= field then return 'duplicate' end
end
local now = redis.call('TIME')
local version = math.max(tonumber(redis.call('GET', KEYS[3]) or '0') + 1, now[1] * 1000000 + now[2])
local text = string.format('%.0f', version)
redis.call('SET', KEYS[3], text)
if new == '' then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, text .. ' ' .. new) end
for i = 10, 9 + coming do redis.call('HSET', KEYS[2], ARGV[i], field) end
for i = 10 + coming, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
redis.call('ZADD', KEYS[4], text, ARGV[4])
redis.call('ZADD', KEYS[5], text, text .. ' ' .. ARGV[5])
redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -(ARGV[6] + 1))
if ARGV[7] ~= '' then redis.call('ZADD', KEYS[6], ARGV[7], field) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', ARGV[8], 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[7], id)
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZREM', KEYS[6], id)
end
return text`

	// changesScript tells the version, the time, and then member, version and value of each change, oldest first.
	changesScript = `
local head, now = redis.call('GET', KEYS[1]) or '0', redis.call('TIME')
local told = {head, now[1], now[2]}
if ARGV[1] == '0' or tonumber(head) <= tonumber(ARGV[1]) then return told end
local members = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #members, 2 do
  local member, value = members[i], false
  if string.sub(member, 1, 7) == 'tenant:' then
    value = redis.call('HGET', KEYS[4], string.sub(member, 8))
  else
    value = redis.call('HGET', KEYS[3], member)
  end
  told[#told + 1] = member
  told[#told + 1] = members[i + 1]
  told[#told + 1] = value or ''
end
return told`
)

const (
	// swapTries bounds how often Update is overtaken. Of several callers one always wins, so it takes more than so many at once to fail.
	swapTries = 32
	// listChunk is about how many documents one answer holds: some 300 KB, which keeps nobody else waiting for long.
	listChunk = 500
	// changesChunk is how many changes one answer holds.
	changesChunk = 200
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
	client                redis.UniversalClient
	find, commit, changes *redis.Script
}

// NewRedisStore returns the records behind client, which stays the caller's to close. It asks Redis nothing.
func NewRedisStore(client redis.UniversalClient) *RedisStore {
	return &RedisStore{
		client:  client,
		find:    redis.NewScript(findScript),
		commit:  redis.NewScript(commitScript),
		changes: redis.NewScript(changesScript),
	}
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
		return Record{}, ErrDuplicate
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

// List implements Registry. What is inserted while it runs may be missing.
func (s *RedisStore) List(ctx context.Context) ([]Record, error) {
	found, failed := make(map[string]Record), make(map[string]error) // a scan may meet a field twice
	err := s.scan(ctx, redisRecords, func(id, value string) {
		if record, err := fromRedis(id, value); err != nil {
			failed[id] = err
		} else if record.Key.DeletedAt.IsZero() {
			found[id] = record
		}
	})
	if err != nil {
		return nil, redisFailure(ctx, "list the keys", err)
	}
	all := slices.AppendSeq(make([]Record, 0, len(found)), maps.Values(found))
	sortByAge(all)
	return all, errors.Join(slices.Collect(maps.Values(failed))...)
}

// scan hands all fields of a hash to take, some of them twice.
func (s *RedisStore) scan(ctx context.Context, hash string, take func(field, value string)) error {
	for cursor := uint64(0); ; {
		chunk, next, err := s.client.HScan(ctx, hash, cursor, "", listChunk).Result()
		if err != nil {
			return err
		}
		for pair := range slices.Chunk(chunk, 2) {
			take(pair[0], pair[1])
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// Tenant implements TenantRegistry.
func (s *RedisStore) Tenant(ctx context.Context, name string) (Tenant, error) {
	tenant, _, err := s.tenant(ctx, name)
	return tenant, err
}

// tenant also returns the value as it is stored, for a compare-and-set.
func (s *RedisStore) tenant(ctx context.Context, name string) (t Tenant, value string, err error) {
	value, err = s.client.HGet(ctx, redisTenants, name).Result()
	if nothingThere(err) {
		return Tenant{}, "", ErrNotFound
	}
	if err != nil {
		return Tenant{}, "", redisFailure(ctx, "look a tenant up", err)
	}
	t, err = readTenant(name, []byte(value))
	if err != nil {
		return Tenant{}, "", fmt.Errorf("%w: %w: tenant %q: %w", ErrUnavailable, ErrUnreadable, name, err)
	}
	return t, value, nil
}

// Tenants implements TenantRegistry. What is set while it runs may be missing.
func (s *RedisStore) Tenants(ctx context.Context) ([]Tenant, error) {
	found := make(map[string]Tenant)
	var failed error
	err := s.scan(ctx, redisTenants, func(name, value string) {
		tenant, err := readTenant(name, []byte(value))
		if err != nil {
			failed = fmt.Errorf("%w: %w: tenant %q: %w", ErrUnavailable, ErrUnreadable, name, err)
		}
		found[name] = tenant
	})
	if err != nil {
		return nil, redisFailure(ctx, "list the tenants", err)
	}
	all := slices.AppendSeq(make([]Tenant, 0, len(found)), maps.Values(found))
	sortByName(all)
	return all, failed
}

// UpdateTenant implements TenantRegistry.
func (s *RedisStore) UpdateTenant(ctx context.Context, name string, change func(Tenant) (TenantEdit, error)) (Tenant, error) {
	for range swapTries {
		before, old, err := s.tenant(ctx, name)
		if errors.Is(err, ErrNotFound) {
			before = Tenant{Name: name}
		} else if err != nil {
			return Tenant{}, err
		}
		edit, err := change(before)
		switch {
		case errors.Is(err, errUnchanged):
			return before, nil
		case err != nil:
			return Tenant{}, err
		}
		after, err := s.writeTenant(ctx, old, edit)
		if !errors.Is(err, errOvertaken) {
			return after, err
		}
	}
	return Tenant{}, fmt.Errorf("%w: tenant %q was changed by others %d times meanwhile; try again", ErrUnavailable, name, swapTries)
}

// Audit implements Auditor.
func (s *RedisStore) Audit(ctx context.Context, before uint64, limit int) ([]Entry, error) {
	highest := "+inf"
	if before > 0 {
		highest = "(" + strconv.FormatUint(before, 10)
	}
	lines, err := s.client.ZRevRangeByScore(ctx, redisAudit, &redis.ZRangeBy{Min: "-inf", Max: highest, Count: int64(limit)}).Result()
	if err != nil {
		return nil, redisFailure(ctx, "read the audit", err)
	}
	entries := make([]Entry, len(lines))
	for i, line := range lines {
		if entries[i], err = readEntry([]byte(line)); err != nil {
			return nil, fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrUnreadable, err)
		}
	}
	return entries, nil
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
