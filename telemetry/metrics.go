package telemetry

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Metrics are the figures that operators watch. Every label comes from the
// configuration or from a fixed list, never from a client: no tenant, no key, no
// client's address, no path. A nil *Metrics does nothing.
type Metrics struct {
	meter metric.Meter
	instruments
	words words

	exchanges *series[exchangeLabels, exchangeOptions]
	answers   *series[answerLabels, answerOptions]
	tries     *series[tryLabels, tryOptions]
	limits    *series[limitLabels, *tally]
	changes   *series[changeLabels, *tally]
	again     *series[retryLabels, *tally]
	endpoints bound
}

// NewMetrics makes the instruments. Start does it for the program.
func NewMetrics(p metric.MeterProvider) (*Metrics, error) {
	return newMetrics(p, func() {})
}

// newMetrics is NewMetrics; full is called for every measurement that meets a bound.
func newMetrics(p metric.MeterProvider, full func()) (*Metrics, error) {
	few, many := bound{fewCombinations, full}, bound{mostCombinations, full}
	meter := p.Meter(scope)
	made, err := newInstruments(meter)
	if err != nil {
		return nil, err
	}
	m := &Metrics{meter: meter, instruments: made, words: newWords(full), endpoints: many}
	m.exchanges = newSeries(many, m.exchangeOptions, exchangeLabels{method: otherValue, route: otherRoute})
	m.answers = newSeries(many, m.answerOptions, answerLabels{provider: otherValue, model: otherValue})
	m.tries = newSeries(many, m.tryOptions, tryLabels{provider: otherValue, model: otherValue, outcome: otherValue})
	m.limits = newSeries(few, m.limitTally, limitLabels{limit: otherValue, decision: otherValue})
	m.changes = newSeries(many, m.changeTally, changeLabels{provider: otherValue, model: otherValue, state: otherValue})
	m.again = newSeries(many, m.retryTally, retryLabels{model: otherValue, decision: otherValue})
	return m, nil
}

// Request counts a request that has ended. It is called once for each.
func (m *Metrics) Request(a Access) {
	if m == nil {
		return
	}
	ctx := context.Background()
	failed := a.errorType()
	exchange := m.exchanges.of(exchangeLabels{method: knownMethod(a.Method), route: knownRoute(a.Route), status: knownStatus(a.Status), errorType: failed})
	m.serverDuration.Record(ctx, a.Duration.Seconds(), exchange.duration...)
	if a.Overhead > 0 {
		m.overheadDuration.Record(ctx, a.Overhead.Seconds(), exchange.overhead...)
	}
	if !a.Admitted {
		return
	}
	answer := m.answers.of(answerLabels{provider: a.Provider, model: a.Model, errorType: failed, endReason: a.EndReason, source: a.UsageSource})
	answer.requests.add()
	if a.UsageSource == "rejected" {
		m.rejectionsOf(a.Provider).add()
	}
	m.answerDuration.Record(ctx, a.Duration.Seconds(), answer.duration...)
	if a.Stream && a.FirstByte > 0 && a.Status == http.StatusOK { // an error's body has a first byte too
		m.firstToken.Record(ctx, a.FirstByte.Seconds(), answer.firstToken...)
	}
	if a.Tokens.Prompt > 0 {
		m.tokenUsage.Record(ctx, a.Tokens.Prompt, answer.input...)
	}
	if a.Tokens.Completion > 0 {
		m.tokenUsage.Record(ctx, a.Tokens.Completion, answer.output...)
	}
}

// Attempt counts an attempt to let a provider answer: model is the provider's
// own name, outcome upstream's, took the time until the outcome was known.
func (m *Metrics) Attempt(provider, model, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	try := m.tries.of(tryLabels{provider: provider, model: model, outcome: outcome})
	try.attempts.add()
	m.clientDuration.Record(context.Background(), took.Seconds(), try.duration...)
}

// Limit counts a limiter's decision: limit says which, such as "requests",
// decision is "allowed", "refused", or "shadowed" where it would have been refused.
func (m *Metrics) Limit(limit, decision string) {
	if m == nil {
		return
	}
	m.limits.of(limitLabels{limit: limit, decision: decision}).add()
}

// ObserveInFlight reports how many chat completions are in progress. f is
// called at every scrape.
func (m *Metrics) ObserveInFlight(f func() int64) error {
	if m == nil {
		return nil
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(m.activeRequests, f())
		return nil
	}, m.activeRequests)
	return err
}

// ObserveDrains reports how many answers are read on whose client has left. f is
// called at every scrape.
func (m *Metrics) ObserveDrains(f func() int64) error {
	if m == nil {
		return nil
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(m.drainsActive, f())
		return nil
	}, m.drainsActive)
	return err
}

// ObserveStoreUp reports whether the shared store answers. f is called at every
// scrape, so it must not ask the store itself.
func (m *Metrics) ObserveStoreUp(f func() bool) error {
	if m == nil {
		return nil
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(m.storeUp, asInt(f()))
		return nil
	}, m.storeUp)
	return err
}

// ObserveKeyFeedAge reports how long ago all changes of keys in the shared store were
// last heard of. f is called at every scrape.
func (m *Metrics) ObserveKeyFeedAge(f func() time.Duration) error {
	if m == nil {
		return nil
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveFloat64(m.keyFeedAge, f().Seconds())
		return nil
	}, m.keyFeedAge)
	return err
}

// ObserveKeyLookups reports how many look-ups of a key ended in each result so
// far. f is called at every scrape.
func (m *Metrics) ObserveKeyLookups(f func() map[string]uint64) error {
	return m.observeCounts(func(m *Metrics) (metric.Int64ObservableCounter, attribute.Key) { return m.keyLookups, attrResult }, f)
}

// observeSpansLost reports spans that never reached the collector, by reason.
func (m *Metrics) observeSpansLost(f func() map[string]uint64) error {
	return m.observeCounts(func(m *Metrics) (metric.Int64ObservableCounter, attribute.Key) { return m.spansLost, attrErrorType }, f)
}

func (m *Metrics) observeCounts(which func(*Metrics) (metric.Int64ObservableCounter, attribute.Key), f func() map[string]uint64) error {
	if m == nil {
		return nil
	}
	counter, label := which(m)
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		sums := make(map[string]int64)
		for word, count := range f() {
			sums[m.words.kinds.admit(word)] += int64(count) //nolint:gosec // a count of events does not reach 2^63
		}
		for word, count := range sums {
			o.ObserveInt64(counter, count, metric.WithAttributes(label.String(word)))
		}
		return nil
	}, counter)
	return err
}
