package store

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"tollgate/telemetry"
)

const (
	// breakerStreak is how many calls in a row must fail to open the breaker. One
	// call that meets a stale connection is no outage.
	breakerStreak = 5
	// breakerTimeout is how long an open breaker refuses before it lets a call through.
	breakerTimeout = 500 * time.Millisecond
	// breakerProbes is how many calls a half-open breaker lets through at a time, and how many successes close it.
	breakerProbes = 1
	// shortestWait is how long a caller must have been ready to wait for its time-out to say something about the server.
	shortestWait = 10 * time.Millisecond
)

// breaker is the process' one circuit breaker for Redis, as a hook of the
// client: it stands before the client's own redirects, so it sees each call once.
type breaker struct {
	gate *gobreaker.CircuitBreaker[struct{}]
	log  *slog.Logger

	// outage is nil while the gate is closed. It mirrors the gate's state, which the gate tells under its mutex.
	outage atomic.Pointer[outage]
	// told is the outage last logged.
	told atomic.Pointer[outage]
	// last is the most recent failure; it belongs to the gate's mutex.
	last error
	// opened wakes the one who probes where no calls come.
	opened chan struct{}
}

// outage is the time from the gate's opening until a call succeeds.
type outage struct {
	cause error // wraps ErrRedisDown; what refused calls return
	since time.Time
}

func newBreaker(log *slog.Logger) *breaker {
	b := &breaker{log: log, opened: make(chan struct{}, 1)}
	b.gate = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   breakerProbes,
		Timeout:       breakerTimeout,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerStreak },
		OnStateChange: func(_ string, _, to gobreaker.State) { b.enter(to) },
		IsSuccessful:  b.note,
		IsExcluded:    excluded,
	})
	return b
}

// note remembers why a call failed. It runs under the gate's mutex.
func (b *breaker) note(err error) bool {
	b.last = err
	return err == nil
}

// enter mirrors the gate's new state. It runs under the gate's mutex, where
// asking the gate anything, or logging, could block all callers.
func (b *breaker) enter(to gobreaker.State) {
	switch to {
	case gobreaker.StateHalfOpen:
	case gobreaker.StateClosed:
		b.outage.Store(nil)
	case gobreaker.StateOpen:
		if b.outage.Load() == nil {
			b.outage.Store(&outage{cause: judge(b.last), since: time.Now()}) // judged, because a panic has not been
		}
		select {
		case b.opened <- struct{}{}:
		default:
		}
	}
}

// do makes one call where the gate lets it, and counts what came of it. Its
// error wraps ErrRedisDown where that is why the call did not do its work.
func (b *breaker) do(ctx context.Context, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return failureOr(err)
	}
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return b.doWithin(ctx, call)
	}
	hasty := time.Until(deadline) < shortestWait
	var err, failure error
	called := false
	_, _ = b.gate.Execute(func() (struct{}, error) {
		called = true
		err = call(ctx)
		failure = judge(err)
		if hasty && timedOut(err) {
			return struct{}{}, errExcluded
		}
		return struct{}{}, failure
	})
	b.tell()
	switch {
	case !called:
		return b.refusal()
	case failure == nil, excluded(failure):
		return err
	}
	return failure
}

// doWithin bounds a call whose caller did not.
func (b *breaker) doWithin(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	return b.do(ctx, call)
}

// refusal is the error of a call that was not made.
func (b *breaker) refusal() error {
	if o := b.outage.Load(); o != nil {
		return o.cause
	}
	return ErrRedisDown // it came up while this call was refused
}

// tell logs a change of state once, outside the gate's mutex: a log that blocks must not stop every caller.
func (b *breaker) tell() {
	now := b.outage.Load()
	if b.told.Load() == now {
		return
	}
	switch before := b.told.Swap(now); {
	case before == now:
	case now != nil:
		b.log.Error("redis is down: calls to it fail at once until it works again; known keys and limits go on", telemetry.FieldError, advise(now.cause))
	default:
		b.log.Info("redis works again", telemetry.FieldDuration, time.Since(before.since).Milliseconds())
	}
}

// DialHook implements redis.Hook. A dial is a part of the call that needs the connection.
func (b *breaker) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if handshake(cmd) {
			return next(ctx, cmd)
		}
		return b.do(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook implements redis.Hook. A pipeline is one call.
func (b *breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if handshake(cmds...) {
			return next(ctx, cmds)
		}
		called := false
		err := b.do(ctx, func(ctx context.Context) error {
			called = true
			return gravest(next(ctx, cmds), cmds)
		})
		for _, cmd := range cmds {
			if !called {
				cmd.SetErr(err)
			} else if err := cmd.Err(); err != nil {
				cmd.SetErr(failureOr(err))
			}
		}
		return err
	}
}

// gravest is the first error of a pipeline that is the server's failure, or else the one that it returned.
func gravest(err error, cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if failure := judge(cmd.Err()); failure != nil && !excluded(failure) {
			return failure
		}
	}
	return err
}

// handshake reports whether commands only set up a connection. The client sends
// them through the same hooks, in the midst of the call that needs the
// connection: counted, they would be a second call, and refused by a half-open
// gate they would keep its probe from ever succeeding.
func handshake(cmds ...redis.Cmder) bool {
	for _, cmd := range cmds {
		switch cmd.Name() {
		case "hello", "auth", "select", "client", "readonly":
		default:
			return false
		}
	}
	return true
}
