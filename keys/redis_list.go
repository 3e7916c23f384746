package keys

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// listChunk is about how many documents one answer holds: some 300 KB, which keeps nobody else waiting for long.
const listChunk = 500

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
	return all, joined(failed)
}

// Tenants implements TenantRegistry. What is set while it runs may be missing.
func (s *RedisStore) Tenants(ctx context.Context) ([]Tenant, error) {
	found, failed := make(map[string]Tenant), make(map[string]error)
	err := s.scan(ctx, redisTenants, func(name, value string) {
		if tenant, err := tenantFromRedis(name, value); err != nil {
			failed[name] = err
		} else {
			found[name] = tenant
		}
	})
	if err != nil {
		return nil, redisFailure(ctx, "list the tenants", err)
	}
	all := slices.AppendSeq(make([]Tenant, 0, len(found)), maps.Values(found))
	sortByName(all)
	return all, joined(failed)
}

// EachDigest implements Feed. What take is given is overwritten later.
func (s *RedisStore) EachDigest(ctx context.Context, take func([]Digest)) error {
	digests := make([]Digest, 0, listChunk)
	err := s.scan(ctx, redisDigests, func(text, _ string) {
		if raw, err := base64.RawURLEncoding.DecodeString(text); err == nil && len(raw) == len(Digest{}) {
			digests = append(digests, Digest(raw))
		}
		if len(digests) == listChunk {
			take(digests)
			digests = digests[:0]
		}
	})
	if err != nil {
		return redisFailure(ctx, "list the digests", err)
	}
	take(digests)
	return nil
}

// joined is one error of all, in the order of their names.
func joined(failed map[string]error) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		all = append(all, failed[name])
	}
	return errors.Join(all...)
}

// errMoved says that the hash went to another server while it was read, by a fail-over or because its slot was moved.
var errMoved = errors.New("the list was cut short, as another server has it now; try again")

// scanTries bounds how often a scan begins anew.
const scanTries = 3

// scan hands all fields of a hash to take, some of them twice.
func (s *RedisStore) scan(ctx context.Context, hash string, take func(field, value string)) error {
	err := errMoved
	for try := 0; try < scanTries && errors.Is(err, errMoved); try++ {
		err = s.scanOnce(ctx, hash, take)
	}
	return err
}

// scanOnce fails with errMoved where not all portions are of one server: a cursor means nothing to another, which goes on
// somewhere, and leaves fields out without an error.
func (s *RedisStore) scanOnce(ctx context.Context, hash string, take func(field, value string)) error {
	server := ""
	for cursor := "0"; ; {
		told, err := s.list.Run(ctx, s.client, []string{hash}, cursor, listChunk).StringSlice()
		if err == nil && len(told)%2 != 0 {
			err = fmt.Errorf("the script returned %d values", len(told))
		}
		if err != nil {
			return err
		}
		if cursor != "0" && told[0] != server {
			return errMoved
		}
		server, cursor = told[0], told[1]
		for pair := range slices.Chunk(told[2:], 2) {
			take(pair[0], pair[1])
		}
		if cursor == "0" {
			return nil
		}
	}
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
