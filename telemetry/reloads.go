package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Reloads is how the configuration's reloads have gone since the start.
type Reloads struct {
	// Succeeded counts the files that came into force.
	Succeeded int64
	// Refused counts those that did not: the configuration before them stayed.
	Refused int64
	// LastOK tells whether the last one came into force. It is true while there was none.
	LastOK bool
	// LoadedAt is since when the configuration in force is; zero: not known.
	LoadedAt time.Time
}

// ObserveReloads reports how reloads of the configuration go. f is called at every scrape.
func (m *Metrics) ObserveReloads(f func() Reloads) error {
	if m == nil {
		return nil
	}
	succeeded, refused := metric.WithAttributes(attrResult.String("succeeded")), metric.WithAttributes(attrResult.String("refused"))
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		r := f()
		o.ObserveInt64(m.configReloads, r.Succeeded, succeeded) // 0 as well: an increase from nothing is not seen
		o.ObserveInt64(m.configReloads, r.Refused, refused)
		o.ObserveInt64(m.configReloadOK, asInt(r.LastOK))
		if !r.LoadedAt.IsZero() {
			o.ObserveFloat64(m.configLoadedAt, float64(r.LoadedAt.UnixMilli())/1000)
		}
		return nil
	}, m.configReloads, m.configReloadOK, m.configLoadedAt)
	return err
}

// asInt is 1 for true, else 0.
func asInt(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
