//go:build !race

package store

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// The hook stands in every call's way: it must leave nothing for the collector where the caller sets a deadline.
func TestAllocHook(t *testing.T) {
	log, _ := newLog()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	cmd := redis.NewStringCmd(ctx, "get", "k")
	f := func(name string, b *breaker, err error) {
		t.Helper()
		process := b.ProcessHook(func(context.Context, redis.Cmder) error { return err })
		if n := testing.AllocsPerRun(200, func() { _ = process(ctx, cmd) }); n != 0 {
			t.Errorf("%s: %v allocations per call, want 0", name, n)
		}
	}
	f("a value", newBreaker(log), nil)
	f("no such key", newBreaker(log), redis.Nil)
	open := newBreaker(log)
	calls(t, open, breakerStreak, context.DeadlineExceeded)
	f("refused", open, nil)
}
