package store

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"tollgate/telemetry"
)

// watch greets the server, and probes it while the breaker is open, so that
// Redis is seen to work again also where no calls come. It returns when ctx ends.
func (r *Redis) watch(ctx context.Context) {
	defer close(r.watched)
	r.greet(ctx)
	close(r.greeted)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.breaker.opened:
		}
		for !r.Up() && sleep(ctx, breakerTimeout) {
			_ = r.probe(ctx)
		}
	}
}

// greet asks until the server works, and says what is wrong with it.
func (r *Redis) greet(ctx context.Context) {
	err := r.probe(ctx)
	if err != nil && ctx.Err() == nil {
		r.log.Error("redis cannot be used yet: it is tried again until it can", telemetry.FieldError, advise(err))
	}
	for met := err == nil; !met; met = r.probe(ctx) == nil {
		if !sleep(ctx, breakerTimeout) {
			return
		}
	}
	if err != nil {
		r.log.Info("redis can be used now")
	}
	r.inspect(ctx)
}

// probeKey is a key that nobody writes. Its hash tag is that of the keys which
// every request needs: in a Cluster the probe must meet the node that they are on,
// or a healthy neighbour would close the breaker while that node is dead.
const probeKey = "tollgate:{keys}:probe"

// probe makes a call like any other, which the breaker counts. Deleting what is
// not there changes nothing, and yet meets every reason not to serve: a PING
// would be answered by a replica, and by a Cluster that is down.
func (r *Redis) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	r.sweep(ctx)
	err := r.Del(ctx, probeKey).Err()
	if _, answered := err.(redis.Error); answered && judge(err) == nil { //nolint:errorlint // as in judge
		return nil // such as NOPERM: a user may be kept to certain keys
	}
	return err
}

// sweep drops the idle connections that a server left behind when it ended. The
// client tries them before it dials, and cannot see that they are dead where
// they are encrypted: each would cost a call, and an open breaker lets but one through.
func (r *Redis) sweep(ctx context.Context) {
	node := func(ctx context.Context, client *redis.Client) error {
		for range poolSize {
			if err := client.Do(ctx, "client", "id").Err(); !hungUp(err) {
				return err
			}
		}
		return nil
	}
	switch client := r.UniversalClient.(type) {
	case *redis.Client:
		_ = node(ctx, client)
	case *redis.ClusterClient:
		_ = client.ForEachShard(ctx, node)
	}
}

// hungUp reports whether a connection was found closed when it was used.
func hungUp(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// inspect warns of a server that works and is yet not what the gateway needs.
func (r *Redis) inspect(ctx context.Context) {
	r.inspectRights(ctx)
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	info, err := r.Info(ctx).Result()
	if err != nil {
		return // the user may not ask, or an outage has begun, which is logged
	}
	has := func(line string) bool { return strings.Contains(info, "\n"+line) }
	if has("aof_enabled:0") && r.takesNoSnapshots(ctx) {
		r.log.Warn("redis keeps nothing on disk: a restart forgets every API key, and each is refused from then on; set its appendonly to yes")
	}
	if has("maxmemory_policy:") && !has("maxmemory_policy:noeviction") {
		r.log.Warn("redis may evict keys when its memory is full, and with them API keys and limits: set its maxmemory-policy to noeviction")
	}
	if _, single := r.UniversalClient.(*redis.Client); single && has("cluster_enabled:1") {
		r.log.Error("redis is a node of a Cluster, and most calls will be sent elsewhere: set store.redis.cluster: true")
	}
}

// rightsScript does all that the scripts of keys do, to a key that is gone at its end.
const rightsScript = `
local key = KEYS[1]
redis.call('TIME')
redis.call('SET', key, '') redis.call('GET', key) redis.call('DEL', key)
redis.call('HSET', key, 'field', '') redis.call('HGET', key, 'field') redis.call('HLEN', key) redis.call('HSCAN', key, 0) redis.call('HDEL', key, 'field')
redis.call('ZADD', key, 1, 'member') redis.call('ZCARD', key) redis.call('ZCOUNT', key, 1, 1)
redis.call('ZRANGEBYSCORE', key, 1, 1) redis.call('ZREVRANGEBYSCORE', key, 1, 1)
redis.call('ZREM', key, 'member') redis.call('ZREMRANGEBYRANK', key, 0, 0)
return 1`

// limitsProbeKey is a key that nobody writes, where those of limits are.
const limitsProbeKey = "tollgate:limits:{probe}"

// limitsScript does what the scripts of limits do besides.
const limitsScript = `
local key = KEYS[1]
redis.call('PEXPIRE', key, 1)
redis.call('HMGET', key, 'field') redis.call('HGETALL', key)
redis.call('ZREMRANGEBYSCORE', key, 1, 1)
return 1`

// newsChannel is what replicas wake each other on. A word on it that means nothing makes them ask for changes, as they do
// four times a second.
const newsChannel = "tollgate:{keys}:news"

// inspectRights tries what keys and limits need, as a user with too few rights is kept from that alone.
func (r *Redis) inspectRights(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	pipe := r.Pipeline()
	tries := []*redis.Cmd{pipe.Eval(ctx, rightsScript, []string{probeKey}), pipe.EvalSha(ctx, redis.NewScript(rightsScript).Hash(), []string{probeKey})}
	publish, limits := pipe.Publish(ctx, newsChannel, ""), pipe.Eval(ctx, limitsScript, []string{limitsProbeKey})
	_, _ = pipe.Exec(ctx)
	if redis.IsPermissionError(publish.Err()) {
		r.log.Warn("redis does not let its user publish on the channel "+newsChannel+
			": other replicas obey a change of a key within half a second, not at once; allow &tollgate:*", telemetry.FieldError, publish.Err())
	}
	for _, try := range tries {
		if err := try.Err(); refusedRights(err) {
			r.log.Error("redis does not let its user do what API keys need", telemetry.FieldError, advise(err))
			return
		}
	}
	if err := limits.Err(); refusedRights(err) {
		r.log.Error("redis does not let its user do what limits need: each replica grants its share of them by itself", telemetry.FieldError, advise(err))
	}
}

// refusedRights reports whether a script's call, or one inside it, is not among the user's rights.
func refusedRights(err error) bool {
	return redis.IsPermissionError(err) || err != nil &&
		(strings.Contains(err.Error(), "ACL failure in script") || strings.Contains(err.Error(), "executing the script can't"))
}

// takesNoSnapshots is false also where the user may not ask.
func (r *Redis) takesNoSnapshots(ctx context.Context) bool {
	save, err := r.ConfigGet(ctx, "save").Result()
	return err == nil && save["save"] == ""
}

// sleep reports whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
