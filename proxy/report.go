package proxy

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/valyala/fasthttp"
)

// trace begins the request's span, once the route is known.
func (x *exchange) trace(ctx *fasthttp.RequestCtx) {
	if x.gateway.Traces == nil {
		return
	}
	request := &ctx.Request.Header
	head := telemetry.RequestHead{
		RequestID:     x.id,
		Method:        methodLabel(x.method),
		Route:         x.route.String(),
		Path:          x.ownPath(),
		Scheme:        "http",
		Protocol:      "1.0",
		ServerAddress: x.conn.LocalAddr().String(),
		UserAgent:     string(request.UserAgent()),
		Began:         x.accepted,
	}
	if x.from.IsValid() {
		head.ClientAddress = x.from.String()
	}
	if x.conn.isTLS() {
		head.Scheme = "https"
	}
	if x.http11 {
		head.Protocol = "1.1"
	}
	if parents := request.PeekAll("Traceparent"); len(parents) == 1 { // W3C Trace Context, section 3.2.1: one, or none
		head.Traceparent = string(parents[0])
	}
	x.span = x.gateway.Traces.Begin(head)
}

// ownPath is the path asked for, where it holds no text of the client's own.
func (x *exchange) ownPath() string {
	switch x.route {
	case routeUnknown:
		return ""
	case routeModel:
		if _, ok := x.plan.Table.Model(x.tail); !ok {
			return ""
		}
		return "/v1/models/" + x.tail
	}
	return x.route.String()
}

// traceAttempt begins the span of one attempt.
func (x *exchange) traceAttempt(c *upstream.Candidate) *telemetry.AttemptSpan {
	if x.span == nil {
		return nil
	}
	head := telemetry.AttemptHead{
		Number:    x.attempts - 1,
		Pool:      x.model.Name,
		Provider:  c.Provider.Name,
		Model:     c.Model,
		URL:       c.Endpoint.URL,
		State:     string(c.State()),
		Stream:    x.document.Stream,
		MaxTokens: x.document.MaxTokens,
		Choices:   x.document.N,
		Began:     time.Now(),
	}
	if x.span.Recording() {
		head.Temperature, head.TopP = x.number("temperature"), x.number("top_p")
	}
	return x.span.Attempt(head)
}

// number is a top-level number of the request, nil when there is none.
func (x *exchange) number(name string) *float64 {
	member, ok := x.document.Member(name)
	if !ok {
		return nil
	}
	n, err := strconv.ParseFloat(string(x.document.Raw(member)), 64)
	if err != nil {
		return nil
	}
	return &n
}

// endAttempt ends the span of the attempt that answered. It is idempotent.
func (x *exchange) endAttempt() {
	s := x.serving
	if s.span == nil {
		return
	}
	end := telemetry.AttemptEnd{
		Outcome:       upstream.OutcomeOK.String(),
		Status:        s.response.Status,
		FirstChunk:    s.firstChunk,
		ResponseID:    s.unlessSecret(s.tap.ID()),
		ResponseModel: s.unlessSecret(s.tap.Model()),
		FinishReasons: s.tap.FinishReasons(),
		Tokens:        tokensOf(x.record.Tokens),
		Reported:      x.record.Source == usage.SourceUpstream,
	}
	switch reason := x.record.EndReason; reason {
	case usage.EndCompleted, usage.EndNoOutput:
	default:
		end.Interrupted = string(reason)
	}
	s.span.End(end)
	s.span = nil
}

// failed ends the span of an attempt that gave no answer.
func (s *serving) failed(outcome upstream.Outcome) {
	s.span.End(telemetry.AttemptEnd{Outcome: outcome.String(), Status: s.status()})
}

// log writes lines that name the request.
func (x *exchange) log() *slog.Logger {
	log := x.gateway.Log.With(telemetry.FieldRequestID, x.id)
	if id := x.span.TraceID(); id != "" {
		log = log.With(telemetry.FieldTraceID, id)
	}
	return log
}

// report is the one description of how a request ended: for its span, the
// metrics and the access line.
func (x *exchange) report() {
	a := telemetry.Access{
		RequestID: x.id,
		TraceID:   x.span.TraceID(),
		Method:    methodLabel(x.method),
		Route:     x.route.String(),
		Status:    x.status,
		ErrorCode: x.errorCode,
		ErrorType: x.errorType,
		Attempts:  x.attempts,
		Duration:  since(x.accepted),
		FirstByte: x.firstByte,
	}
	a.Announced = x.errorCode == errJournalCode
	if x.lastLimit != nil {
		a.Cause = x.lastLimit.Error()
	}
	if x.firstByte > 0 {
		a.Overhead = max(0, x.firstByte-x.abroad+x.settling)
	}
	if x.taken {
		a.Limit, a.LimitsShadowed = refusing(&x.permit.Answer), shadowed(&x.permit.Answer)
	}
	if x.key != nil {
		a.Tenant, a.KeyID = x.key.Tenant, x.key.ID
	}
	if x.model != nil {
		a.Model = x.model.Name
	}
	if x.admitted {
		a.Admitted = true
		a.Provider = x.record.Provider
		a.Stream = x.record.Stream
		a.EndReason = string(x.record.EndReason)
		a.UsageSource = string(x.record.Source)
		a.Tokens = tokensOf(x.record.Tokens)
	}
	x.span.End(a)
	x.gateway.Metrics.Request(a)
	telemetry.LogAccess(context.Background(), x.gateway.Log, a)
}

func tokensOf(t usage.Tokens) telemetry.Tokens {
	return telemetry.Tokens{Prompt: t.Prompt, Cached: t.Cached, Completion: t.Completion, Reasoning: t.Reasoning}
}
