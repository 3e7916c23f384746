package upstream

import (
	"log/slog"

	"tollgate/telemetry"
)

// Monitor tells operators what changes at the upstreams, in the log and in the
// metrics. It is safe for concurrent use.
type Monitor struct {
	log     *slog.Logger
	metrics *telemetry.Metrics
}

// NewMonitor returns a Monitor, which the caller must Close. A nil metrics counts nothing.
func NewMonitor(log *slog.Logger, metrics *telemetry.Metrics) *Monitor {
	return &Monitor{log: log, metrics: metrics}
}

// Close ends the Monitor once it has told what it knows.
func (m *Monitor) Close() {}
