package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What the shared store consists of. A tenant is the hash tag of all that is its own: a Cluster keeps it in one slot,
// where one script may touch it. Behind it come the limit's name and, of a key, its id.
const (
	redisTenant   = "tollgate:limits:{"        // hash, of a bucket: m, c, a, and "p:" and a replica; of slots: replica -> what it holds
	redisReplicas = "tollgate:limits:replicas" // sorted set: replica, by the millisecond by which it must be heard of again
)

// noScript is the answer of a server that has not seen a script yet.
const noScript = "NOSCRIPT"

// RedisBank is the Bank in the Redis of a fleet: a single server, one behind Sentinels, or a Cluster. Nothing is kept
// in memory, and each order is one call of a script. Redis' clock is the only one; where it is set back, the time
// between is lost to the buckets, and nothing else.
//
// A fail-over that loses what was last written gives back what was spent with it: a burst of each bucket at most, and of
// slots what is held, until it is said anew.
type RedisBank struct {
	client      redis.UniversalClient
	trade, beat *redis.Script
	slotTTL     time.Duration
	beatTTL     time.Duration
	letters     sync.Pool
}

// NewRedisBank returns the bank behind client, which stays the caller's to close. It asks Redis nothing.
func NewRedisBank(client redis.UniversalClient) *RedisBank {
	return &RedisBank{
		client: client, trade: redis.NewScript(tradeScript), beat: redis.NewScript(beatScript), slotTTL: slotTTL, beatTTL: beatTTL,
		letters: sync.Pool{New: func() any { return new(letter) }},
	}
}

// Trade implements Bank in one round trip to each server that is concerned; in a second one where a server has not seen
// the script yet. An order that no bank may be asked is not sent.
func (b *RedisBank) Trade(ctx context.Context, orders ...*Order) {
	letters := make([]*letter, 0, len(orders))
	for _, o := range orders {
		if o.Err = o.check(); o.Err == nil {
			l := b.letters.Get().(*letter)
			l.write(o, b.trade.Hash(), b.slotTTL)
			letters = append(letters, l)
		}
	}
	b.send(ctx, letters)
	var unknown []*letter
	for _, l := range letters {
		if redis.HasErrorPrefix(l.cmd.Err(), noScript) {
			l.args[0], l.args[1] = "eval", tradeScript
			unknown = append(unknown, l)
		}
	}
	b.send(ctx, unknown)
	for _, l := range letters {
		if err := l.read(); err != nil {
			l.order.Err = fmt.Errorf("limits: Redis has not carried out an order: %w", err)
		}
		l.order, l.cmd = nil, nil
		b.letters.Put(l)
	}
}

func (b *RedisBank) send(ctx context.Context, letters []*letter) {
	for _, l := range letters {
		l.cmd = redis.NewCmd(ctx, l.args...)
	}
	switch len(letters) {
	case 0:
		return
	case 1:
		_ = b.client.Process(ctx, letters[0].cmd)
		return
	}
	pipe := b.client.Pipeline()
	for _, l := range letters {
		_ = pipe.Process(ctx, l.cmd)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
}

// Beat implements Bank.
func (b *RedisBank) Beat(ctx context.Context, replica string) (live int, err error) {
	live, err = b.beat.Run(ctx, b.client, []string{redisReplicas}, replica, b.beatTTL.Milliseconds()).Int()
	if err != nil {
		return 0, fmt.Errorf("limits: the replicas cannot be counted in Redis: %w", err)
	}
	return live, nil
}

// Leave implements Bank.
func (b *RedisBank) Leave(ctx context.Context, replica string) error {
	if err := b.client.ZRem(ctx, redisReplicas, replica).Err(); err != nil {
		return fmt.Errorf("limits: the replica cannot be taken off the list in Redis: %w", err)
	}
	return nil
}

// letter is an order on its way.
type letter struct {
	order   *Order
	cmd     *redis.Cmd
	args    []any
	keys    []byte
	ends    []int // of each key among the keys
	numbers []byte
}

// write makes the arguments of the script's call.
func (l *letter) write(o *Order, hash string, slotTTL time.Duration) {
	l.order, l.args, l.keys, l.ends, l.numbers = o, l.args[:0], l.keys[:0], l.ends[:0], l.numbers[:0]
	l.add(maxSpan, int64(o.Number), slotTTL.Microseconds(), bucketGrace.Milliseconds(), postingsKept) //nolint:gosec // it is below 2^53
	for i := range o.Lines {
		l.line(o.Tenant, &o.Lines[i])
	}
	l.add(int64(len(o.Claims)))
	for i := range o.Claims {
		l.add(int64(len(o.Claims[i].Parts)))
		for _, p := range o.Claims[i].Parts {
			shadow := int64(0)
			if p.Shadow {
				shadow = 1
			}
			l.add(int64(p.Line), p.Cost, shadow)
		}
	}
	l.args = append(l.args, "evalsha", hash, len(o.Lines))
	keys, start := string(l.keys), 0
	for _, end := range l.ends {
		l.args = append(l.args, keys[start:end])
		start = end
	}
	l.args = append(l.args, o.Replica, l.numbers)
}

func (l *letter) line(tenant string, line *Line) {
	l.keys = append(l.keys, redisTenant...)
	l.keys = append(l.keys, tenant...)
	l.keys = append(l.keys, "}:"...)
	l.keys = append(l.keys, line.Limit.String()...)
	if line.Account != "" {
		l.keys = append(l.keys, ':')
		l.keys = append(l.keys, line.Account...)
	}
	l.ends = append(l.ends, len(l.keys))
	if line.Limit.Dimension() == Concurrent {
		l.add(1, line.Capacity, line.Least, line.Most, line.Held)
		return
	}
	l.add(0, line.Capacity, line.Least, line.Most, line.Owed, int64(line.Posting)) //nolint:gosec // it is below 2^53
}

func (l *letter) add(numbers ...int64) {
	for _, n := range numbers {
		l.numbers = append(strconv.AppendInt(l.numbers, n, 10), ' ')
	}
}

// read writes the answer into the order.
func (l *letter) read() error {
	answer, err := l.cmd.Text()
	if err != nil {
		return err
	}
	return l.order.read(answer)
}

// read takes in what the script has answered.
func (o *Order) read(answer string) error {
	next := func(most int64) int64 {
		var text string
		text, answer, _ = strings.Cut(answer, " ")
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > most {
			answer = ""
			return -1
		}
		return n
	}
	unreadable := func() error { return errors.New("what the script has answered fits no such order") }
	for i := range o.Lines {
		l := &o.Lines[i]
		l.Missing, l.Left = next(maxSpan), next(l.Capacity)
		if l.Missing < 0 || l.Left < 0 {
			return unreadable()
		}
	}
	for i := range o.Claims {
		c := &o.Claims[i]
		lacking := next(1<<len(c.Parts) - 1)
		if lacking < 0 {
			return unreadable()
		}
		c.Lacking, c.Refused = uint8(lacking), false
		for n, p := range c.Parts {
			c.Refused = c.Refused || lacking&(1<<n) != 0 && !p.Shadow
		}
	}
	if answer != "" {
		return unreadable()
	}
	return nil
}
