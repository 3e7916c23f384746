package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
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
	// Traceparent is sent as the header of that name (W3C Trace Context); empty: none is.
	Traceparent string
}

// withTrace returns the header with a trace in it. It leaves base as it is: all
// requests of an endpoint share one.
func withTrace(base http.Header, traceparent string) http.Header {
	if traceparent == "" {
		return base
	}
	header := maps.Clone(base)
	header["Traceparent"] = []string{traceparent}
	return header
}

// Response is a provider's answer: its status, the few headers that matter, and
// its body as it comes. The caller must close Body.
type Response struct {
	Status          int
	ContentType     string
	ContentLength   int64 // -1: unknown
	ContentEncoding string
	// RetryIn is how long the provider asked to be left alone; 0: it named no time.
	RetryIn time.Duration
	// Framed says that the transfer itself tells where the body ends, by a length or in
	// chunks, and not only by closing the connection, as whoever breaks it does, too.
	Framed bool
	// Body ends with io.EOF only when the transfer ended as its framing says, where it is
	// Framed: a connection that breaks earlier is another error. Closing it before its end
	// closes the connection.
	Body io.ReadCloser
}

// TransportOptions are what a Transport may be told; the zero value is the default.
type TransportOptions struct {
	// RootCAs verify the providers' certificates. Nil: the system's.
	RootCAs *x509.CertPool
}

// The bounds of the connection pool and of an answer's head.
const (
	idlePerHost    = 512 // net/http's default of 2 would dial for almost every request under load
	idleInAll      = 2048
	idleTimeout    = 55 * time.Second // below the 60s after which load balancers commonly hang up
	maxAnswerHead  = 64 << 10         // net/http's default is 10 MiB per answer
	connectTimeout = 3 * time.Second
)

// Transport asks candidates over HTTP/1.1. It sends each request at most once,
// follows no redirect, uses no proxy from the environment and lets no header
// through that it did not write itself. It is safe for concurrent use.
type Transport struct {
	http *http.Transport
}

// NewTransport returns a Transport. The caller must Close it.
func NewTransport(o TransportOptions) *Transport {
	d := newDialer(o.RootCAs)
	var protocols http.Protocols
	// One connection for each answer in progress: a lost packet or a peer's
	// window then holds up one stream, and a cancelled one is simply closed.
	protocols.SetHTTP1(true)
	return &Transport{http: &http.Transport{
		DialContext:            d.dial,
		DialTLSContext:         d.dialTLS,
		DisableCompression:     true,
		MaxIdleConns:           idleInAll,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHead,
		Protocols:              &protocols,
	}}
}

// errOff says that an endpoint without a credential was to be asked.
var errOff = errors.New("the endpoint has no credential")

// Do sends r once and returns when the head of the answer has arrived, whatever
// its status. Cancelling ctx ends the request at once, in every phase; ctx must
// live until the body was read. The error is a *ConnectError when the request
// was never sent, and ctx's cause when that ended it.
func (t *Transport) Do(ctx context.Context, r *Request) (*Response, error) {
	endpoint := r.Candidate.Endpoint
	if endpoint.Off() {
		return nil, &ConnectError{endpoint.URL, errOff}
	}
	url, header := endpoint.wire(r.Stream)
	body := newLoan(r.Body)
	connecting := connectWithin(ctx, r.ConnectTimeout)
	request := (&http.Request{
		Method:        http.MethodPost,
		URL:           url,
		Header:        withTrace(header, r.Traceparent),
		Body:          body.reader(),
		ContentLength: int64(len(r.Body)),
		// With GetBody, net/http sends a POST again when the kept connection it
		// chose turns out to be dead before a byte was written: nobody can have
		// charged for that. In every other case the request may have arrived;
		// whether to ask again is decided above, where the budget is. (A header
		// Idempotency-Key would let net/http decide; none is ever sent.)
		GetBody: func() (io.ReadCloser, error) { return body.reader(), nil },
	}).WithContext(httptrace.WithClientTrace(connecting, &connecting.trace))
	// RoundTrip, not Client.Do: a redirect would carry the credential elsewhere.
	answer, err := t.http.RoundTrip(request) //nolint:bodyclose // the body is handed to the caller, who closes it
	if err != nil {
		body.end()
		if !connecting.written.Load() {
			return nil, notSent(url.Host, err)
		}
		return nil, err
	}
	body.keep()
	response := &Response{
		Status:          answer.StatusCode,
		ContentType:     answer.Header.Get("Content-Type"),
		ContentLength:   answer.ContentLength,
		ContentEncoding: answer.Header.Get("Content-Encoding"),
		Framed:          answer.ContentLength >= 0 || len(answer.TransferEncoding) > 0 || answer.ProtoMajor > 1,
		Body:            answer.Body,
	}
	if answer.StatusCode != http.StatusOK { // the resets of an answer are no wish to be left alone
		response.RetryIn = retryIn(answer.Header, time.Now())
	}
	return response, nil
}

// notSent makes err a *ConnectError, if it is none yet.
func notSent(address string, err error) error {
	var connect *ConnectError
	if errors.As(err, &connect) {
		return err
	}
	return &ConnectError{address, err}
}

// Close closes the idle connections; busy ones close when their answers end.
func (t *Transport) Close() { t.http.CloseIdleConnections() }
