package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
)

// mostSeries bounds each metric, whatever its labels do: further combinations
// are summed under otel_metric_overflow. The SDK's own limit of 2,000 is less
// than 512 models need at three providers each.
const mostSeries = 4000

// startMetrics makes a registry of its own: the global default one belongs to
// whoever imports it.
func (t *Telemetry) startMetrics(c Config, version string, log *slog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	provider, err := t.meterProvider(c, version, registry)
	if err != nil {
		return err
	}
	t.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            errorLog{newReminder(func(a ...any) { log.Warn("scrape incomplete", a...) })},
		MaxRequestsInFlight: 8,
	})
	t.metrics, err = newMetrics(provider, sync.OnceFunc(func() {
		log.Warn("a bound of the metrics is reached: further names, or combinations of them, read as _OTHER")
	}))
	return err
}

func (t *Telemetry) meterProvider(c Config, version string, registry prometheus.Registerer) (metric.MeterProvider, error) {
	if disabledByEnvironment() {
		return noop.NewMeterProvider(), nil
	}
	identity, err := newIdentity(c, version)
	if err != nil {
		return nil, err
	}
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	provider := sdk.NewMeterProvider(
		sdk.WithReader(reader),
		sdk.WithResource(identity),
		sdk.WithCardinalityLimit(mostSeries),
		sdk.WithExemplarFilter(exemplar.AlwaysOffFilter),
	)
	t.ends = append(t.ends, provider.Shutdown)
	return provider, nil
}

// errorLog hands promhttp's errors to the log.
type errorLog struct{ *reminder }

// Println implements promhttp.Logger.
func (l errorLog) Println(v ...any) { l.remind(errors.New(fmt.Sprint(v...))) }
