package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tollgate/ratelimit"
	"tollgate/telemetry"

	"github.com/redis/go-redis/v9"
)

// tellAgain is the least time between two lines about orders that Redis refuses.
const tellAgain = time.Minute

// tellingBank says in the log what Redis objects to, such as a right that its user lacks. Outages are the store's to log.
type tellingBank struct {
	ratelimit.Bank
	log *slog.Logger

	mu    sync.Mutex
	last  time.Time
	count int64
}

// Trade is the Bank's.
func (b *tellingBank) Trade(ctx context.Context, orders ...*ratelimit.Order) {
	b.Bank.Trade(ctx, orders...)
	for _, o := range orders {
		if o.Err != nil {
			b.tell(o.Err)
		}
	}
}

// Beat is the Bank's.
func (b *tellingBank) Beat(ctx context.Context, replica string) (live int, err error) {
	if live, err = b.Bank.Beat(ctx, replica); err != nil {
		b.tell(err)
	}
	return live, err
}

// tell logs what a server has answered, and what it was not asked because nobody may, once a minute at most.
func (b *tellingBank) tell(err error) {
	if answer := redis.Error(nil); !errors.As(err, &answer) && !errors.Is(err, ratelimit.ErrBadOrder) {
		return
	}
	b.mu.Lock()
	b.count++
	count, due := b.count, b.last.IsZero() || time.Since(b.last) >= tellAgain
	if due {
		b.last, b.count = time.Now(), 0
	}
	b.mu.Unlock()
	if due {
		b.log.Error("Redis refuses what limits need: this replica grants its share of them alone",
			telemetry.FieldError, err, telemetry.FieldCount, count)
	}
}
