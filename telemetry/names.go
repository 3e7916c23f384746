package telemetry

// The log field names. A line that reports one of these things uses the name
// listed here, so that a query written once keeps working.
const (
	FieldRequestID        = "request_id"
	FieldTraceID          = "trace_id"
	FieldMethod           = "method"
	FieldRoute            = "route"
	FieldStream           = "stream"
	FieldTenant           = "tenant"
	FieldKeyID            = "key_id"
	FieldModel            = "model"
	FieldProvider         = "provider"
	FieldUpstream         = "upstream"
	FieldAttempts         = "attempts"
	FieldOutcome          = "outcome"
	FieldInFlight         = "in_flight"
	FieldStack            = "stack"
	FieldStatus           = "status"
	FieldErrorCode        = "error_code"
	FieldEndReason        = "end_reason"
	FieldUsageSource      = "usage_source"
	FieldPromptTokens     = "prompt_tokens"
	FieldCompletionTokens = "completion_tokens"
	FieldDuration         = "duration_ms"
	FieldFirstByte        = "first_byte_ms"
	FieldOverhead         = "overhead_ms"
	FieldError            = "error"
	FieldCount            = "count"
	FieldOption           = "option"
	FieldEndpoint         = "endpoint"
	FieldProtocol         = "protocol"
)
