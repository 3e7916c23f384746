package ratelimit

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"tollgate/store/redistest"
)

const (
	// bankKeys and bankCommands are the rights of a Redis user that limits need, as docs/keys.md says.
	bankKeys     = "~tollgate:limits:*"
	bankCommands = "+eval +evalsha +time +hmget +hgetall +hset +hdel +hlen +zadd +zcard +zrem +zrangebyscore +zremrangebyscore +pexpire"
)

// What limits ask of Redis needs these rights, and none is refused it.
func TestBankHasRightsEnough(t *testing.T) {
	server := redistest.Start(t, redistest.WithConfig("user narrow on >p resetchannels "+bankKeys+" +client|setname "+bankCommands))
	admin, client := server.Client(t), narrowClient(t, server)
	testBank(t, func(t *testing.T) contractBank {
		empty(t, admin)
		return realBank(client)
	})
	if refused := admin.Do(t.Context(), "ACL", "LOG").String(); refused != "ACL LOG: []" {
		t.Errorf("refused: %s", refused)
	}
}

// An order that fails for want of a right, whichever it is, leaves everything as it was, and nothing that stays for ever.
func TestBankWithoutARight(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client(t)
	all := NewRedisBank(admin)
	orders := map[string]func() *Order{
		"fresh": func() *Order {
			return order("b", 2, []Line{line(KeyTokens, 10).owing(1, 1), line(TenantConcurrent, 10)}, "1 1")
		},
		"known": func() *Order {
			return order("b", 2, []Line{line(KeyRequests, 10).owing(1, 1), line(KeyConcurrent, 10)}, "1 1")
		},
	}
	f := func(missing string) {
		t.Helper()
		for name, ask := range orders {
			empty(t, admin)
			wantAnswer(t, all, order("a", 1, []Line{line(KeyRequests, 10), line(KeyConcurrent, 10)}, "3 1"), "requests 3/10, concurrent 1/10, granted")
			if err := admin.Do(t.Context(), "ACL", "SETUSER", "narrow", "reset", "on", ">p", "~*", "+@all", missing).Err(); err != nil {
				t.Fatal(err)
			}
			client := narrowClient(t, server)
			before := server.Everything(t)
			b := NewRedisBank(client)
			o := ask()
			b.Trade(t.Context(), o)
			if diff := cmp.Diff(before, server.Everything(t)); o.Err != nil && diff != "" {
				t.Errorf("%s: %s: a part of the order was carried out (-want +got):\n%s", missing, name, diff)
			}
			if _, err := b.Beat(t.Context(), "b"); errors.Join(o.Err, err) == nil {
				t.Errorf("%s: %s: nothing was refused", missing, name)
			}
			for _, key := range admin.Keys(t.Context(), "*").Val() {
				if ttl := admin.PTTL(t.Context(), key).Val(); ttl < 0 {
					t.Errorf("%s: %s: %s stays for ever", missing, name, key)
				}
			}
		}
	}
	for _, command := range []string{"time", "hmget", "hgetall", "hset", "pexpire", "zadd", "zcard", "zrangebyscore", "zremrangebyscore"} {
		f("-" + command)
	}
}

func narrowClient(t *testing.T, server *redistest.Server) redis.UniversalClient {
	t.Helper()
	o := server.Options()
	o.Username, o.Password = "narrow", "p"
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}
