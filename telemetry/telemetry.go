package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Telemetry is the traces and metrics of one process.
type Telemetry struct {
	traces  *Traces
	metrics *Metrics
	handler http.Handler

	once sync.Once
	ends []func(context.Context) error // in reverse order
}

// Start begins traces and metrics as configured and by the standard OTEL_*
// variables. What it returns must be Shutdown. It takes over OpenTelemetry's
// global error handler, which would write to standard error.
func Start(c Config, version string, log *slog.Logger) (*Telemetry, error) {
	reports := newReminder(func(a ...any) { log.Warn("OpenTelemetry reports an error", a...) })
	otel.SetErrorHandler(otel.ErrorHandlerFunc(reports.remind))
	if disabledByEnvironment() {
		log.Warn("no traces and no metrics of requests: the environment turns them off", FieldOption, envDisabled)
	}
	t := new(Telemetry)
	if err := t.startMetrics(c, version, log); err != nil {
		return nil, err
	}
	if err := t.startTraces(c, version, log); err != nil {
		return nil, errors.Join(err, t.Shutdown(context.Background()))
	}
	return t, nil
}

// startTraces does nothing when there is nowhere to send traces.
func (t *Telemetry) startTraces(c Config, version string, log *slog.Logger) error {
	if disabledByEnvironment() {
		return nil
	}
	to, err := destinationOf(c, log)
	if to == nil || err != nil {
		return err
	}
	about, err := newResource(c, version)
	if err != nil {
		return err
	}
	exporter, release, err := to.exporter()
	if err != nil {
		return err
	}
	queue := newPipeline(exporter, queueOptionsOf(log), log)
	provider := sdk.NewTracerProvider(append(samplerOf(c), sdk.WithSpanProcessor(queue), sdk.WithResource(about))...)
	t.ends = append(t.ends, func(ctx context.Context) error {
		defer release()
		// Not the provider's: with a ctx that is done it would stop nothing.
		return errors.Join(queue.Shutdown(ctx), provider.Shutdown(context.WithoutCancel(ctx)))
	})
	t.traces = NewTraces(provider, TraceOptions{Accept: c.AcceptTraceContext, Send: c.SendTraceContext})
	log.Info("traces are sent", FieldEndpoint, to.url, FieldProtocol, to.protocol)
	return t.metrics.observeSpansLost(queue.lost)
}

// Traces returns nil when there is nowhere to send traces.
func (t *Telemetry) Traces() *Traces { return t.traces }

// Metrics returns the process's metrics.
func (t *Telemetry) Metrics() *Metrics { return t.metrics }

// MetricsHandler answers a scrape, as Prometheus text or OpenMetrics.
func (t *Telemetry) MetricsHandler() http.Handler { return t.handler }

// Shutdown sends the spans that wait, until ctx is done, and ends everything
// that Start began. Only the first call does something.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	t.once.Do(func() {
		for i := len(t.ends) - 1; i >= 0; i-- {
			errs = append(errs, t.ends[i](ctx))
		}
	})
	return errors.Join(errs...)
}
