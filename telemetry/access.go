package telemetry

import (
	"context"
	"log/slog"
	"time"
)

// Access is what the access line says of one request. It has no field for a
// secret, an address of a provider's account, or any text of a prompt or answer.
type Access struct {
	RequestID string
	Method    string
	Route     string // one of the configured routes, or "other": never a client's own path
	Status    int    // the status sent; 499 when the client left before one was
	ErrorCode string // the code of the error answered, empty when none was

	Tenant   string
	KeyID    string
	Model    string // the public model name, only once it is known to be configured
	Provider string
	Attempts int

	Stream      bool
	EndReason   string
	UsageSource string

	Duration  time.Duration // from the head being read to the end of the answer
	FirstByte time.Duration // from the head being read to the first byte forwarded; 0: none was
}

// LogAccess writes the one line that every request leaves behind: at level
// error for a 5xx, else info. Empty fields are left out.
func LogAccess(ctx context.Context, log *slog.Logger, a Access) {
	level := slog.LevelInfo
	if a.Status >= 500 {
		level = slog.LevelError
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 16)
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	text(FieldRequestID, a.RequestID)
	text(FieldMethod, a.Method)
	text(FieldRoute, a.Route)
	attrs = append(attrs, slog.Int(FieldStatus, a.Status))
	text(FieldErrorCode, a.ErrorCode)
	text(FieldTenant, a.Tenant)
	text(FieldKeyID, a.KeyID)
	text(FieldModel, a.Model)
	text(FieldProvider, a.Provider)
	if a.Attempts > 0 {
		attrs = append(attrs, slog.Int(FieldAttempts, a.Attempts), slog.Bool(FieldStream, a.Stream))
	}
	text(FieldEndReason, a.EndReason)
	text(FieldUsageSource, a.UsageSource)
	if a.FirstByte > 0 {
		attrs = append(attrs, slog.Float64(FieldFirstByte, milliseconds(a.FirstByte)))
	}
	attrs = append(attrs, slog.Float64(FieldDuration, milliseconds(a.Duration)))
	log.LogAttrs(ctx, level, "request", attrs...)
}

// milliseconds keeps three decimals: microseconds are what the gateway itself costs.
func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
