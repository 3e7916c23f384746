package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// changesChunk is how many changes one answer holds.
const changesChunk = 200

// Changes implements Feed in one round trip.
func (s *RedisStore) Changes(ctx context.Context, since uint64) (Changes, error) {
	hashes := []string{redisVersion, redisChanges, redisRecords, redisTenants, redisAudit}
	told, err := s.changes.Run(ctx, s.client, hashes, strconv.FormatUint(since, 10), changesChunk, s.auditLines).StringSlice()
	if err != nil {
		return Changes{}, redisFailure(ctx, "look for changes", err)
	}
	const head, each = 3, 3
	if len(told) < head || (len(told)-head)%each != 0 {
		return Changes{}, redisFailure(ctx, "look for changes", fmt.Errorf("the script returned %d values", len(told)))
	}
	c, err := changesHead(told[0], told[1], told[2])
	if err != nil {
		return Changes{}, redisFailure(ctx, "look for changes", err)
	}
	told = told[head:]
	if c.More = len(told) == changesChunk*each; c.More {
		if c.Version, err = parseScore(told[len(told)-2]); err != nil {
			return Changes{}, redisFailure(ctx, "look for changes", err)
		}
	}
	for change := range slices.Chunk(told, each) {
		score, err := parseScore(change[1])
		if err != nil {
			return Changes{}, redisFailure(ctx, "look for changes", err)
		}
		c.add(change[0], score, change[2])
	}
	return c, nil
}

func changesHead(version, seconds, microseconds string) (Changes, error) {
	head, err := parseScore(version)
	s, errS := strconv.ParseInt(seconds, 10, 64)
	us, errUS := strconv.ParseInt(microseconds, 10, 64)
	return Changes{Version: head, Now: time.Unix(s, us*1000)}, errors.Join(err, errS, errUS)
}

// parseScore reads the score of a sorted set, which a server may write with an exponent.
func parseScore(text string) (uint64, error) {
	f, err := strconv.ParseFloat(text, 64)
	return uint64(f), err
}

// add puts one change to the others. A value that is not there was removed: long ago, if it is a key's.
func (c *Changes) add(member string, version uint64, value string) {
	name, isTenant := strings.CutPrefix(member, tenantMember)
	switch {
	case isTenant && value == "":
		c.Tenants = append(c.Tenants, Tenant{Name: name, Deleted: true, Version: version})
	case isTenant:
		if tenant, err := readTenant(name, []byte(value)); err == nil {
			c.Tenants = append(c.Tenants, tenant)
		} else {
			c.Unreadable = append(c.Unreadable, member)
		}
	default:
		if record, err := readRecord(member, []byte(value)); err == nil {
			c.Records = append(c.Records, record)
		} else {
			c.Unreadable = append(c.Unreadable, member)
		}
	}
}

// Wake implements Feed. It asks Redis nothing before it returns; where Redis does not let its user listen, nothing ever comes.
func (s *RedisStore) Wake(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	go s.listen(ctx, wake)
	return wake
}

// listen wakes whoever waits, until ctx ends. The client connects again by itself, and notices a connection that is dead.
func (s *RedisStore) listen(ctx context.Context, wake chan<- struct{}) {
	listening := s.client.Subscribe(ctx, redisNews)
	defer func() { _ = listening.Close() }()
	news := listening.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case _, more := <-news:
			if !more {
				return
			}
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
