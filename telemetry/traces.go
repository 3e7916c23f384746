package telemetry

import (
	"context"
	"net"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// TraceOptions say whom to trust with a W3C trace context.
type TraceOptions struct {
	Accept bool // continue the trace of a client that sends a traceparent
	Send   bool // hand the trace on to providers
}

// Traces makes the spans of requests and their attempts. A nil *Traces,
// *RequestSpan or *AttemptSpan does nothing, so callers never ask. No span
// holds a prompt, an answer or a secret.
type Traces struct {
	tracer  trace.Tracer
	options TraceOptions
}

// NewTraces makes spans through p. Start does it for the program.
func NewTraces(p trace.TracerProvider, o TraceOptions) *Traces {
	return &Traces{tracer: p.Tracer(scope), options: o}
}

// RequestHead is what is known of a request when its span begins.
type RequestHead struct {
	RequestID     string
	Method, Route string // Route is one of Tollgate's, or "other"
	Path          string // only when it is one of Tollgate's own, else empty: a client's path may hold anything
	Scheme        string // "http" or "https"
	Protocol      string // the version of HTTP: "1.1", "1.0"
	ServerAddress string // host:port that the client asked for
	ClientAddress string // host:port
	UserAgent     string
	Traceparent   string // as received; a malformed one is ignored
	Began         time.Time
}

// RequestSpan is the SERVER span of one request. One goroutine at a time may use it.
type RequestSpan struct {
	traces *Traces
	ctx    context.Context // carries the span to its attempts
	span   trace.Span
	began  time.Time
	attrs  []attribute.KeyValue // handed to the span at its end, all at once
}

// longestText is the longest text from outside that a span keeps, in bytes.
const longestText = 256

// Begin starts the span of a request.
func (t *Traces) Begin(h RequestHead) *RequestSpan {
	if t == nil {
		return nil
	}
	if h.Began.IsZero() {
		h.Began = time.Now()
	}
	ctx := context.Background()
	if t.options.Accept && h.Traceparent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, received(h.Traceparent))
	}
	ctx, span := t.tracer.Start(ctx, requestSpanName(h), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(h.Began))
	s := &RequestSpan{traces: t, ctx: ctx, span: span, began: h.Began}
	if span.IsRecording() {
		s.attrs = requestAttributes(h)
	}
	return s
}

func requestSpanName(h RequestHead) string {
	method := knownMethod(h.Method)
	if method == otherValue {
		method = "HTTP" // the conventions' word for it in a name
	}
	if route := knownRoute(h.Route); route != otherRoute {
		return method + " " + route
	}
	return method
}

func requestAttributes(h RequestHead) []attribute.KeyValue {
	const most = 20 // with those of the end
	attrs := make([]attribute.KeyValue, 0, most)
	attrs = append(attrs, attrMethod.String(knownMethod(h.Method)))
	attrs = appendText(attrs, attrRequestID, h.RequestID)
	if route := knownRoute(h.Route); route != otherRoute {
		attrs = append(attrs, attrRoute.String(route))
	}
	attrs = appendText(attrs, attrPath, h.Path)
	attrs = appendText(attrs, attrScheme, h.Scheme)
	attrs = appendText(attrs, attrProtocolVersion, h.Protocol)
	attrs = appendAddress(attrs, h.ServerAddress, h.Scheme)
	client, _ := splitAddress(h.ClientAddress)
	attrs = appendText(attrs, attrClientAddress, client)
	return appendText(attrs, attrUserAgent, h.UserAgent)
}

// Recording reports whether the span is kept; if not, nothing need be gathered for it.
func (s *RequestSpan) Recording() bool { return s != nil && s.span.IsRecording() }

// TraceID returns 32 hex digits, also for a trace that is not kept, or nothing
// without traces.
func (s *RequestSpan) TraceID() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// End ends the span with what the access line says. A 5xx is an error, and so
// is an answer that broke off, unless the client left or the provider refused
// the request; other 4xx are the client's business.
func (s *RequestSpan) End(a Access) {
	if s == nil {
		return
	}
	if s.span.IsRecording() {
		s.span.SetAttributes(appendAccess(s.attrs, &a)...)
		if a.Status >= 500 || brokeOff(a.EndReason) {
			s.span.SetStatus(codes.Error, "")
		}
	}
	s.span.End(trace.WithTimestamp(s.began.Add(a.Duration)))
}

func appendAccess(attrs []attribute.KeyValue, a *Access) []attribute.KeyValue {
	if a.Status > 0 {
		attrs = append(attrs, attrStatus.Int(a.Status))
	}
	attrs = appendText(attrs, attrErrorType, a.errorType())
	attrs = appendText(attrs, attrLimit, a.Limit)
	attrs = appendText(attrs, attrShadowed, a.LimitsShadowed)
	attrs = appendText(attrs, attrKeyID, a.KeyID)
	attrs = appendText(attrs, attrTenantID, a.Tenant)
	attrs = appendText(attrs, attrPool, a.Model)
	attrs = appendText(attrs, attrEndReason, a.EndReason)
	return appendText(attrs, attrUsageSource, a.UsageSource)
}

// received is a traceparent as a client sent it, for the propagator to parse.
type received string

func (r received) Get(name string) string {
	if name == "traceparent" {
		return string(r)
	}
	return ""
}

func (received) Set(string, string) {}

func (received) Keys() []string { return []string{"traceparent"} }

func appendText(attrs []attribute.KeyValue, key attribute.Key, value string) []attribute.KeyValue {
	if value = clean(value, longestText); value == "" {
		return attrs
	}
	return append(attrs, key.String(value))
}

// appendAddress adds the server's address and port, by default the scheme's.
func appendAddress(attrs []attribute.KeyValue, address, scheme string) []attribute.KeyValue {
	host, port := splitAddress(address)
	if host == "" {
		return attrs
	}
	if port == 0 && scheme == "http" {
		port = 80
	}
	if port == 0 && scheme == "https" {
		port = 443
	}
	attrs = appendText(attrs, attrServerAddress, host)
	if port > 0 {
		attrs = append(attrs, attrServerPort.Int(port))
	}
	return attrs
}

// splitAddress splits host:port; port is 0 where there is none.
func splitAddress(address string) (host string, port int) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, int(number)
}
