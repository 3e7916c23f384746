package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"tollgate/proxy/certs"
	"tollgate/proxy/watch"
	"tollgate/telemetry"

	"github.com/valyala/fasthttp"
)

// headBytes is the largest request head taken, in bytes; beyond it 431.
const headBytes = 16 << 10

// haltGrace is how long answers may take to say that they were cut short,
// after the time for draining is over.
const haltGrace = 2 * time.Second

// Server is the public listener of a Gateway.
type Server struct {
	gateway     *Gateway
	http        *fasthttp.Server
	watcher     *watch.Watcher
	connections *connections
	tls         *tls.Config // nil: plain HTTP

	mu        sync.Mutex
	listeners []*listener // that are served
	over      bool        // a shutdown has begun
}

// NewServer returns the server of a gateway. The caller must Close it. It fails
// when the certificate of server.tls cannot be used, or when the system has no
// descriptor left.
func NewServer(g *Gateway) (*Server, error) {
	s := &Server{gateway: g, http: newHTTP(g)}
	if files := g.Config.TLS; files.On() {
		certificate, err := certs.Load(files.Cert, files.Key, g.Log)
		if err != nil {
			return nil, err
		}
		s.tls = certificate.Config()
	}
	var err error
	if s.watcher, err = watch.New(); err != nil {
		return nil, fmt.Errorf("watching connections: %w", err)
	}
	s.connections = &connections{
		watcher: s.watcher,
		log:     g.Log,
		// Longer than what the relay gives a client that accepts nothing: it is to decide.
		vanished: 2 * g.Config.WriteTimeout,
		open:     make(map[*connection]struct{}),
	}
	return s, nil
}

// newHTTP is fasthttp's part. Each setting closes a hazard that fasthttp leaves
// to its user; the comments name it.
func newHTTP(g *Gateway) *fasthttp.Server {
	c := g.Config
	return &fasthttp.Server{
		Handler:      g.Handle,
		ErrorHandler: g.refuseUnparsed,
		// fasthttp would say "100 Continue" to everybody, before a key is checked.
		ExpectHandler:  g.expect,
		HeaderReceived: readExpectation,

		ReadBufferSize: headBytes,
		ReadTimeout:    c.ReadTimeout,
		IdleTimeout:    c.IdleTimeout,
		// One deadline for a whole answer; the relay moves it on. Zero would let
		// a deadline that the relay set survive into the next request.
		WriteTimeout: c.WriteTimeout,
		// Counts idle connections too, so it must not be the limit that matters:
		// server.max_in_flight is.
		Concurrency: max(fasthttp.DefaultConcurrency, 4*c.MaxInFlight),

		// A buffered body would be allocated at its declared length before anyone
		// is authenticated. Streamed, it must be read by us or the connection
		// closed: fasthttp parses what is left as the next request.
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		MaxRequestBodySize:           int(c.MaxRequestBody),

		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		CloseOnShutdown:       true,
		// Parse errors quote the request, its key included.
		SecureErrorLogMessage: true,
		Logger:                quietLogger{g.Log},
	}
}

// Serve answers requests until Shutdown, or until the listener is closed. After a
// Shutdown it closes the listener and returns at once.
func (s *Server) Serve(ln net.Listener) error {
	l := &listener{Listener: ln, all: s.connections, tls: s.tls}
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	over := s.over
	s.mu.Unlock()
	if over {
		_ = l.Close() // whoever opened it may have closed it already
		return nil
	}
	return s.http.Serve(l)
}

// closeListeners ends Serve, be it one that has only just begun: fasthttp's own
// shutdown does not know that yet, and would leave it accepting for ever.
func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, l := range s.listeners {
		_ = l.Close() // it accepts nothing any more, whatever the error
	}
}

// Follow puts another plan into force, for the requests that begin from now on.
func (s *Server) Follow(p Plan) { s.gateway.Follow(p) }

// InFlight returns how many chat completions are in progress.
func (s *Server) InFlight() int { return s.gateway.InFlight() }

// Drains returns how many answers are read on whose client has left.
func (s *Server) Drains() int { return s.gateway.Drains() }

// Retire is the first step of an end: each answer from now on closes its
// connection, so that clients come back to another replica. Everything else goes on.
func (s *Server) Retire() { s.gateway.Retire() }

// Shutdown stops accepting, gives up what is read on without a client, lets open
// answers go on until ctx is done, then cuts the rest short: each gets an error
// event and a record. When it returns nil, every answer has its record; else the
// error says how many have not. No connection is open then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.gateway.Retire()
	s.gateway.abandon()
	s.closeListeners()
	if err := s.drain(ctx); err != nil {
		s.gateway.Log.Warn("cutting open answers short: server.drain_timeout is over", telemetry.FieldInFlight, s.gateway.InFlight())
		s.gateway.halt(errShutdown)
		s.connections.wakeReaders()
	}
	// fasthttp knows nothing more: its second Shutdown would return at once.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), haltGrace)
	defer cancel()
	err := s.gateway.Close(last)
	s.connections.close()
	return errors.Join(err, s.Close())
}

// drain waits until no connection is open, or ctx is done.
func (s *Server) drain(ctx context.Context) error {
	stalled, stop := context.WithCancel(ctx)
	var closer sync.WaitGroup
	closer.Go(func() { s.connections.closeStalled(stalled) })
	err := s.http.ShutdownWithContext(ctx)
	stop()
	closer.Wait()
	return err
}

// Close ends what the server does beside its connections. It is idempotent;
// Shutdown calls it.
func (s *Server) Close() error { return s.watcher.Close() }

// quietLogger counts fasthttp's own lines in the log, at debug, without their
// text: they are about connections that clients broke, and quote what was sent,
// a misspelt Authorization header too.
type quietLogger struct{ log *slog.Logger }

func (l quietLogger) Printf(string, ...any) { l.log.Debug("connection broken") }
