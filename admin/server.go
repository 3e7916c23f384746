package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"tollgate/keys"
	"tollgate/upstream"
	"tollgate/usage"
)

// The bounds of one operator's request. Only what is to be explained may be longer than maxBody.
const (
	maxBody           = 64 << 10
	maxHeader         = 32 << 10
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
)

// Ledger answers what was used. *usage.Books is one.
type Ledger interface {
	// ByRequest returns the records of a request, none for an unknown one.
	ByRequest(ctx context.Context, id string) ([]usage.Record, error)
	// Sum returns totals; its error wraps usage.ErrBadQuery where the query is at fault.
	Sum(ctx context.Context, q usage.Query) ([]usage.Row, error)
	// Behind is how many records are written and are not in such an answer yet; 0: none is missing.
	Behind() uint64
}

// Upstreams tells the present state of all endpoints, sorted. *upstream.Table is one.
// It is asked anew for every answer, so that it may speak for whichever table is in force.
type Upstreams interface {
	Endpoints() []upstream.EndpointState
}

// Options is what a Server needs. Keys, Usage, Limits, Upstreams and Tokens must be there.
type Options struct {
	Keys      *keys.Directory
	Usage     Ledger
	Limits    Limits
	Upstreams Upstreams
	// Explainer answers POST /admin/v1/explain; nil: there is no such path.
	Explainer Explainer
	// MaxRequestBody is server.max_request_body in bytes, the longest body that is explained; 0: 20 MiB.
	MaxRequestBody int64
	// Tokens are what operators present. Without one, or with empty ones only, everybody is shut out.
	Tokens []NamedToken
	// Metrics answers GET /metrics; nil: there is no such path.
	Metrics http.Handler
	// Unready tells why this replica takes no traffic; nil: it always does. It is asked for every GET /readyz.
	Unready func() Unready
	// Log takes what was changed and what failed; nil discards.
	Log *slog.Logger
}

// Server is the operators' API. It is safe for concurrent use.
type Server struct {
	options   Options
	operators []operator
	strangers *strangers
	log       *slog.Logger
	now       func() time.Time
	http      *http.Server
	// explaining and listing are where bodies are explained and pages cut.
	explaining, listing places
}

// New returns a Server that does not serve yet.
func New(o Options) *Server {
	s := &Server{
		options: o, operators: newOperators(o.Tokens), strangers: newStrangers(),
		log: o.Log, now: time.Now,
		explaining: newPlaces(maxExplaining, "requests are being explained, and are slow to arrive"),
		listing:    newPlaces(maxListing, "lists are being read"),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.options.MaxRequestBody == 0 {
		s.options.MaxRequestBody = defaultMaxRequestBody
	}
	if s.options.Unready == nil {
		s.options.Unready = func() Unready { return Unready{} }
	}
	s.http = &http.Server{
		Handler:                      s.Handler(),
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is an unknown path like any other
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return s
}

// Serve answers on ln until Shutdown, and then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting and waits for the answers in progress; those that ctx
// does not leave the time for are cut, which its error tells.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}
