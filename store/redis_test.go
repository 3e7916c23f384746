package store

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tollgate/store/redistest"
	"tollgate/telemetry"
)

// open opens a client that the test closes.
func open(t *testing.T, c RedisConfig) (*Redis, *logged) {
	t.Helper()
	if err := (Config{Redis: c}).Validate(); err != nil {
		t.Fatal(err)
	}
	log, lines := newLog()
	r, err := OpenRedis(c, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r, lines
}

func configOf(s *redistest.Server) RedisConfig {
	o := s.Options()
	return RedisConfig{
		Addresses: []string{s.Address()}, Username: o.Username, Password: telemetry.Secret(o.Password),
		TLS: s.CAFile() != "", TLSCA: s.CAFile(),
	}
}

// roundTrip writes and reads a key, as a caller who waits as long as a request may.
func roundTrip(r *Redis, value string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := r.Set(ctx, "k", value, 0).Err(); err != nil {
		return err
	}
	got, err := r.Get(ctx, "k").Result()
	if err == nil && got != value {
		return errors.New("read " + got + ", wrote " + value)
	}
	return err
}

func TestRedisOfEachKind(t *testing.T) {
	t.Parallel()
	f := func(c RedisConfig) {
		t.Helper()
		r, _ := open(t, c)
		// The first connection, with its TLS handshake, has a noisy machine's patience.
		eventually(t, "a write", func() bool { return roundTrip(r, "v") == nil })
		pipe := r.Pipeline()
		pipe.Set(t.Context(), "p", "1", 0)
		sum := pipe.IncrBy(t.Context(), "p", 41)
		if _, err := pipe.Exec(t.Context()); err != nil || sum.Val() != 42 {
			t.Errorf("a pipeline: %v, sum %d", err, sum.Val())
		}
		script := redis.NewScript(`return redis.call('GET', KEYS[1]) .. ARGV[1]`)
		if got, err := script.Run(t.Context(), r, []string{"k"}, "!").Text(); err != nil || got != "v!" {
			t.Errorf("a script: %q, %v", got, err)
		}
		if err := r.Get(t.Context(), "absent").Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("a missing key: %v", err)
		}
		if err := r.Close(); err != nil || !r.Up() {
			t.Errorf("Close: %v, up %t", err, r.Up())
		}
		if err := r.Get(t.Context(), "k").Err(); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	f(configOf(redistest.Start(t)))
	f(configOf(redistest.Start(t, redistest.WithPassword("p"))))
	secure := configOf(redistest.Start(t, redistest.WithUser("u", "p"), redistest.WithTLS()))
	secure.DB = 3
	f(secure)
	f(RedisConfig{Addresses: redistest.StartCluster(t).Addresses()[:1], Cluster: true})
	set := redistest.StartSentinels(t, 1, redistest.WithUser("u", "p"), redistest.WithSentinelPassword("s"), redistest.WithTLS())
	c := configOf(set.Master)
	c.Addresses, c.MasterName, c.SentinelPassword = set.Addresses(), redistest.MasterName, "s"
	f(c)
}

// What an operator got wrong is said once, with what to do, and without a secret.
func TestRedisSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := func(c RedisConfig, want string) {
		t.Helper()
		r, lines := open(t, c)
		defer func() {
			if t.Failed() {
				t.Logf("the log: %s", lines)
			}
		}()
		eventually(t, want, func() bool { return strings.Contains(lines.String(), want) })
		eventually(t, "the breaker", func() bool { return errors.Is(roundTrip(r, "v"), ErrRedisDown) && !r.Up() })
		if all := lines.String() + roundTrip(r, "v").Error(); strings.Contains(all, "s3cret") {
			t.Errorf("a secret shows in %s", all)
		}
		if n := strings.Count(lines.String(), "cannot be used yet"); n != 1 {
			t.Errorf("said %d times: %s", n, lines)
		}
	}
	locked := redistest.Start(t, redistest.WithPassword("s3cret-right"))
	f(RedisConfig{Addresses: []string{locked.Address()}}, "NOAUTH Authentication required.; check store.redis.username and password")
	wrong := configOf(locked)
	wrong.Password = "s3cret-guess"
	f(wrong, "WRONGPASS invalid username-password pair or user is disabled.; check store.redis.username and password")

	secure, other := redistest.Start(t, redistest.WithTLS()), redistest.Start(t, redistest.WithTLS())
	wrong = configOf(secure)
	wrong.TLSCA = other.CAFile()
	f(wrong, "; check store.redis.tls_ca and that the certificate names the address")
	f(RedisConfig{Addresses: []string{secure.Address()}}, "the server hung up: where it speaks TLS, set store.redis.tls: true")

	plain := redistest.Start(t)
	f(RedisConfig{Addresses: []string{plain.Address()}, TLS: true}, "and that store.redis.tls fits the port")
	f(RedisConfig{Addresses: []string{plain.Address()}, Cluster: true},
		"ERR This instance has cluster support disabled; give one address and no store.redis.cluster")
	f(RedisConfig{Addresses: []string{plain.Address()}, MasterName: "m"}, "check that store.redis.addresses are Sentinels and that they run")
	plain.Stop()
	f(configOf(plain), "connect: connection refused; check that Redis runs")
	narrow := redistest.Start(t, redistest.WithConfig("user narrow on >s3cret-right ~* +set +get"))
	f(RedisConfig{Addresses: []string{narrow.Address()}, Username: "narrow", Password: "s3cret-right"}, "such as +@connection")

	set := redistest.StartSentinels(t, 1, redistest.WithSentinelPassword("s3cret-right"))
	c := RedisConfig{Addresses: set.Addresses(), MasterName: redistest.MasterName, SentinelPassword: "s3cret-guess"}
	f(c, "check store.redis.sentinel_username and sentinel_password")
	c.MasterName, c.SentinelPassword = "stranger", "s3cret-right"
	f(c, "the Sentinels do not know store.redis.master_name")
	f(configOf(set.Replica), "the server is a replica")
}

