package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// Telemetry is the traces and metrics of one process.
type Telemetry struct {
	traces  *Traces
	metrics *Metrics
	handler http.Handler
	closers []func(context.Context) error
}

// Traces returns nil when there is nowhere to send traces.
func (t *Telemetry) Traces() *Traces { return t.traces }

// Metrics returns the process's metrics.
func (t *Telemetry) Metrics() *Metrics { return t.metrics }

// MetricsHandler answers a scrape, as Prometheus text or OpenMetrics.
func (t *Telemetry) MetricsHandler() http.Handler { return t.handler }

// Shutdown sends what spans are left, until ctx is done, and ends everything
// that Start began.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, end := range t.closers {
		errs = append(errs, end(ctx))
	}
	return errors.Join(errs...)
}

// Start begins traces and metrics as configured and by the standard OTEL_*
// variables. What it returns must be Shutdown.
func Start(c Config, version string, log *slog.Logger) (*Telemetry, error) {
	t := new(Telemetry)
	if err := t.startMetrics(c, version); err != nil {
		return nil, err
	}
	return t, nil
}
