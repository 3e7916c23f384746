package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// UpstreamState is what an endpoint is like at one moment: one credential of one
// address, for one of the provider's models.
type UpstreamState struct {
	Provider string
	// URL is the address as configured, without a login.
	URL string
	// Credential tells credentials of one address apart by their places, such as "#1".
	// Whoever reaches /metrics sees it: it must hold nothing of the credential.
	Credential string
	// Model is the provider's own name.
	Model string
	// State is upstream's word, such as "ready" or "open".
	State string
	// Pending is how many requests are in progress there.
	Pending int64
	// FirstEvent is what a choice expects of a stream's first event; 0: not known.
	FirstEvent time.Duration
}

// UpstreamChanged counts a change of an upstream's state: model is the provider's own
// name, empty where all models of an address changed; state is the one it has now.
func (m *Metrics) UpstreamChanged(provider, model, state string) {
	if m == nil {
		return
	}
	m.changes.of(changeLabels{provider: provider, model: model, state: state}).add()
}

// Retry counts a decision about a further attempt: model is the public one, decision
// "made", or "refused" where the budget of retries was spent.
func (m *Metrics) Retry(model, decision string) {
	if m == nil {
		return
	}
	m.again.of(retryLabels{model: model, decision: decision}).add()
}

// RetriesOf makes both of a public model's counts of retries exist, at 0 if nothing was
// counted yet. An increase is only seen of what was there before: without this, an alert
// would miss the first storm. It counts nothing, so it may be called again.
func (m *Metrics) RetriesOf(model string) {
	if m == nil {
		return
	}
	for _, decision := range [...]string{"made", "refused"} {
		m.again.of(retryLabels{model: model, decision: decision}).show()
	}
}

// RejectionsOf makes a provider's count of answers exist whose usage was not believed,
// at 0 if there was none yet, for the same reason as RetriesOf.
func (m *Metrics) RejectionsOf(provider string) {
	if m != nil {
		m.rejectionsOf(provider).show()
	}
}

func (m *Metrics) rejectionsOf(provider string) *tally {
	return m.usageRejected.of(label(nil, attrProvider, m.words.providers.admit(provider)))
}

// ObserveUpstreams reports every endpoint's state, what is in progress there, and how
// soon it answers. f is called at every scrape, and by whoever scrapes at once.
func (m *Metrics) ObserveUpstreams(f func() []UpstreamState) error {
	if m == nil {
		return nil
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for who, sum := range m.upstreamSums(f()) {
			labels := m.endpointAttributes(who)
			at := metric.WithAttributeSet(attribute.NewSet(labels...))
			o.ObserveInt64(m.upstreamPending, sum.pending, at)
			if sum.firstEvent > 0 {
				o.ObserveFloat64(m.upstreamFirstEvent, sum.firstEvent.Seconds(), at)
			}
			for state, count := range sum.states {
				o.ObserveInt64(m.upstreamState, count, metric.WithAttributeSet(attribute.NewSet(label(labels, attrState, state)...)))
			}
		}
		return nil
	}, m.upstreamState, m.upstreamPending, m.upstreamFirstEvent)
	return err
}

// endpointLabels say which endpoint, in words that have been admitted.
type endpointLabels struct{ provider, model, url, credential string }

// endpointSum is one endpoint, or all those whose labels read the same.
type endpointSum struct {
	states     map[string]int64 // how many are in each
	pending    int64
	firstEvent time.Duration // the slowest one's
}

// upstreamSums adds up what has the same labels beyond the bounds: of two
// observations with the same labels, the SDK would keep one.
func (m *Metrics) upstreamSums(states []UpstreamState) map[endpointLabels]*endpointSum {
	sums := make(map[endpointLabels]*endpointSum, len(states))
	for _, s := range states {
		who := endpointLabels{
			provider: m.words.providers.admit(s.Provider), model: m.words.models.admit(s.Model),
			url: m.words.addresses.admit(s.URL), credential: m.words.credentials.admit(s.Credential),
		}
		if _, known := sums[who]; !known && len(sums) >= m.endpoints.limit {
			m.endpoints.full()
			who = endpointLabels{otherValue, otherValue, otherValue, otherValue}
		}
		sum := sums[who]
		if sum == nil {
			sum = &endpointSum{states: make(map[string]int64, 1)}
			sums[who] = sum
		}
		sum.states[m.words.kinds.admit(s.State)]++
		sum.pending += s.Pending
		sum.firstEvent = max(sum.firstEvent, s.FirstEvent)
	}
	return sums
}

func (*Metrics) endpointAttributes(who endpointLabels) []attribute.KeyValue {
	attrs := label(nil, attrProvider, who.provider)
	attrs = label(attrs, attrModel, who.model)
	attrs = label(attrs, attrUpstream, who.url)
	return label(attrs, attrCredential, who.credential)
}

func (m *Metrics) changeTally(l changeLabels) *tally {
	attrs := label(nil, attrProvider, m.words.providers.admit(l.provider))
	attrs = label(attrs, attrModel, m.words.models.admit(l.model))
	return m.upstreamChanges.of(label(attrs, attrState, m.words.kinds.admit(l.state)))
}

func (m *Metrics) retryTally(l retryLabels) *tally {
	attrs := label(nil, attrModel, m.words.models.admit(l.model))
	return m.retries.of(label(attrs, attrDecision, m.words.kinds.admit(l.decision)))
}
