package telemetry

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
)

// mostSeries bounds each metric, whatever its labels do: further combinations
// are summed under otel_metric_overflow. The SDK's own limit of 2,000 is less
// than 512 models need at three providers each.
const mostSeries = 4000

// startMetrics makes a registry of its own: the global default one belongs to whoever imports it.
func (t *Telemetry) startMetrics(c Config, version string) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	identity, err := newIdentity(c, version)
	if err != nil {
		return err
	}
	provider := metric.NewMeterProvider(
		metric.WithReader(reader),
		metric.WithResource(identity),
		metric.WithCardinalityLimit(mostSeries),
		metric.WithExemplarFilter(exemplar.AlwaysOffFilter),
	)
	t.closers = append(t.closers, provider.Shutdown)
	if t.metrics, err = NewMetrics(provider); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	t.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 8,
	})
	return nil
}
