package telemetry

import (
	"log/slog"
	"sync"
	"time"
)

// reminder writes a warning that may repeat a thousand times a second at most
// once a minute, with how often it applied since the last line.
type reminder struct {
	warn func(attrs ...any)

	mu    sync.Mutex
	last  time.Time
	count int64
}

func newReminder(warn func(attrs ...any)) *reminder { return &reminder{warn: warn} }

// remind warns, with err where there is one.
func (r *reminder) remind(err error) {
	const interval, longest = time.Minute, 512
	r.mu.Lock()
	r.count++
	count := r.count
	due := r.last.IsZero() || time.Since(r.last) >= interval
	if due {
		r.last, r.count = time.Now(), 0
	}
	r.mu.Unlock()
	if !due {
		return
	}
	attrs := []any{slog.Int64(FieldCount, count)}
	if err != nil {
		attrs = append(attrs, slog.String(FieldError, clean(err.Error(), longest)))
	}
	r.warn(attrs...)
}
