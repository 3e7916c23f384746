package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// answer is an error reply of a server.
type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

// calls makes n calls through the hook, each of which comes to err, and returns how many were let through.
func calls(t *testing.T, b *breaker, n int, err error) int {
	t.Helper()
	made := 0
	process := b.ProcessHook(func(context.Context, redis.Cmder) error { made++; return err })
	for range n {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		_ = process(ctx, redis.NewStringCmd(ctx, "get", "k"))
		cancel()
	}
	return made
}

func TestBreakerCountsWhatIsTheServersFault(t *testing.T) {
	log, _ := newLog()
	f := func(err error, opens bool) {
		t.Helper()
		want := 20
		if opens {
			want = 5
		}
		b := newBreaker(log)
		if got := calls(t, b, 20, err); got != want {
			t.Errorf("%v: %d of 20 calls were made, want %d", err, got, want)
		}
	}
	f(nil, false)
	f(redis.Nil, false)
	f(redis.TxFailedErr, false)
	f(answer("WRONGTYPE Operation against a key holding the wrong kind of value"), false)
	f(answer("NOSCRIPT No matching script. Please use EVAL."), false)
	f(answer("ERR Error running script"), false)
	f(answer("MOVED 1 127.0.0.1:1"), false)
	f(answer("OOM command not allowed when used memory > 'maxmemory'."), false)
	f(answer("NOPERM this user has no permissions to run the 'get' command"), false)
	f(context.Canceled, false)
	f(redis.ErrClosed, false)
	f(redis.ErrPoolTimeout, false)

	f(context.DeadlineExceeded, true)
	f(os.ErrDeadlineExceeded, true)
	f(io.EOF, true)
	f(&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true)
	f(answer("LOADING Redis is loading the dataset in memory"), true)
	f(answer("READONLY You can't write against a read only replica."), true)
	f(answer("MASTERDOWN Link with MASTER is down"), true)
	f(answer("CLUSTERDOWN The cluster is down"), true)
	f(answer("NOREPLICAS Not enough good replicas to write."), true)
	f(answer("NOAUTH Authentication required."), true)
	f(answer("WRONGPASS invalid username-password pair or user is disabled."), true)
	f(answer("NOPERM this user has no permissions to run the 'client|setname' command"), true)
	f(answer("NOPERM this user has no permissions to run the 'cluster|slots' command"), true)
	f(answer("NOPERM this user has no permissions to run the 'cluster' command or its subcommand"), true)
	f(answer("ERR max number of clients reached"), true)
	f(answer("ERR This instance has cluster support disabled"), true)
	// So says the client where no Sentinel knows the master.
	f(fmt.Errorf("all sentinels specified in configuration are unreachable: %w", errors.Join(redis.Nil)), true)
}

// An outage must not look like a key that is not there, whatever the client makes of it.
func TestDownErrorIsNothingElse(t *testing.T) {
	err := judge(fmt.Errorf("all sentinels specified in configuration are unreachable: %w", errors.Join(redis.Nil)))
	if !errors.Is(err, ErrRedisDown) || errors.Is(err, redis.Nil) {
		t.Errorf("%v: is ErrRedisDown %t, is redis.Nil %t", err, errors.Is(err, ErrRedisDown), errors.Is(err, redis.Nil))
	}
}

// Behind the breaker as before it, a dead connection is told from a server that is silent or cannot be reached.
func TestConnectionLost(t *testing.T) {
	f := func(err error, want bool) {
		t.Helper()
		for _, err := range []error{err, judge(err), fmt.Errorf("look up: %w", judge(err))} {
			if got := ConnectionLost(err); got != want {
				t.Errorf("%v: got %t, want %t", err, got, want)
			}
		}
	}
	f(io.EOF, true)
	f(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true)
	f(&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, true)
	f(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, false)
	f(&net.OpError{Op: "dial", Err: io.EOF}, false)
	f(os.ErrDeadlineExceeded, false)
	f(redis.Nil, false)
	f(nil, false)
}

func TestBreakerRefusesThenProbesWithOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		b := newBreaker(log)
		calls(t, b, 4, io.EOF)
		calls(t, b, 1, nil)
		calls(t, b, 4, io.EOF)
		if got := lines.String(); got != "" {
			t.Errorf("after fewer than 5 failures in a row: %s", got)
		}
		calls(t, b, 1, io.EOF)
		if got := calls(t, b, 10, nil); got != 0 {
			t.Errorf("open: %d calls were made", got)
		}
		time.Sleep(breakerTimeout + 1)
		if got := calls(t, b, 10, io.EOF); got != 1 {
			t.Errorf("half open, and the probe fails: %d calls were made, want 1", got)
		}
		time.Sleep(breakerTimeout + 1)
		if got := calls(t, b, 10, context.Canceled); got != 10 {
			t.Errorf("half open, and callers give up: %d calls were made; none decides, so none may be refused", got)
		}
		if got := calls(t, b, 10, nil); got != 10 {
			t.Errorf("half open, and the probe succeeds: %d calls were made, want 10", got)
		}
		const want = `ERROR redis is down: calls to it fail at once until it works again; known keys and limits go on EOF; the server hung up: where it speaks TLS, set store.redis.tls: true
INFO redis works again 1000`
		var got []string
		for _, l := range lines.lines(t) {
			text := l.Level + " " + l.Msg + " " + l.Error
			if l.Duration != nil {
				text += fmt.Sprint(*l.Duration)
			}
			got = append(got, strings.TrimSpace(text))
		}
		if got := strings.Join(got, "\n"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// While the probe is out, every other call is refused; one that never ends would refuse them for ever, so it is bounded.
func TestProbeIsAloneAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLog()
		b := newBreaker(log)
		calls(t, b, 5, io.EOF)
		time.Sleep(breakerTimeout + 1)
		began := time.Now()
		probed := make(chan error)
		go func() {
			process := b.ProcessHook(func(ctx context.Context, _ redis.Cmder) error { <-ctx.Done(); return ctx.Err() })
			probed <- process(context.Background(), redis.NewStringCmd(context.Background(), "get", "k"))
		}()
		synctest.Wait()
		if got := calls(t, b, 10, nil); got != 0 {
			t.Errorf("while the probe is out: %d calls were made", got)
		}
		if err := <-probed; !errors.Is(err, ErrRedisDown) || time.Since(began) != longestCall {
			t.Errorf("the probe: %v after %s, want ErrRedisDown after %s", err, time.Since(began), longestCall)
		}
	})
}

// A caller with no time left learns nothing about the server, and one who has gone does not ask it.
func TestCallersInAHurryDoNotTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLog()
		b := newBreaker(log)
		made := 0
		process := b.ProcessHook(func(ctx context.Context, _ redis.Cmder) error { made++; <-ctx.Done(); return ctx.Err() })
		call := func(wait time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			defer cancel()
			return process(ctx, redis.NewStringCmd(ctx, "get", "k"))
		}
		for range 10 {
			if err := call(5 * time.Millisecond); !errors.Is(err, ErrRedisDown) {
				t.Errorf("no answer in time: got %v, want ErrRedisDown", err)
			}
			if err := call(-1); !errors.Is(err, ErrRedisDown) {
				t.Errorf("no time at all: got %v, want ErrRedisDown", err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := process(ctx, redis.NewStringCmd(ctx, "get", "k")); !errors.Is(err, context.Canceled) || errors.Is(err, ErrRedisDown) {
			t.Errorf("a caller who has gone: got %v", err)
		}
		if b.outage.Load() != nil || made != 10 {
			t.Errorf("open %t after %d calls, want closed after 10", b.outage.Load() != nil, made)
		}
	})
}

func TestPipelineIsOneCall(t *testing.T) {
	log, _ := newLog()
	b := newBreaker(log)
	made := 0
	pipeline := b.ProcessPipelineHook(func(_ context.Context, cmds []redis.Cmder) error {
		made++
		cmds[0].SetErr(redis.Nil)
		cmds[1].SetErr(io.EOF)
		return redis.Nil
	})
	for range 10 {
		ctx := context.Background()
		cmds := []redis.Cmder{redis.NewStringCmd(ctx, "get", "a"), redis.NewStringCmd(ctx, "get", "b")}
		if err := pipeline(ctx, cmds); !errors.Is(err, ErrRedisDown) {
			t.Errorf("the pipeline: got %v, want ErrRedisDown", err)
		}
		if err := cmds[1].Err(); !errors.Is(err, ErrRedisDown) {
			t.Errorf("its failed command: got %v, want ErrRedisDown", err)
		}
		if err := cmds[0].Err(); errors.Is(err, ErrRedisDown) != (b.outage.Load() != nil && !errors.Is(err, redis.Nil)) {
			t.Errorf("its other command: got %v", err)
		}
	}
	if made != 5 {
		t.Errorf("%d of 10 pipelines were sent, want 5", made)
	}
}

// A panic in the client must not take the half-open gate's one slot with it.
func TestPanicIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLog()
		b := newBreaker(log)
		process := b.ProcessHook(func(context.Context, redis.Cmder) error { panic("broken") })
		for range 3 {
			for range 5 {
				func() {
					defer func() { _ = recover() }()
					_ = process(context.Background(), redis.NewStringCmd(context.Background(), "get", "k"))
				}()
			}
			if err := b.refusal(); b.outage.Load() == nil || !errors.Is(err, ErrRedisDown) {
				t.Errorf("after panics: open %t, %v", b.outage.Load() != nil, err)
			}
			time.Sleep(breakerTimeout + 1)
		}
		if got := calls(t, b, 10, nil); got != 10 {
			t.Errorf("after the panics %d of 10 calls were made", got)
		}
	})
}

func BenchmarkHook(b *testing.B) {
	log, _ := newLog()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	cmd := redis.NewStringCmd(ctx, "get", "k")
	f := func(name string, ctx context.Context, br *breaker) {
		process := br.ProcessHook(func(context.Context, redis.Cmder) error { return nil })
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = process(ctx, cmd)
			}
		})
	}
	closed, open := newBreaker(log), newBreaker(log)
	down := open.ProcessHook(func(context.Context, redis.Cmder) error { return io.EOF })
	for range breakerStreak {
		_ = down(ctx, cmd)
	}
	f("closed", ctx, closed)
	f("closed, no deadline", context.Background(), closed)
	f("half open or open", ctx, open)
}
