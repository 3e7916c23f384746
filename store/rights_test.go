package store

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"tollgate/store/redistest"
)

// What the gateway asks of Redis needs these rights, and none is refused it.
func TestRightsOfAnACLUser(t *testing.T) {
	t.Parallel()
	f := func(nodes []*redistest.Server) {
		t.Helper()
		c := RedisConfig{Username: "narrow", Password: "p"}
		for _, node := range nodes {
			c.Addresses = append(c.Addresses, node.Address())
		}
		r, lines := open(t, c)
		greeted(t, r)
		eventually(t, "a look-up", func() bool { return askAsKeysDo(r) == nil })
		if err := askAsKeysDo(r); err != nil || lines.String() != "" {
			t.Errorf("%v, and logged is %q", err, lines)
		}
		for _, node := range nodes {
			refused := node.Client(t).Do(t.Context(), "ACL", "LOG").Val()
			if got := fmt.Sprint(refused); got != "[]" {
				t.Errorf("refused: %s", got)
			}
		}
	}
	with := func(rights string) []redistest.Option {
		return []redistest.Option{redistest.WithAppendOnly(), redistest.WithConfig("user narrow on >p ~tollgate:* &tollgate:* " + rights)}
	}
	const commands = " +hget +hmget +hgetall +hset +hdel +hlen +hscan +zadd +zcard +zcount +zrem +zrangebyscore +zrevrangebyscore" +
		" +zremrangebyrank +zremrangebyscore +eval +evalsha +get +set +del +pexpire +time +publish +subscribe +info"
	f([]*redistest.Server{redistest.Start(t, with("+client|setname +client|id"+commands)...)})
	f(redistest.StartCluster(t, with("+client|setname +client|id +cluster|slots +command"+commands)...).Nodes)
	const groups = "+@connection +@hash +@sortedset +eval +evalsha +get +set +del +pexpire +time +publish +subscribe +info"
	f([]*redistest.Server{redistest.Start(t, with(groups)...)})
	f(redistest.StartCluster(t, with(groups+" +cluster|slots")...).Nodes)
}

// A user without the channel is warned of, and told what to allow.
func TestAMissingChannelIsWarnedOf(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithAppendOnly(), redistest.WithConfig("user narrow on >p resetchannels ~tollgate:* +@all"))
	_, lines := open(t, RedisConfig{Username: "narrow", Password: "p", Addresses: []string{s.Address()}})
	eventually(t, "the warning", func() bool { return lines.String() != "" })
	const want = `"level":"WARN","msg":"redis does not let its user publish on the channel tollgate:{keys}:news: other replicas obey a change of a key ` +
		`within half a second, not at once; allow &tollgate:*"`
	if got := lines.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("logged is %s", got)
	}
}

// askAsKeysDo makes each call that the keys of a fleet make.
func askAsKeysDo(r *Redis) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	const hash = "tollgate:{keys}:records"
	script := redis.NewScript(strings.Join([]string{
		`redis.call('HLEN', KEYS[1])`,
		`redis.call('HSET', KEYS[1], 'id', 'document')`,
		`return redis.call('HGET', KEYS[1], 'id')`,
	}, "\n"))
	if err := script.Run(ctx, r, []string{hash}).Err(); err != nil {
		return err
	}
	if err := r.HGet(ctx, hash, "id").Err(); err != nil {
		return err
	}
	return r.HScan(ctx, hash, 0, "", 10).Err()
}
