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
	usageRejected    *tallies
	clientDuration   metric.Float64Histogram
	attempts         *tallies
	activeRequests   metric.Int64ObservableUpDownCounter
	drainsActive     metric.Int64ObservableUpDownCounter
	storeUp          metric.Int64ObservableGauge
	keyFeedAge       metric.Float64ObservableGauge
	keyLookups       metric.Int64ObservableCounter
	spansLost        metric.Int64ObservableCounter
	upstreamInstruments
	reloadInstruments
	limitInstruments
	journalInstruments
}

// upstreamInstruments measure the providers' endpoints.
type upstreamInstruments struct {
	upstreamState      metric.Int64ObservableGauge
	upstreamChanges    *tallies
	upstreamPending    metric.Int64ObservableUpDownCounter
	upstreamFirstEvent metric.Float64ObservableGauge
	retries            *tallies
}

// limitInstruments measure the limits of keys and tenants.
type limitInstruments struct {
	limitDecisions *tallies
	limitOrders    metric.Int64ObservableCounter
	limitAlone     metric.Int64ObservableCounter
	limitSlots     metric.Int64ObservableUpDownCounter
	limitReplicas  metric.Int64ObservableGauge
}

// reloadInstruments measure the configuration's reloads.
type reloadInstruments struct {
	configReloads  metric.Int64ObservableCounter
	configReloadOK metric.Int64ObservableGauge
	configLoadedAt metric.Float64ObservableGauge
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
		usageRejected:    b.counter(metricUsageRejected, "{request}", "Answers that came with usage which cannot be true, and was not believed."),
		attempts:         b.counter(metricAttempts, "{attempt}", "Attempts to let a provider answer, by outcome."),
		keyLookups:       b.observedCounter(metricKeyLookups, "{lookup}", "Look-ups of keys, by result."),
		spansLost:        b.observedCounter(metricSpansLost, "{span}", "Spans that never reached the collector, by reason."),
	}
	i.activeRequests = b.inProgress(metricActiveRequests, "Number of active HTTP server requests.")
	i.drainsActive = b.inProgress(metricDrainsActive, "Answers that are read to their end although their client has left.")
	i.keyFeedAge = b.observedSeconds(metricKeyFeedAge, "How long ago all changes of keys were last heard of.")
	i.storeUp = b.flag(metricStoreUp, "1 while the shared store answers, else 0.")
	i.upstreamInstruments = b.upstreams()
	i.reloadInstruments = b.reloads()
	i.limitInstruments = b.limits()
	i.journalInstruments = b.journal()
	return i, errors.Join(b.errs...)
}

func (b *builder) upstreams() upstreamInstruments {
	return upstreamInstruments{
		upstreamState:      b.flag(metricUpstreamState, "1 for the state that an endpoint has."),
		upstreamChanges:    b.counter(metricUpstreamChanges, "{change}", "Changes of an endpoint's state, by the state after it."),
		upstreamPending:    b.inProgress(metricUpstreamPending, "Requests in progress at an endpoint."),
		upstreamFirstEvent: b.observedSeconds(metricUpstreamFirstEvent, "What a choice expects of a stream's first event."),
		retries:            b.counter(metricRetries, "{retry}", "Decisions about a further attempt."),
	}
}

func (b *builder) reloads() reloadInstruments {
	return reloadInstruments{
		configReloads:  b.observedCounter(metricConfigReloads, "{reload}", "Reloads of the configuration, by result."),
		configReloadOK: b.flag(metricConfigReloadOK, "1 while the last reload came into force, else 0."),
		configLoadedAt: b.observedSeconds(metricConfigLoadedAt, "Since when the configuration in force is, in Unix time."),
	}
}

func (b *builder) limits() limitInstruments {
	return limitInstruments{
		limitDecisions: b.counter(metricLimitDecisions, "{decision}", "Decisions of the limiter."),
		limitOrders:    b.observedCounter(metricLimitOrders, "{order}", "Questions to the shared store about limits, by result."),
		limitAlone:     b.observedCounter(metricLimitAlone, "{request}", "Requests that were decided by this replica's share of the limits."),
		limitSlots:     b.inProgress(metricLimitSlots, "Slots of limits of concurrent requests that are in use here."),
		limitReplicas:  b.gauge(metricLimitReplicas, "{replica}", "Replicas that share the limits, as far as this one knows."),
	}
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

func (b *builder) observedSeconds(name, description string) metric.Float64ObservableGauge {
	g, err := b.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
	b.check(err)
	return g
}

func (b *builder) inProgress(name, description string) metric.Int64ObservableUpDownCounter {
	c, err := b.meter.Int64ObservableUpDownCounter(name, metric.WithUnit("{request}"), metric.WithDescription(description))
	b.check(err)
	return c
}

func (b *builder) flag(name, description string) metric.Int64ObservableGauge {
	return b.gauge(name, "", description)
}

func (b *builder) gauge(name, unit, description string) metric.Int64ObservableGauge {
	g, err := b.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	b.check(err)
	return g
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
