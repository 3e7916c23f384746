package telemetry

import (
	"context"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// AttemptHead is what is known of an attempt before it is made.
type AttemptHead struct {
	Number            int    // 0 for the first
	Pool              string // the public model name
	Provider          string
	Model             string // the provider's own name of the model
	URL               string // the endpoint's base address
	State             string // of the endpoint's breaker, before the attempt
	Stream            bool
	MaxTokens         int64 // 0: the client named no limit
	Choices           int64 // 0 or 1: one
	Temperature, TopP *float64
	Began             time.Time
}

// AttemptSpan is the CLIENT span of one attempt. One goroutine at a time may use it.
type AttemptSpan struct {
	ctx    context.Context
	span   trace.Span
	send   bool
	stream bool
	attrs  []attribute.KeyValue // handed to the span at its end, all at once
}

// Attempt starts the span of an attempt to let a provider answer.
func (s *RequestSpan) Attempt(h AttemptHead) *AttemptSpan {
	if s == nil || !s.span.IsRecording() && !s.traces.options.Send {
		return nil
	}
	if h.Began.IsZero() {
		h.Began = time.Now()
	}
	ctx, span := s.traces.tracer.Start(s.ctx, operationChat+" "+clean(h.Model, longestText),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(h.Began))
	a := &AttemptSpan{ctx: ctx, span: span, send: s.traces.options.Send, stream: h.Stream}
	if span.IsRecording() {
		a.attrs = attemptAttributes(&h)
	}
	return a
}

func attemptAttributes(h *AttemptHead) []attribute.KeyValue {
	const most = 26 // with those of the end
	attrs := make([]attribute.KeyValue, 0, most)
	attrs = append(attrs, attrOperation.String(operationChat), attrStream.Bool(h.Stream), attrAttempt.Int(h.Number))
	attrs = appendText(attrs, attrProvider, h.Provider)
	attrs = appendText(attrs, attrModel, h.Model)
	attrs = appendText(attrs, attrPool, h.Pool)
	attrs = appendText(attrs, attrBreakerState, h.State)
	if h.MaxTokens > 0 {
		attrs = append(attrs, attrMaxTokens.Int64(h.MaxTokens))
	}
	if h.Choices > 1 {
		attrs = append(attrs, attrChoices.Int64(h.Choices))
	}
	if h.Temperature != nil {
		attrs = append(attrs, attrTemperature.Float64(*h.Temperature))
	}
	if h.TopP != nil {
		attrs = append(attrs, attrTopP.Float64(*h.TopP))
	}
	if h.Number > 0 {
		attrs = append(attrs, attrResendCount.Int(h.Number))
	}
	if u, err := url.Parse(h.URL); err == nil {
		attrs = appendAddress(attrs, u.Host, u.Scheme)
	}
	return attrs
}

// Traceparent returns the header of W3C Trace Context for the provider, empty when
// none is to be sent. Nothing in it is the client's but the trace's id; a client's
// tracestate, which is for vendors of its own, is never handed on.
func (s *AttemptSpan) Traceparent() string {
	if s == nil || !s.send {
		return ""
	}
	var parent sent
	propagation.TraceContext{}.Inject(s.ctx, &parent)
	return string(parent)
}

// sent is a traceparent on its way to a provider.
type sent string

func (s *sent) Set(name, value string) {
	if name == "traceparent" {
		*s = sent(value)
	}
}

func (*sent) Get(string) string { return "" }

func (*sent) Keys() []string { return nil }

// AttemptEnd is how an attempt ended.
type AttemptEnd struct {
	Outcome                   string        // upstream's name of it: the attempt failed unless it is "ok"
	Interrupted               string        // why an answer that had begun broke off, or empty
	Status                    int           // the provider's; 0: none came
	FirstChunk                time.Duration // until a stream's first event; 0: none came
	ResponseID, ResponseModel string        // the provider's; left out unless at most 128 printable ASCII characters
	FinishReasons             []string      // from a fixed list, each at most once
	Tokens                    Tokens
	Reported                  bool // Tokens are the provider's own figures; others are left out
}

// End ends the span.
func (s *AttemptSpan) End(e AttemptEnd) {
	if s == nil {
		return
	}
	if s.span.IsRecording() {
		if !s.stream {
			e.FirstChunk = 0
		}
		s.span.SetAttributes(appendAttemptEnd(s.attrs, &e)...)
		if e.errorType() != "" {
			s.span.SetStatus(codes.Error, "")
		}
	}
	s.span.End()
}

func (e *AttemptEnd) errorType() string {
	switch {
	case e.Interrupted != "":
		return e.Interrupted
	case e.Outcome != outcomeOK:
		return e.Outcome
	}
	return ""
}

func appendAttemptEnd(attrs []attribute.KeyValue, e *AttemptEnd) []attribute.KeyValue {
	attrs = appendText(attrs, attrOutcome, e.Outcome)
	attrs = appendText(attrs, attrErrorType, e.errorType())
	if e.Status > 0 {
		attrs = append(attrs, attrStatus.Int(e.Status))
	}
	if e.FirstChunk > 0 {
		attrs = append(attrs, attrFirstChunk.Float64(e.FirstChunk.Seconds()))
	}
	const longestID = 128
	attrs = appendText(attrs, attrResponseID, printable(e.ResponseID, longestID))
	attrs = appendText(attrs, attrResponseModel, printable(e.ResponseModel, longestID))
	if len(e.FinishReasons) > 0 {
		attrs = append(attrs, attrFinishReasons.StringSlice(e.FinishReasons))
	}
	if !e.Reported {
		return attrs
	}
	attrs = append(attrs, attrInputTokens.Int64(e.Tokens.Prompt), attrOutputTokens.Int64(e.Tokens.Completion))
	if e.Tokens.Cached > 0 {
		attrs = append(attrs, attrCachedTokens.Int64(e.Tokens.Cached))
	}
	if e.Tokens.Reasoning > 0 {
		attrs = append(attrs, attrReasoningTokens.Int64(e.Tokens.Reasoning))
	}
	return attrs
}
