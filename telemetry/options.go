package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// How many values a label takes, and how many combinations of labels a
// measurement takes. Beyond, values and combinations read as _OTHER.
const (
	mostProviders    = 64
	mostModels       = 512
	mostAddresses    = 256 // of upstreams
	mostCredentials  = 256
	mostKinds        = 128
	mostCombinations = 2048
	fewCombinations  = 64 // of a limit and its decision
)

// bound is how many of something are kept; full hears of what is beyond.
type bound struct {
	limit int
	full  func()
}

// words bound the labels whose values this package does not list.
type words struct {
	providers, models, addresses, credentials, kinds *vocabulary
}

func newWords(full func()) words {
	return words{
		providers:   newVocabulary(bound{mostProviders, full}),
		models:      newVocabulary(bound{mostModels, full}),
		addresses:   newVocabulary(bound{mostAddresses, full}),
		credentials: newVocabulary(bound{mostCredentials, full}),
		kinds:       newVocabulary(bound{mostKinds, full}),
	}
}

// The labels of one measurement.
type (
	exchangeLabels struct { // all but errorType from this package's own lists
		method, route, errorType string
		status                   int
	}
	answerLabels struct{ provider, model, errorType, endReason, source string }
	tryLabels    struct{ provider, model, outcome string }
	limitLabels  struct{ limit, decision string }
	changeLabels struct{ provider, model, state string }
	retryLabels  struct{ model, decision string }
)

// The options that a measurement is made with.
type (
	exchangeOptions struct{ duration, overhead []metric.RecordOption }
	answerOptions   struct {
		requests                            *tally
		duration, firstToken, input, output []metric.RecordOption
	}
	tryOptions struct {
		attempts *tally
		duration []metric.RecordOption
	}
)

func (m *Metrics) exchangeOptions(l exchangeLabels) exchangeOptions {
	route := attrRoute.String(l.route)
	attrs := []attribute.KeyValue{route, attrMethod.String(l.method)}
	if l.status != 0 {
		attrs = append(attrs, attrStatus.Int(l.status))
	}
	attrs = label(attrs, attrErrorType, m.words.kinds.admit(l.errorType))
	return exchangeOptions{duration: recordWith(attrs), overhead: recordWith([]attribute.KeyValue{route})}
}

func (m *Metrics) answerOptions(l answerLabels) answerOptions {
	source := m.words.kinds.admit(l.source)
	who := label(nil, attrProvider, m.words.providers.admit(l.provider))
	who = label(who, attrModel, m.words.models.admit(l.model))
	chat := with(who, attrOperation.String(operationChat))
	counted := label(chat, attrUsageSource, source)
	requests := label(who, attrUsageSource, source)
	requests = label(requests, attrEndReason, m.words.kinds.admit(l.endReason))
	return answerOptions{
		requests:   m.requests.of(requests),
		duration:   recordWith(label(chat, attrErrorType, m.words.kinds.admit(l.errorType))),
		firstToken: recordWith(chat),
		input:      recordWith(with(counted, attrTokenType.String(tokenInput))),
		output:     recordWith(with(counted, attrTokenType.String(tokenOutput))),
	}
}

func (m *Metrics) tryOptions(l tryLabels) tryOptions {
	outcome := m.words.kinds.admit(l.outcome)
	who := label(nil, attrProvider, m.words.providers.admit(l.provider))
	who = label(who, attrModel, m.words.models.admit(l.model))
	duration := with(who, attrMethod.String("POST"))
	if outcome != outcomeOK {
		duration = label(duration, attrErrorType, outcome)
	}
	return tryOptions{attempts: m.attempts.of(label(who, attrOutcome, outcome)), duration: recordWith(duration)}
}

func (m *Metrics) limitTally(l limitLabels) *tally {
	attrs := label(nil, attrLimit, m.words.kinds.admit(l.limit))
	return m.limitDecisions.of(label(attrs, attrDecision, m.words.kinds.admit(l.decision)))
}

// outcomeOK is upstream's word for an attempt that answered.
const outcomeOK = "ok"

// errorType says in one word from a fixed list what went wrong, or nothing.
func (a *Access) errorType() string {
	switch {
	case a.ErrorType != "":
		return a.ErrorType
	case brokeOff(a.EndReason):
		return a.EndReason
	case a.Status >= 500:
		return failedStatus(a.Status)
	}
	return ""
}

// brokeOff reports whether an answer that had begun ended badly through no
// doing of the client's, nor of an operator's.
func brokeOff(endReason string) bool {
	switch endReason {
	case "", "completed", "client_gone", "refused", "key_revoked":
		return false
	}
	return true
}

// with returns attrs and one more; it never writes into attrs.
func with(attrs []attribute.KeyValue, more attribute.KeyValue) []attribute.KeyValue {
	return append(attrs[:len(attrs):len(attrs)], more)
}

// label is with, unless the value is empty: to Prometheus both are the same.
func label(attrs []attribute.KeyValue, key attribute.Key, value string) []attribute.KeyValue {
	if value == "" {
		return attrs
	}
	return with(attrs, key.String(value))
}

func recordWith(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}
