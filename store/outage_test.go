package store

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tollgate/store/redistest"
)

// proving reports whether what a quiet machine does in time must be done in time.
func proving() bool { return os.Getenv("TOLLGATE_PROVE") == "1" }

// soon is how long a call may take that a server leaves without an answer: longestCall and some, where that is proved.
func soon() time.Duration {
	if proving() {
		return 5 * longestCall
	}
	return patience
}

// load is what callers saw of a server, each of whom waits 50 ms at most.
type load struct {
	mu     sync.Mutex
	took   []time.Duration
	failed int
}

// press makes calls from several callers until the test says stop, and returns what they saw.
func press(t *testing.T, r *Redis, stop <-chan struct{}) *load {
	t.Helper()
	var l load
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				began := time.Now()
				err := r.Set(ctx, "k"+strconv.Itoa(i), n, 0).Err()
				cancel()
				l.mu.Lock()
				l.took = append(l.took, time.Since(began))
				if err != nil {
					l.failed++
				}
				l.mu.Unlock()
				if err != nil && !errors.Is(err, ErrRedisDown) {
					t.Errorf("a call of an outage failed with %v, which is not ErrRedisDown", err)
				}
			}
		})
	}
	callers.Wait()
	return &l
}

// outageOf breaks a server under load, waits until it is seen, mends it, and waits until calls work again.
func outageOf(t *testing.T, r *Redis, lines *logged, breaks, mends func()) {
	t.Helper()
	eventually(t, "a first call", func() bool { return roundTrip(r, "v") == nil })
	breaks()
	stop := make(chan struct{})
	time.AfterFunc(time.Second, func() { close(stop) })
	l := press(t, r, stop)
	slices.Sort(l.took)
	median, longest := l.took[len(l.took)/2], l.took[len(l.took)-1]
	t.Logf("%d calls, %d failed, median %s, longest %s", len(l.took), l.failed, median, longest)
	if l.failed < len(l.took)*9/10 {
		t.Errorf("%d of %d calls failed without a server", l.failed, len(l.took))
	}
	if median > 50*time.Millisecond {
		t.Errorf("the median call took %s: the breaker does not refuse", median)
	}
	if longest > soon() {
		t.Errorf("a call that wanted 50 ms took %s", longest)
	}
	began := time.Now()
	if err := r.Set(context.Background(), "k", "v", 0).Err(); !errors.Is(err, ErrRedisDown) || time.Since(began) > soon() {
		t.Errorf("a call without a deadline: %v after %s", err, time.Since(began))
	}
	if r.Up() {
		t.Error("it is said to be up")
	}
	mends()
	began = time.Now()
	// Nobody calls: it must be seen all the same.
	eventually(t, "recovery", r.Up)
	if err := roundTrip(r, "w"); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	t.Logf("up again after %s", time.Since(began))
	eventually(t, "the log", func() bool { return strings.Contains(lines.String(), "redis works again") })
	if n := strings.Count(lines.String(), "redis is down"); n != 1 {
		t.Errorf("one outage was logged %d times: %s", n, lines)
	}
}

func TestOutagesAreShortAndCheap(t *testing.T) {
	t.Parallel()
	f := func(breaks, mends func(*redistest.Server), list ...redistest.Option) {
		t.Helper()
		s := redistest.Start(t, list...)
		r, lines := open(t, configOf(s))
		outageOf(t, r, lines, func() { breaks(s) }, func() { mends(s) })
	}
	f((*redistest.Server).Pause, (*redistest.Server).Resume)
	f((*redistest.Server).Kill, (*redistest.Server).Restart)
	f((*redistest.Server).Pause, (*redistest.Server).Resume, redistest.WithTLS())
	f((*redistest.Server).Kill, (*redistest.Server).Restart, redistest.WithTLS(), redistest.WithUser("u", "p"))
}

// Encrypted connections do not show that their server has gone. Those that a burst left idle must not cost a call each.
func TestRestartDoesNotCostACallPerIdleConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithTLS())
	r, _ := open(t, configOf(s))
	eventually(t, "a first call", func() bool { return roundTrip(r, "v") == nil })
	var dead deadConnections
	r.AddHook(&dead)
	const wanted = 32 // far more than open the breaker
	eventually(t, "idle connections", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var burst sync.WaitGroup
		for range wanted {
			burst.Go(func() { _ = r.BLPop(ctx, time.Second, "nothing").Err() })
		}
		burst.Wait()
		return r.Up() && r.PoolStats().IdleConns >= wanted
	})
	s.Restart()
	began := time.Now()
	failed := 0
	eventually(t, "a call after the restart", func() bool {
		err := roundTrip(r, "v")
		if err != nil {
			failed++
		}
		return err == nil && r.Up()
	})
	took, met := time.Since(began), dead.met.Load()
	t.Logf("calls worked again after %s, %d failures, and %d dead connections that a call met", took, failed, met)
	if met > wanted*3/4 { // a busy machine may try one each half second until they are dropped
		t.Errorf("calls met %d of %d dead connections, want the %d that open the breaker and a few at most", met, wanted, breakerStreak)
	}
	if proving() && took > 10*breakerTimeout {
		t.Errorf("calls worked again after %s and %d failures", took, failed)
	}
}

