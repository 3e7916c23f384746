package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"time"
)

// Request is one attempt's request, ready to be sent.
type Request struct {
	// Candidate is asked.
	Candidate *Candidate
	// Body is the JSON sent. It is the caller's again as soon as Do has returned.
	Body []byte
	// Stream says that an event stream is expected.
	Stream bool
	// ConnectTimeout bounds dialling and the TLS handshake together; 0 means 3s.
	ConnectTimeout time.Duration
}

// Response is a provider's answer: its status and the few headers that matter.
// The caller must close Body.
type Response struct {
	Status          int
	ContentType     string
	ContentLength   int64 // -1: unknown
	ContentEncoding string
	RetryAfter      string // as received
	Body            io.ReadCloser
}

// ConnectError says that no connection could be made: the request was not sent.
type ConnectError struct {
	// Address is the host:port dialled.
	Address string
	Err     error
}

func (e *ConnectError) Error() string { return "connect to " + e.Address + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// TransportOptions are what a Transport may be told; the zero value is the default.
type TransportOptions struct {
	// RootCAs verify the providers' certificates. Nil: the system's.
	RootCAs *x509.CertPool
}

// Transport asks candidates over HTTP.
type Transport struct{}

// NewTransport returns a Transport. The caller must Close it.
func NewTransport(o TransportOptions) *Transport { return &Transport{} }

// Do sends r and returns when the answer's head has arrived.
func (t *Transport) Do(ctx context.Context, r *Request) (*Response, error) {
	return nil, errors.New("upstream: not built yet")
}

// Close closes the idle connections.
func (t *Transport) Close() {}
