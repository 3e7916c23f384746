// Package otlptest is a collector for tests. It answers one question: which
// spans did a program send? It takes them over OTLP/gRPC and OTLP/HTTP on
// loopback and hands them out as plain Go values. It imports none of the
// packages under test, so that it believes only what is on the wire.
//
// A Receiver is safe for concurrent use.
package otlptest

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // exporters may compress
)

// Span is one span as it arrived.
type Span struct {
	Name     string
	Kind     string // "server", "client", ...
	TraceID  string // 32 hex digits
	SpanID   string // 16 hex digits
	ParentID string // 16 hex digits, empty for a root
	State    string // the W3C tracestate

	Attributes map[string]any // string, bool, int64, float64 or []any of them
	Status     string         // "unset", "ok" or "error"
	Message    string         // of the status
	Start, End time.Time
	Events     int

	Resource map[string]any
	Scope    string
}

// Export is one request of an exporter.
type Export struct {
	Protocol string            // "grpc" or "http"
	Header   map[string]string // names in lower case
	Spans    int
}

// Receiver is a collector. Start makes one.
type Receiver struct {
	collector.UnimplementedTraceServiceServer

	http, grpc net.Addr

	mu      sync.Mutex
	spans   []Span
	exports []Export
	changed chan struct{} // closed when something arrives
}

// Start returns a Receiver that listens until the test ends.
func Start(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{changed: make(chan struct{})}
	var wait sync.WaitGroup
	t.Cleanup(wait.Wait)

	forHTTP, forGRPC := listen(t), listen(t)
	r.http, r.grpc = forHTTP.Addr(), forGRPC.Addr()

	web := &http.Server{Handler: http.HandlerFunc(r.serveHTTP), ReadHeaderTimeout: 10 * time.Second}
	wait.Go(func() { _ = web.Serve(forHTTP) })
	t.Cleanup(func() { _ = web.Close() })

	rpc := grpc.NewServer()
	collector.RegisterTraceServiceServer(rpc, r)
	wait.Go(func() { _ = rpc.Serve(forGRPC) })
	t.Cleanup(rpc.Stop)
	return r
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// HTTPURL is the base address for OTLP/HTTP.
func (r *Receiver) HTTPURL() string { return "http://" + r.http.String() }

// GRPCURL is the address for OTLP/gRPC.
func (r *Receiver) GRPCURL() string { return "http://" + r.grpc.String() }

// Spans returns what has arrived so far, in the order of arrival.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Exports returns the requests that have arrived so far.
func (r *Receiver) Exports() []Export {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.exports)
}

// Await returns the spans as soon as enough reports true for them. The test
// fails when that has not happened after 20 seconds.
func (r *Receiver) Await(t testing.TB, enough func([]Span) bool) []Span {
	t.Helper()
	const patience = 20 * time.Second
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		spans, changed := slices.Clone(r.spans), r.changed
		r.mu.Unlock()
		if enough(spans) {
			return spans
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("the spans waited for did not arrive, but these: %s", names(spans))
		}
	}
}

func names(spans []Span) string {
	var all []string
	for _, s := range spans {
		all = append(all, s.Kind+" "+s.Name)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (r *Receiver) take(e Export, spans []Span) {
	e.Spans = len(spans)
	e.Header = maps.Clone(e.Header)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exports = append(r.exports, e)
	r.spans = append(r.spans, spans...)
	close(r.changed)
	r.changed = make(chan struct{})
}
