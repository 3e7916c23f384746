package redistest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Everything returns what a thief of the server's memory would read: each key of
// each database with its type and all of its content, as they are, a line each, sorted by key.
func (s *Server) Everything(t testing.TB) string {
	t.Helper()
	databases, err := s.Client(t).InfoMap(context.Background(), "keyspace").Result()
	if err != nil {
		t.Fatalf("cannot ask for the databases: %v", err)
	}
	var lines []string
	for name := range databases["Keyspace"] {
		o := s.Options()
		if _, err := fmt.Sscanf(name, "db%d", &o.DB); err != nil {
			t.Fatalf("not a database: %q", name)
		}
		client := redis.NewClient(o)
		defer func() { _ = client.Close() }()
		found, err := dump(context.Background(), client)
		if err != nil {
			t.Fatalf("cannot read %s: %v", name, err)
		}
		lines = append(lines, found...)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func dump(ctx context.Context, client *redis.Client) ([]string, error) {
	var lines []string
	keys := client.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		kind, content, err := contentOf(ctx, client, keys.Val())
		if err != nil {
			return nil, fmt.Errorf("%q: %w", keys.Val(), err)
		}
		lines = append(lines, fmt.Sprintf("%s %s %v", keys.Val(), kind, content))
	}
	return lines, keys.Err()
}

func contentOf(ctx context.Context, client *redis.Client, key string) (kind string, content any, err error) {
	kind, err = client.Type(ctx, key).Result()
	if err != nil {
		return "", nil, err
	}
	switch kind {
	case "none": // it has expired
	case "string":
		content, err = client.Get(ctx, key).Result()
	case "hash":
		content, err = client.HGetAll(ctx, key).Result()
	case "list":
		content, err = client.LRange(ctx, key, 0, -1).Result()
	case "set":
		content, err = client.SMembers(ctx, key).Result()
	case "zset":
		content, err = client.ZRangeWithScores(ctx, key, 0, -1).Result()
	case "stream":
		content, err = client.XRange(ctx, key, "-", "+").Result()
	default:
		content, err = client.Dump(ctx, key).Result()
	}
	return kind, content, err
}