// deadConnections counts the calls that met one. As the last of a client's hooks it sees only what the breaker lets through.
type deadConnections struct{ met atomic.Int64 }

// DialHook implements redis.Hook.
func (d *deadConnections) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (d *deadConnections) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if hungUp(err) && !handshake(cmd) {
			d.met.Add(1)
		}
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (d *deadConnections) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestGatewayStartsWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Stop()
	r, lines := open(t, configOf(s))
	eventually(t, "the first line", func() bool { return strings.Contains(lines.String(), "redis cannot be used yet") })
	s.Restart()
	eventually(t, "the second line", func() bool { return strings.Contains(lines.String(), "redis can be used now") })
	if err := roundTrip(r, "v"); err != nil {
		t.Error(err)
	}
}

// The master dies, and with it the Sentinel that the client listened to falls silent, as when a machine vanishes.
func TestFailoverBySentinels(t *testing.T) {
	t.Parallel()
	set := redistest.StartSentinels(t, 3, redistest.WithPassword("p"))
	c := configOf(set.Master)
	c.Addresses, c.MasterName = set.Addresses(), redistest.MasterName
	r, lines := open(t, c)
	outageOf(t, r, lines, func() {
		set.KillMaster()
		silence(t, set.Sentinels)
	}, func() {})
	if got := set.Replica.Client(t).Get(t.Context(), "k").Val(); got != "w" {
		t.Errorf("the new master has %q", got)
	}
}

// A Cluster goes on without a node's slots only when it was told to; by default it refuses all.
func TestClusterOutage(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	r, lines := open(t, RedisConfig{Addresses: c.Addresses()})
	before := greeted(t, r)
	for _, node := range c.Nodes {
		node.Pause()
	}
	if err := roundTrip(r, "v"); !errors.Is(err, ErrRedisDown) {
		t.Errorf("a silent Cluster: %v", err)
	}
	if got := r.breaker.gate.Counts(); got.Requests-before.Requests != 1 || got.TotalFailures-before.TotalFailures != 1 {
		t.Errorf("a call that the client repeats is counted as %+v, before %+v", got, before)
	}
	for _, node := range c.Nodes {
		node.Resume()
	}
	outageOf(t, r, lines, func() {
		for _, node := range c.Nodes {
			node.Pause()
		}
	}, func() {
		for _, node := range c.Nodes {
			node.Resume()
		}
	})
}

// Where only the node is dead that the keys are on, its healthy neighbours must not make the breaker close.
func TestClusterWithoutItsKeys(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.WithConfig("cluster-require-full-coverage no"))
	const key = "tollgate:{keys}:records"
	owner := c.Nodes[2] // of this one slot; all around it stay with the first
	id := owner.Client(t).Do(t.Context(), "CLUSTER", "MYID").Val()
	for _, node := range c.Nodes {
		client := node.Client(t)
		slot := client.ClusterKeySlot(t.Context(), key).Val()
		if err := client.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", id).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r, lines := open(t, RedisConfig{Addresses: c.Addresses()})
	greeted(t, r)
	owner.Pause()
	eventually(t, "the outage", func() bool { _ = r.HGet(t.Context(), key, "id").Err(); return !r.Up() })
	for probed := time.Now().Add(6 * breakerTimeout); time.Now().Before(probed) && !r.Up(); time.Sleep(10 * time.Millisecond) {
	}
	if r.Up() || strings.Contains(lines.String(), "redis works again") {
		t.Errorf("up without the node of the keys: %s", lines)
	}
	owner.Resume()
	eventually(t, "recovery", r.Up)
	if err := r.HGet(t.Context(), key, "id").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("after the outage: %v", err)
	}
}

// A listener that accepts and says nothing is what a firewall that drops packets looks like after the handshake.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	r, lines := open(t, RedisConfig{Addresses: []string{l.Addr().String()}, TLS: true})
	eventually(t, "the log", func() bool { return strings.Contains(lines.String(), "redis cannot be used yet") })
	began := time.Now()
	if err := r.Get(context.Background(), "k").Err(); !errors.Is(err, ErrRedisDown) || time.Since(began) > soon() {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// silence pauses the Sentinel that the client asks, to which it subscribes.
func silence(t *testing.T, sentinels []*redistest.Server) {
	t.Helper()
	for _, s := range sentinels {
		for client := range strings.Lines(s.Client(t).ClientList(t.Context()).Val()) {
			if strings.Contains(client, "name=tollgate") && strings.Contains(client, "cmd=subscribe") {
				s.Pause()
				return
			}
		}
	}
	t.Fatal("the client listens to no Sentinel")
}
