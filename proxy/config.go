package proxy

import (
	"errors"
	"fmt"
	"net"
	"time"

	"tollgate/size"
)

// Config is the `server` section of config.yaml: the public API and its bounds.
type Config struct {
	// Listen is the public API's address, host:port; an empty host means every interface.
	Listen string `yaml:"listen"`
	// TrustedProxies are the networks, as CIDRs, of the load balancers and proxies in front. Of a connection from one of them X-Forwarded-For is believed: read from its end, the first address in none of these networks is the client's, or else its first one. From anybody else the header means nothing. None: the client is who connects.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// TLS makes the public API speak HTTPS.
	TLS TLSConfig `yaml:"tls"`
	// MaxRequestBody is the largest request body taken; a longer one is answered 413.
	MaxRequestBody Size `yaml:"max_request_body"`
	// MaxBodyMemory bounds the memory of all request bodies held at one time, each counted twice: as it came and as it is sent on. Plain answers in memory count once, and the last max_answer of it is kept for them; an eighth of the rest is kept for bodies of at most 64 KiB. Beyond it a request is answered 503.
	MaxBodyMemory Size `yaml:"max_body_memory"`
	// MaxInFlight bounds the requests in progress; beyond it a request is answered 503. The first 8 KiB of a body with a length are awaited before that, because fasthttp reads them ahead of its handler; with Expect: 100-continue nothing is awaited.
	MaxInFlight int `yaml:"max_in_flight"`
	// MaxEvent is the longest SSE event relayed; a longer one fails the stream visibly.
	MaxEvent Size `yaml:"max_event"`
	// MaxAnswer is the largest plain (not streamed) answer taken from a provider; a larger one counts as a failed attempt.
	MaxAnswer Size `yaml:"max_answer"`
	// ReadTimeout is how long a client may take to send its request, head and body together.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// IdleTimeout is how long a connection may wait for its next request.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// WriteTimeout is how long a client may accept nothing before it is cut.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// ShutdownDelay is how long requests are still accepted after SIGTERM, while /readyz says no and every answer closes its connection: the time a load balancer takes to look elsewhere.
	ShutdownDelay time.Duration `yaml:"shutdown_delay"`
	// DrainTimeout is how long open answers may go on after SIGTERM, once the listener is closed.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	// KeepaliveComment is the silence of a provider after which a stream's client is sent a comment line, which keeps connections open on the way and shows clients that are gone. 0: never.
	KeepaliveComment time.Duration `yaml:"keepalive_comment"`
	// KeepaliveBeforeFirstToken sends these comments also before a stream's first event. The first comment commits status 200: a failure after it is an error event, no longer a status.
	KeepaliveBeforeFirstToken bool `yaml:"keepalive_before_first_token"`
	// MaxDrains bounds the answers that are read to their end although their client has left (on_disconnect: drain); beyond it they are cancelled. 0: none is read on.
	MaxDrains int `yaml:"max_drains"`
	// UpstreamHeaders says in each answer for which a provider was asked: how many were (x-tollgate-attempts), and which one answered, if one did (x-tollgate-upstream). An answer that has begun with comments has neither.
	UpstreamHeaders bool `yaml:"upstream_headers"`
}

// TLSConfig names the files of a certificate. They are read again when they change.
type TLSConfig struct {
	// Cert is a PEM file with the certificate, followed by those of its authorities. Empty: plain HTTP.
	Cert string `yaml:"cert"`
	// Key is a PEM file with the certificate's private key.
	Key string `yaml:"key"`
}

// On reports whether the public API speaks HTTPS.
func (t TLSConfig) On() bool { return t.Cert != "" }

// DefaultConfig returns the defaults of the `server` section.
func DefaultConfig() Config {
	return Config{
		Listen:         ":8080",
		MaxRequestBody: 20 << 20,
		MaxBodyMemory:  512 << 20,
		MaxInFlight:    20000,
		MaxEvent:       16 << 20,
		MaxAnswer:      32 << 20,
		ReadTimeout:    30 * time.Second,
		IdleTimeout:    120 * time.Second,
		WriteTimeout:   30 * time.Second,
		DrainTimeout:   300 * time.Second,

		KeepaliveComment: 15 * time.Second,
		MaxDrains:        64,
		UpstreamHeaders:  true,
	}
}

// Validate returns one joined error with a line for each bad option.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("server.listen: must be host:port such as \":8080\", got %q", c.Listen)
	}
	for _, network := range c.TrustedProxies {
		if _, err := parseNetwork(network); err != nil {
			bad("server.trusted_proxies: each %w", err)
		}
	}
	for _, s := range []struct {
		option string
		value  Size
	}{
		{"max_request_body", c.MaxRequestBody},
		{"max_body_memory", c.MaxBodyMemory},
		{"max_event", c.MaxEvent},
		{"max_answer", c.MaxAnswer},
	} {
		if s.value < 1<<10 || s.value > size.Most {
			bad("server.%s: must be between 1KiB and %s, got %s", s.option, size.Most, s.value)
		}
	}
	if least := bodyCopies*c.MaxRequestBody + c.MaxAnswer; c.MaxBodyMemory < least {
		bad("server.max_body_memory: must hold twice server.max_request_body and once server.max_answer (%s), got %s", least, c.MaxBodyMemory)
	}
	if c.MaxInFlight < 1 {
		bad("server.max_in_flight: must be 1 or more, got %d", c.MaxInFlight)
	}
	for _, d := range []struct {
		option string
		value  time.Duration
	}{
		{"read_timeout", c.ReadTimeout},
		{"idle_timeout", c.IdleTimeout},
		{"write_timeout", c.WriteTimeout},
		{"drain_timeout", c.DrainTimeout},
	} {
		if d.value <= 0 {
			bad("server.%s: must be a positive duration such as 30s, got %s", d.option, d.value)
		}
	}
	if c.ShutdownDelay < 0 {
		bad("server.shutdown_delay: must be 0 or a duration such as 5s, got %s", c.ShutdownDelay)
	}
	if c.KeepaliveComment != 0 && c.KeepaliveComment < leastKeepalive {
		bad("server.keepalive_comment: must be 0 (never) or at least %s, got %s", leastKeepalive, c.KeepaliveComment)
	}
	if c.KeepaliveBeforeFirstToken && c.KeepaliveComment == 0 {
		bad("server.keepalive_before_first_token: needs server.keepalive_comment, which is 0 (never)")
	}
	if c.MaxDrains < 0 {
		bad("server.max_drains: must be 0 or more, got %d", c.MaxDrains)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		bad("server.tls: cert and key belong together: give both, or neither for plain HTTP")
	}
	return errors.Join(errs...)
}

// leastKeepalive keeps a comment from becoming the larger part of a stream.
const leastKeepalive = 100 * time.Millisecond

// Size is a number of bytes, as config.yaml writes it.
type Size = size.Bytes
