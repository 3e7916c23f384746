package telemetry

import (
	"context"
	"log/slog"
	"time"
)

// Tokens counts an answer's tokens. Cached is part of Prompt, Reasoning of Completion.
type Tokens struct {
	Prompt, Cached, Completion, Reasoning int64
}

// Access is how one request ended: what its access line, its span and its
// metrics say. It has no field for a secret, an address of a provider's account,
// or any text of a prompt or answer.
type Access struct {
	RequestID string
	TraceID   string // 32 hex digits, empty without traces
	Method    string
	Route     string // one of the configured routes, or "other": never a client's own path
	Status    int    // the status of the answer, also where the client did not wait for it
	ErrorCode string // the code of the error answered, empty when none was; it may be a provider's own text
	ErrorType string // the same from a fixed list, for metrics and spans; empty when nothing failed

	Limit          string // the limit that refused the request, such as "tenant_tokens": of several, the one that its client was told of; empty: none did
	LimitsShadowed string // the limits in shadow that would have refused it, apart by ", "; empty: none would

	Tenant   string
	KeyID    string
	Model    string // the public model name, only once it is known to be configured
	Provider string
	Attempts int
	Cause    string // the time limit that ended the answer, or the last attempt, in Tollgate's own words; empty: none did

	Announced   bool // it was refused for a state of the gateway that has a line of its own, at level error
	Admitted    bool // a usage record is owed: the four below are set
	Stream      bool
	EndReason   string
	UsageSource string
	Tokens      Tokens

	Duration  time.Duration // from the head being read to the end of the answer
	FirstByte time.Duration // from the head being read to the first byte of the answer being written; 0: none was
	Overhead  time.Duration // the part of Duration that was Tollgate's own; 0: not measured
}

// LogAccess writes the one line that every request leaves behind: at level
// error for a 5xx that is not Announced, else info. Empty fields are left out.
func LogAccess(ctx context.Context, log *slog.Logger, a Access) {
	level := slog.LevelInfo
	if a.Status >= 500 && !a.Announced {
		level = slog.LevelError
	}
	if !log.Enabled(ctx, level) {
		return
	}
	var line accessLine
	line.text(FieldRequestID, a.RequestID)
	line.text(FieldTraceID, a.TraceID)
	line.text(FieldMethod, a.Method)
	line.text(FieldRoute, a.Route)
	line.add(slog.Int(FieldStatus, a.Status))
	line.text(FieldErrorCode, a.ErrorCode)
	line.text(FieldLimit, a.Limit)
	line.text(FieldLimitsShadowed, a.LimitsShadowed)
	line.text(FieldError, a.Cause)
	line.text(FieldTenant, a.Tenant)
	line.text(FieldKeyID, a.KeyID)
	line.text(FieldModel, a.Model)
	line.text(FieldProvider, a.Provider)
	if a.Attempts > 0 {
		line.add(slog.Int(FieldAttempts, a.Attempts))
		line.add(slog.Bool(FieldStream, a.Stream))
	}
	line.text(FieldEndReason, a.EndReason)
	line.text(FieldUsageSource, a.UsageSource)
	line.count(FieldPromptTokens, a.Tokens.Prompt)
	line.count(FieldCompletionTokens, a.Tokens.Completion)
	line.time(FieldFirstByte, a.FirstByte)
	line.time(FieldOverhead, a.Overhead)
	line.add(slog.Float64(FieldDuration, milliseconds(a.Duration)))
	attrs := line.attrs[:line.length]
	now := time.Now()
	if h, ok := log.Handler().(*logHandler); ok && h.writePlain(now, level, accessMessage, attrs) {
		return
	}
	r := slog.NewRecord(now, level, accessMessage, 0) // no place in the source: it says nothing
	r.AddAttrs(append([]slog.Attr(nil), attrs...)...) // a copy, so that line stays on the stack
	_ = log.Handler().Handle(ctx, r)                  // as slog does: a line that cannot be written has nobody to tell
}

const accessMessage = "request"

// maxAccessFields is how many fields an access line has when none is empty.
const maxAccessFields = 22

// accessLine leaves out what is empty.
type accessLine struct {
	attrs  [maxAccessFields]slog.Attr
	length int
}

func (l *accessLine) add(a slog.Attr) {
	l.attrs[l.length] = a
	l.length++
}

func (l *accessLine) text(name, value string) {
	if value != "" {
		l.add(slog.String(name, value))
	}
}

func (l *accessLine) count(name string, value int64) {
	if value > 0 {
		l.add(slog.Int64(name, value))
	}
}

func (l *accessLine) time(name string, value time.Duration) {
	if value > 0 {
		l.add(slog.Float64(name, milliseconds(value)))
	}
}

// milliseconds keeps three decimals: microseconds are what the gateway itself costs.
func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
