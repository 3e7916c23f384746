package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

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

// greeted waits until the client has asked what it asks by itself, and returns what the breaker has counted.
func greeted(t *testing.T, r *Redis) gobreaker.Counts {
	t.Helper()
	select {
	case <-r.greeted:
	case <-time.After(patience):
		t.Fatalf("the greeting: not within %s", patience)
	}
	return r.breaker.gate.Counts()
}

func TestRedisOfEachKind(t *testing.T) {
	t.Parallel()
	f := func(c RedisConfig) {
		t.Helper()
		r, _ := open(t, c)
		before := greeted(t, r)
		// More at a time than there are connections, so that some calls also make theirs; too few to open the breaker.
		var burst sync.WaitGroup
		for range breakerStreak - 1 {
			burst.Go(func() { _ = r.Set(t.Context(), "k", "v", 0).Err() })
		}
		burst.Wait()
		if got := r.breaker.gate.Counts().Requests - before.Requests; got != breakerStreak-1 {
			t.Errorf("%d calls are counted as %d", breakerStreak-1, got)
		}
		if err := roundTrip(r, "v"); err != nil {
			t.Error(err)
		}
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
	f(RedisConfig{Addresses: []string{narrow.Address()}, Username: "narrow", Password: "s3cret-right"}, "the rights ~tollgate:*")

	cluster := redistest.StartCluster(t, redistest.WithConfig("user narrow on >s3cret-right ~* +@all -cluster"))
	f(RedisConfig{Addresses: cluster.Addresses(), Username: "narrow", Password: "s3cret-right"}, "the right +cluster|slots")

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
	f(configOf(redistest.Start(t)), "redis keeps nothing on disk")
	narrow := func(rights string) RedisConfig {
		s := redistest.Start(t, redistest.WithConfig("user narrow on >p "+rights))
		return RedisConfig{Addresses: []string{s.Address()}, Username: "narrow", Password: "p"}
	}
	const rights = "redis does not let its user do what API keys need"
	const all = "+@connection +@hash +@sortedset +eval +evalsha +get +set +del +time"
	f(narrow("~tollgate:* "+all+" -eval"), rights)
	f(narrow("~tollgate:* "+all+" -evalsha"), rights)
	f(narrow("~tollgate:* "+all+" -@sortedset"), rights)
	f(narrow("~tollgate:* "+all+" -time"), rights)
	f(narrow("~other:* "+all), rights)
	const limits = "redis does not let its user do what limits need: each replica grants its share of them by itself"
	f(narrow("~tollgate:* "+all), limits)
	f(narrow("~tollgate:{keys}:* "+all+" +pexpire"), limits)
	f(narrow("~tollgate:* "+all+" +pexpire -hgetall"), limits)
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
