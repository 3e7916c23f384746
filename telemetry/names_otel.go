package telemetry

import (
	gen "go.opentelemetry.io/otel/semconv/v1.41.0"
	http "go.opentelemetry.io/otel/semconv/v1.43.0"

	"go.opentelemetry.io/otel/attribute"
)

// scope names who makes these spans and metrics.
const scope = "tollgate"

// The attributes of spans and metrics. What the semantic conventions name has
// their name: HTTP is stable (v1.43.0), gen_ai still in development (v1.41.0,
// the last version of the main repository).
const (
	attrMethod          = http.HTTPRequestMethodKey
	attrRoute           = http.HTTPRouteKey
	attrStatus          = http.HTTPResponseStatusCodeKey
	attrResendCount     = http.HTTPRequestResendCountKey
	attrPath            = http.URLPathKey
	attrScheme          = http.URLSchemeKey
	attrServerAddress   = http.ServerAddressKey
	attrServerPort      = http.ServerPortKey
	attrClientAddress   = http.ClientAddressKey
	attrUserAgent       = http.UserAgentOriginalKey
	attrProtocolVersion = http.NetworkProtocolVersionKey
	attrErrorType       = http.ErrorTypeKey

	attrOperation       = gen.GenAIOperationNameKey
	attrProvider        = gen.GenAIProviderNameKey
	attrModel           = gen.GenAIRequestModelKey
	attrStream          = gen.GenAIRequestStreamKey
	attrMaxTokens       = gen.GenAIRequestMaxTokensKey
	attrTemperature     = gen.GenAIRequestTemperatureKey
	attrTopP            = gen.GenAIRequestTopPKey
	attrChoices         = gen.GenAIRequestChoiceCountKey
	attrResponseID      = gen.GenAIResponseIDKey
	attrResponseModel   = gen.GenAIResponseModelKey
	attrFinishReasons   = gen.GenAIResponseFinishReasonsKey
	attrFirstChunk      = gen.GenAIResponseTimeToFirstChunkKey
	attrInputTokens     = gen.GenAIUsageInputTokensKey
	attrOutputTokens    = gen.GenAIUsageOutputTokensKey
	attrCachedTokens    = gen.GenAIUsageCacheReadInputTokensKey
	attrReasoningTokens = gen.GenAIUsageReasoningOutputTokensKey
	attrTokenType       = gen.GenAITokenTypeKey

	attrRequestID    attribute.Key = "tollgate.request.id"
	attrKeyID        attribute.Key = "tollgate.key.id"
	attrTenantID     attribute.Key = "tollgate.tenant.id"
	attrPool         attribute.Key = "tollgate.pool"
	attrAttempt      attribute.Key = "tollgate.attempt"
	attrBreakerState attribute.Key = "tollgate.breaker.state"
	attrOutcome      attribute.Key = "tollgate.outcome"
	attrEndReason    attribute.Key = "tollgate.end_reason"
	attrUsageSource  attribute.Key = "tollgate.usage.source"
	attrLimit        attribute.Key = "tollgate.limit"
	attrShadowed     attribute.Key = "tollgate.limits_shadowed"
	attrDecision     attribute.Key = "tollgate.decision"
	attrResult       attribute.Key = "tollgate.result"
	attrState        attribute.Key = "tollgate.state"
	attrUpstream     attribute.Key = "tollgate.upstream"
	attrCredential   attribute.Key = "tollgate.credential"
)

// The values that are the same everywhere.
const (
	operationChat = "chat"
	tokenInput    = "input"
	tokenOutput   = "output"
	otherRoute    = "other"
	otherValue    = "_OTHER" // the conventions' word for what is not on the list
)

// The metrics. The conventions' own have their names, units and descriptions.
const (
	metricServerDuration   = "http.server.request.duration"
	metricActiveRequests   = "http.server.active_requests"
	metricClientDuration   = "http.client.request.duration"
	metricAnswerDuration   = "gen_ai.server.request.duration"
	metricFirstToken       = "gen_ai.server.time_to_first_token"
	metricTokenUsage       = "gen_ai.client.token.usage"
	metricRequests         = "tollgate.requests"
	metricOverheadDuration = "tollgate.overhead.duration"
	metricAttempts         = "tollgate.attempts"
	metricLimitDecisions   = "tollgate.limit.decisions"
	metricDrainsActive     = "tollgate.drains.active"
	metricStoreUp          = "tollgate.store.up"
	metricKeyFeedAge       = "tollgate.key.feed.age"
	metricKeyLookups       = "tollgate.key.lookups"
	metricSpansLost        = "tollgate.spans.lost"

	metricUpstreamState      = "tollgate.upstream.state"
	metricUpstreamChanges    = "tollgate.upstream.changes"
	metricUpstreamPending    = "tollgate.upstream.pending"
	metricUpstreamFirstEvent = "tollgate.upstream.first_event"
	metricRetries            = "tollgate.retries"
	metricConfigReloads      = "tollgate.config.reloads"
	metricConfigReloadOK     = "tollgate.config.last_reload_success"
	metricConfigLoadedAt     = "tollgate.config.loaded_at"
	metricLimitOrders        = "tollgate.limit.orders"
	metricLimitAlone         = "tollgate.limit.alone"
	metricLimitSlots         = "tollgate.limit.slots"
	metricLimitReplicas      = "tollgate.limit.replicas"
	metricUsageRejected      = "tollgate.usage.rejected"

	metricJournalSync         = "tollgate.journal.sync.duration"
	metricJournalSyncFailures = "tollgate.journal.sync.failures"
	metricJournalReady        = "tollgate.journal.ready"
	metricJournalSize         = "tollgate.journal.size"
	metricJournalRoom         = "tollgate.journal.room"
	metricJournalPromised     = "tollgate.journal.promised"
	metricJournalUnshipped    = "tollgate.journal.unshipped"
	metricJournalLag          = "tollgate.journal.lag"
	metricJournalOpen         = "tollgate.journal.open"
	metricJournalRefused      = "tollgate.journal.refused"
	metricJournalRejected     = "tollgate.journal.rejected"
	metricJournalDropped      = "tollgate.journal.dropped"
	metricJournalRecovered    = "tollgate.journal.recovered"
)
