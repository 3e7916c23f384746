package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/metric"
)

// SharedLimits is how a replica fares with the limits that it shares with others.
type SharedLimits struct {
	// Answered and Failed count the orders to the shared store since the start, by what became of them.
	Answered, Failed uint64
	// Alone counts the requests that were decided by this replica's share, because the store did not answer.
	Alone uint64
	// Live is how many replicas share the limits, as far as this one knows.
	Live int
}

// ObserveSharedLimits reports how limits are shared. f is called at every scrape, so it must not ask the store itself.
func (m *Metrics) ObserveSharedLimits(f func() SharedLimits) error {
	if m == nil {
		return nil
	}
	answered, failed := metric.WithAttributes(attrResult.String("answered")), metric.WithAttributes(attrResult.String("failed"))
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		l := f()
		o.ObserveInt64(m.limitOrders, int64(l.Answered), answered) //nolint:gosec // a count of events does not reach 2^63
		o.ObserveInt64(m.limitOrders, int64(l.Failed), failed)     //nolint:gosec // the same
		o.ObserveInt64(m.limitAlone, int64(l.Alone))               //nolint:gosec // the same
		o.ObserveInt64(m.limitReplicas, int64(l.Live))
		return nil
	}, m.limitOrders, m.limitAlone, m.limitReplicas)
	return err
}

// ObserveSlots reports how many slots of limits of concurrent requests are in use here. f is called at every scrape.
func (m *Metrics) ObserveSlots(f func() int64) error {
	if m == nil {
		return nil
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(m.limitSlots, f())
		return nil
	}, m.limitSlots)
	return err
}
