package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"

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
	gateway *Gateway
	http    *fasthttp.Server
}

// NewServer returns the server of a gateway. Each setting closes a hazard that
// fasthttp leaves to its user; the comments name it.
func NewServer(g *Gateway) *Server {
	c := g.Config
	return &Server{gateway: g, http: &fasthttp.Server{
		Handler:      g.Handle,
		ErrorHandler: g.refuseUnparsed,

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
	}}
}

// Serve answers requests until Shutdown, or until the listener is closed.
func (s *Server) Serve(ln net.Listener) error {
	return s.http.Serve(&patientListener{Listener: ln, log: s.gateway.Log})
}

// InFlight returns how many chat completions are in progress.
func (s *Server) InFlight() int { return s.gateway.InFlight() }

// Shutdown stops accepting, lets open answers go on until ctx is done, then
// cuts the rest short: each gets an error event and a record. When it returns
// nil, every answer has its record; else the error says how many have not.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.ShutdownWithContext(ctx); err != nil {
		s.gateway.Log.Warn("cutting open answers short: server.drain_timeout is over", telemetry.FieldInFlight, s.gateway.InFlight())
	}
	// fasthttp knows nothing more: its second Shutdown would return at once.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), haltGrace)
	defer cancel()
	return s.gateway.Close(last)
}

// patientListener goes on after an error of Accept that passes: a process that
// has no descriptor left must not end because one more client has come.
type patientListener struct {
	net.Listener
	log *slog.Logger
}

// Accept implements net.Listener.
func (l *patientListener) Accept() (net.Conn, error) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	for wait := shortest; ; wait = min(2*wait, longest) {
		conn, err := l.Listener.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		if wait == shortest {
			l.log.Error("cannot accept connections, trying again", telemetry.FieldError, err)
		}
		time.Sleep(wait)
	}
}

// passes tells the errors of Accept that end by themselves.
func passes(err error) bool {
	for _, number := range [...]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, number) {
			return true
		}
	}
	return false
}

// quietLogger counts fasthttp's own lines in the log, at debug, without their
// text: they are about connections that clients broke, and quote what was sent,
// a misspelt Authorization header too.
type quietLogger struct{ log *slog.Logger }

func (l quietLogger) Printf(string, ...any) { l.log.Debug("connection broken") }
