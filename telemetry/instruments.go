package telemetry

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// instruments are what a Metrics measures with.
type instruments struct {
	serverDuration   metric.Float64Histogram
	overheadDuration metric.Float64Histogram
	answerDuration   metric.Float64Histogram
	firstToken       metric.Float64Histogram
	tokenUsage       metric.Int64Histogram
	requests         *tallies
	clientDuration   metric.Float64Histogram
	attempts         *tallies
	limitDecisions   *tallies
	activeRequests   metric.Int64ObservableUpDownCounter
	drainsActive     metric.Int64ObservableUpDownCounter
	storeUp          metric.Int64ObservableGauge
	keyLookups       metric.Int64ObservableCounter
	spansLost        metric.Int64ObservableCounter
}

func newInstruments(meter metric.Meter) (instruments, error) {
	b := builder{meter: meter}
	i := instruments{
		serverDuration:   b.seconds(metricServerDuration, "Duration of HTTP server requests.", answerSeconds()),
		overheadDuration: b.seconds(metricOverheadDuration, "Time of a request that was Tollgate's own.", overheadSeconds()),
		answerDuration:   b.seconds(metricAnswerDuration, "Generative AI server request duration such as time-to-last byte or last output token.", answerSeconds()),
		firstToken:       b.seconds(metricFirstToken, "Time to generate first token for successful responses.", firstTokenSeconds()),
		clientDuration:   b.seconds(metricClientDuration, "Duration of HTTP client requests.", answerSeconds()),
		tokenUsage:       b.tokens(metricTokenUsage, "Number of input and output tokens used."),
		requests:         b.counter(metricRequests, "{request}", "Chat completions that ended, by how and by who counted their tokens."),
		attempts:         b.counter(metricAttempts, "{attempt}", "Attempts to let a provider answer, by outcome."),
		limitDecisions:   b.counter(metricLimitDecisions, "{decision}", "Decisions of the limiter."),
		keyLookups:       b.observedCounter(metricKeyLookups, "{lookup}", "Look-ups of keys, by result."),
		spansLost:        b.observedCounter(metricSpansLost, "{span}", "Spans that never reached the collector, by reason."),
	}
	var err error
	i.activeRequests, err = meter.Int64ObservableUpDownCounter(metricActiveRequests,
		metric.WithUnit("{request}"), metric.WithDescription("Number of active HTTP server requests."))
	b.check(err)
	i.drainsActive, err = meter.Int64ObservableUpDownCounter(metricDrainsActive,
		metric.WithUnit("{request}"), metric.WithDescription("Answers that are read to their end although their client has left."))
	b.check(err)
	i.storeUp, err = meter.Int64ObservableGauge(metricStoreUp, metric.WithDescription("1 while the shared store answers, else 0."))
	b.check(err)
	return i, errors.Join(b.errs...)
}

// builder gathers the errors of making instruments.
type builder struct {
	meter metric.Meter
	errs  []error
}

func (b *builder) check(err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
}

func (b *builder) seconds(name, description string, buckets []float64) metric.Float64Histogram {
	h, err := b.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(buckets...))
	b.check(err)
	return h
}

func (b *builder) tokens(name, description string) metric.Int64Histogram {
	h, err := b.meter.Int64Histogram(name, metric.WithUnit("{token}"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(tokenCounts()...))
	b.check(err)
	return h
}

func (b *builder) counter(name, unit, description string) *tallies {
	t, err := newTallies(b.meter, b.observedCounter(name, unit, description))
	b.check(err)
	return t
}

func (b *builder) observedCounter(name, unit, description string) metric.Int64ObservableCounter {
	c, err := b.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	b.check(err)
	return c
}

// answerSeconds are the buckets that the conventions give gen_ai durations.
// Every duration of a whole request has them, so that they can be compared.
func answerSeconds() []float64 {
	return []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
}

// firstTokenSeconds are the conventions' buckets for the first token, up to a
// minute: reasoning models think for long.
func firstTokenSeconds() []float64 {
	return []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60}
}

// overheadSeconds are fine where Tollgate should be, and end where something is wrong.
func overheadSeconds() []float64 {
	return []float64{0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1}
}

// tokenCounts are the conventions' buckets for tokens: powers of four.
func tokenCounts() []float64 {
	return []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
}
