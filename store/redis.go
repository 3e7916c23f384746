package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// What a call may cost. A request waits for Redis, so each bound is a small part of what a person notices.
const (
	// socketTimeout bounds each step of a call: a dial with its TLS handshake, a write, a read, the wait for a connection.
	socketTimeout = 100 * time.Millisecond
	// connectTimeout bounds all of a connection's making. Behind Sentinels that includes the question who is
	// master, which must leave time to give a silent Sentinel up and to ask the others: the client
	// forgets a silent one only where its question ends before this does.
	connectTimeout = 3 * socketTimeout
	// longestCall bounds a call whose caller set no deadline.
	longestCall = 4 * socketTimeout
	// poolSize bounds the connections to each node. A script takes Redis some 20 µs and the network less than
	// a millisecond, so this is room for tens of thousands of calls per second.
	poolSize = 64
	// idleTimeout closes connections that a burst left behind, before a firewall forgets them.
	idleTimeout = 5 * time.Minute
	// redirects is how often a Cluster may send a call on: once for a moved slot, once more for one on its way.
	redirects = 2
)

// Redis is the fleet's Redis: one server, a master that Sentinels name, or a
// Cluster. It is safe for concurrent use; whoever opened it closes it.
//
// Its one circuit breaker sees every call once. Five calls in a row that fail
// because of the server open it; while it is open each call returns ErrRedisDown
// at once. After half a second one call is let through, and decides.
//
// No call is sent twice behind its caller's back, so that a script that spends
// spends once: after a time-out nobody knows whether it ran. Only a Cluster's
// client repeats a call, up to twice, because it cannot tell its nodes apart otherwise.
//
// A call lasts until its context's deadline at most, 400 ms where there is none.
// Whoever blocks on purpose (BLPOP, XREAD BLOCK) must therefore set a deadline,
// and should keep a connection of its own.
type Redis struct {
	redis.UniversalClient

	breaker   *breaker
	sentinels *sentinels // nil: none watch the server
	log       *slog.Logger
	stop      context.CancelFunc
	greeted   chan struct{} // closed when the greeting is over, however it went; what follows is counted apart from it
	watched   chan struct{} // closed when watch has returned
	close     func() error
}

// OpenRedis makes a client of the fleet's Redis. It does not wait for the
// server, which may be down when a gateway starts: whether it answers, and what
// to do where it does not, is logged. An error is always a bad option's.
// c has passed Validate.
func OpenRedis(c RedisConfig, log *slog.Logger) (*Redis, error) {
	if len(c.Addresses) == 0 {
		return nil, errors.New("store.redis.addresses: must name a server")
	}
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	client := newClient(c, tlsConfig)
	b := newBreaker(log)
	client.AddHook(b)
	ctx, stop := context.WithCancel(context.Background())
	r := &Redis{
		UniversalClient: client, breaker: b, sentinels: newSentinels(c, tlsConfig), log: log, stop: stop,
		greeted: make(chan struct{}), watched: make(chan struct{}),
	}
	r.close = sync.OnceValue(func() error { return errors.Join(client.Close(), r.sentinels.close()) })
	go r.watch(ctx)
	return r, nil
}

// Up is false while the circuit breaker refuses calls.
func (r *Redis) Up() bool { return r.breaker.outage.Load() == nil }

// Close ends every connection. Calls made later return redis.ErrClosed.
func (r *Redis) Close() error {
	r.stop()
	<-r.watched
	return r.close()
}

// SilenceRedisLog keeps the Redis client library from writing lines of its own
// to standard error, between the lines of the gateway's log. The library has one
// logger per process, so this is for the program to call, once, before it opens
// anything. Nothing is lost: what its lines say is in the errors of the calls, and
// Redis logs when it goes down and why.
func SilenceRedisLog() { redis.SetLogger(&logging.VoidLogger{}) }

func newClient(c RedisConfig, tlsConfig *tls.Config) redis.UniversalClient {
	o := &redis.UniversalOptions{
		Addrs:                 c.Addresses,
		ClientName:            "tollgate",
		DB:                    c.DB,
		Dialer:                dialer(tlsConfig),
		Username:              c.Username,
		Password:              c.Password.Reveal(),
		SentinelUsername:      c.SentinelUsername,
		SentinelPassword:      c.SentinelPassword.Reveal(),
		MasterName:            c.MasterName,
		MaxRetries:            -1,
		MaxRedirects:          redirects,
		MinRetryBackoff:       time.Millisecond,
		MaxRetryBackoff:       5 * time.Millisecond,
		DialTimeout:           connectTimeout,
		DialerRetries:         1,
		ReadTimeout:           socketTimeout,
		WriteTimeout:          socketTimeout,
		ContextTimeoutEnabled: true,
		PoolSize:              poolSize,
		PoolTimeout:           socketTimeout,
		PipelinePoolSize:      -1, // one pool, so that one number bounds the connections
		ConnMaxIdleTime:       idleTimeout,
		// Questions that older servers, and users with few rights, are answered with errors.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	switch {
	case c.MasterName != "":
		return redis.NewFailoverClient(o.Failover())
	case c.clustered():
		return redis.NewClusterClient(o.Cluster())
	}
	return redis.NewClient(o.Simple())
}

// dialer bounds a dial by the caller's context and by socketTimeout, the TLS
// handshake included: the library's own heeds no context once TLS is on.
func dialer(tlsConfig *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	plain := &net.Dialer{
		Timeout: socketTimeout,
		// A server that vanished without a word is noticed on idle connections too.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
	}
	if tlsConfig == nil {
		return plain.DialContext
	}
	return (&tls.Dialer{NetDialer: plain, Config: tlsConfig}).DialContext
}

// tlsConfig returns nil where connections are not encrypted.
func (c RedisConfig) tlsConfig() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("store.redis.tls_ca: cannot read the authorities: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("store.redis.tls_ca: %s holds no certificate in PEM form", c.TLSCA)
	}
	return t, nil
}
