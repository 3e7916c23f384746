package upstream

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/telemetry"
)

// pendingChanges is how many changes of state may wait for being told. A breaker
// that has just changed must not wait for a log.
const pendingChanges = 256

// Monitor tells operators what changes at the upstreams, in the log and in the
// metrics. It is safe for concurrent use, and owns one goroutine.
type Monitor struct {
	log     *slog.Logger
	metrics *telemetry.Metrics
	changes chan change
	lost    atomic.Int64
	closing chan struct{}
	closed  sync.WaitGroup
}

// NewMonitor returns a Monitor, which the caller must Close. A nil metrics counts nothing.
func NewMonitor(log *slog.Logger, metrics *telemetry.Metrics) *Monitor {
	m := &Monitor{log: log, metrics: metrics, changes: make(chan change, pendingChanges), closing: make(chan struct{})}
	m.closed.Go(m.run)
	return m
}

// Close ends the Monitor once it has told what it knows. It must be called once.
func (m *Monitor) Close() {
	close(m.closing)
	m.closed.Wait()
}

func (m *Monitor) run() {
	for {
		select {
		case c := <-m.changes:
			m.report(c)
		case <-m.closing:
			m.reportRest()
			return
		}
	}
}

func (m *Monitor) reportRest() {
	for {
		select {
		case c := <-m.changes:
			m.report(c)
		default:
			return
		}
	}
}

// subject is whose state changes.
type subject struct {
	what            subjectKind
	provider, model string
}

type subjectKind uint8

const (
	subjectAnswers subjectKind = iota // the breaker of an endpoint and model
	subjectStreams                    // the one of its streams
	subjectAddress                    // the one of a base URL
	subjectRest                       // cooldown or quarantine
)

// change is a change of state.
type change struct {
	subject
	upstream string // how the subject is called
	state    State
	cause    Outcome       // of a cooldown or a quarantine
	wait     time.Duration // how long it is left alone
}

// teller takes a change of one subject. It never blocks.
type teller func(change)

// of returns the teller of a subject. A nil Monitor tells nobody.
func (m *Monitor) of(s subject, label *atomic.Pointer[string]) teller {
	return func(c change) {
		if m == nil {
			return
		}
		c.subject, c.upstream = s, *label.Load()
		select {
		case m.changes <- c:
		default:
			m.lost.Add(1)
		}
	}
}

func (m *Monitor) report(c change) {
	m.metrics.UpstreamChanged(c.provider, c.model, string(c.state))
	log := m.log.With(telemetry.FieldProvider, c.provider, telemetry.FieldUpstream, c.upstream)
	if c.model != "" {
		log = log.With(telemetry.FieldModel, c.model)
	}
	if c.wait > 0 {
		log = log.With(telemetry.FieldDuration, c.wait.Milliseconds())
	}
	if c.state == StateCooling || c.state == StateQuarantined {
		log = log.With(telemetry.FieldOutcome, c.cause.String())
	}
	level, message := c.words()
	log.Log(context.Background(), level, message) //nolint:sloglint // one of the few that words returns
	if lost := m.lost.Swap(0); lost > 0 {
		m.log.Warn("changes of upstreams' states were too many to be told", telemetry.FieldCount, lost)
	}
}

// words says what has happened.
func (c change) words() (slog.Level, string) {
	switch c.state {
	case StateQuarantined:
		if c.cause == OutcomeForbidden {
			return slog.LevelError, "credential not used for a tenant: the provider forbids what it asks; if no tenant gets answers, replace it, or ask the provider"
		}
		return slog.LevelError, "credential quarantined: the provider refuses it; replace it, or ask the provider"
	case StateCooling:
		if c.cause == OutcomeModelMissing {
			return slog.LevelWarn, "left alone for a while: the provider does not know the model; is the target's model right?"
		}
		return slog.LevelInfo, "left alone for a while: the provider asked for it"
	case StateHalfOpen:
		return slog.LevelInfo, c.named() + " half open: probing"
	case StateOpen:
		return slog.LevelWarn, c.named() + " opened: " + c.complaint()
	}
	if c.what == subjectRest {
		return slog.LevelInfo, "credential accepted again"
	}
	return slog.LevelInfo, c.named() + " closed: the upstream works again"
}

func (c change) named() string {
	switch c.what {
	case subjectStreams:
		return "circuit breaker of streams"
	case subjectAddress:
		return "circuit breaker of an address"
	}
	return "circuit breaker"
}

func (c change) complaint() string {
	if c.what == subjectStreams {
		return "the upstream keeps breaking off its streams"
	}
	return "the upstream keeps failing"
}