func TestRedisWarnsOfWhatWillGoWrong(t *testing.T) {
	t.Parallel()
	f := func(c RedisConfig, want string) {
		t.Helper()
		_, lines := open(t, c)
		eventually(t, want, func() bool { return strings.Contains(lines.String(), want) })
	}
	evicts := redistest.Start(t, redistest.WithConfig("maxmemory-policy allkeys-lru"))
	f(configOf(evicts), "redis may evict keys")
	f(configOf(redistest.StartCluster(t).Nodes[0]), "redis is a node of a Cluster")
}

func TestOpenRedisRefuses(t *testing.T) {
	f := func(c RedisConfig, want string) {
		t.Helper()
		r, err := OpenRedis(c, nil)
		if err == nil {
			_ = r.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	one := []string{"127.0.0.1:1"}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(RedisConfig{}, "store.redis.addresses: must name a server")
	f(RedisConfig{Addresses: one, TLS: true, TLSCA: "absent.pem"}, "store.redis.tls_ca: cannot read the authorities: open absent.pem: ")
	f(RedisConfig{Addresses: one, TLS: true, TLSCA: empty}, "store.redis.tls_ca: "+empty+" holds no certificate in PEM form")
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
	if longest > 5*time.Second {
		t.Errorf("a call that wanted 50 ms took %s", longest)
	}
	began := time.Now()
	if err := r.Set(context.Background(), "k", "v", 0).Err(); !errors.Is(err, ErrRedisDown) || time.Since(began) > 5*time.Second {
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
	const wanted = 24 // far more than open the breaker
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
	if time.Since(began) > 10*breakerTimeout {
		t.Errorf("calls worked again after %s and %d failures", time.Since(began), failed)
	}
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
		set.Master.Kill()
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
	if err := r.Get(context.Background(), "k").Err(); !errors.Is(err, ErrRedisDown) || time.Since(began) > 5*time.Second {
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
