package proxy

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"tollgate/keys"
	"tollgate/proxy/head"
	"tollgate/proxy/scan"
	"tollgate/upstream"

	"github.com/valyala/fasthttp"
)

// Failure is an error as the client sees it: OpenAI's object with all four
// fields, its HTTP status, and what the client may do next.
// See https://platform.openai.com/docs/guides/error-codes.
type Failure struct {
	Status     int
	Type       string
	Code       string // empty: null
	Param      string // empty: null
	Message    string
	RetryAfter time.Duration // 0: no Retry-After
	Allow      string        // the methods of a 405
	NoRetry    bool          // the client's own retries would only add to the load
}

// The sentinels of the stages. Their text is what the client reads.
var (
	errUnknownPath      = errors.New("unknown path: this gateway serves POST /v1/chat/completions, GET /v1/models, GET /v1/models/{id} and GET /v1/usage")
	errProtocol         = errors.New("only HTTP/1.1 and HTTP/1.0 are spoken here")
	errRequestTarget    = errors.New("the request target must be a path starting with \"/\"")
	errKeyInQuery       = errors.New("an API key in the query string is never read: send it in the Authorization header")
	errUnwantedBody     = errors.New("a request with this method must not have a body")
	errLengthRequired   = errors.New("a body needs a Content-Length or chunked transfer coding")
	errEncodedBody      = errors.New("the body must not be compressed: send it without Content-Encoding")
	errBodyTooLarge     = errors.New("the request body is larger than this gateway accepts")
	errBodyBroken       = errors.New("the request body could not be read to its end")
	errBodyMemory       = errors.New("too many request bodies are in memory at the moment: try again shortly")
	errInFlight         = errors.New("too many requests are in progress at the moment: try again shortly")
	errDraining         = errors.New("this gateway is shutting down: try again, another replica will answer")
	errUnknownParameter = errors.New("unknown query parameter: this path takes from and to")
	errMissingKey       = errors.New("no API key was given: send \"Authorization: Bearer tg_...\"")
	errModelNotFound    = errors.New("the model does not exist or this key may not use it")
	errOldStream        = errors.New("a stream needs HTTP/1.1: send the request without \"stream\": true, or use HTTP/1.1")
	errKeyRevoked       = errors.New("the API key was revoked: its open answers end here, and what came so far is incomplete")
	errLedger           = errors.New("the usage of this answer could not be recorded, so it is withheld: try again shortly")
	errHeadTooLarge     = errors.New("the request head is larger than this gateway accepts")
	errReadTimeout      = errors.New("the request was not sent in time")
	errStalled          = errors.New("the client accepted nothing for server.write_timeout")
	errUnparsable       = errors.New("the request is not well-formed HTTP")
	errJournal          = errors.New("usage cannot be recorded at the moment, so nothing was sent to a provider: try again shortly")
	errSpending         = errors.New("the usage of this key cannot be read at the moment: try again shortly")
	errPanic            = errors.New("the gateway failed on this request: please report the request id")
)

// errJournalCode is the code of errJournal.
const errJournalCode = "journal_unavailable"

// methodError says which method the path takes.
type methodError struct{ allow string }

func (e *methodError) Error() string {
	return "this path takes " + strings.ReplaceAll(e.allow, ", ", " and ") + " only"
}

// failureOf is the one table that turns an error into an HTTP answer.
func failureOf(err error) Failure {
	if f, ok := fixedFailure(err); ok {
		return f
	}
	var (
		headError   *head.Error
		scanError   *scan.Error
		method      *methodError
		limit       *limitError
		address     *addressError
		day         *dayError
		unsupported *unsupportedError
		unavailable *upstream.UnavailableError
		refusal     *refusalError
		exhausted   *exhaustedError
	)
	switch {
	case errors.As(err, &headError):
		return Failure{Status: headError.Status, Type: typeInvalid, Code: "invalid_request_head", Message: headError.Reason}
	case errors.As(err, &scanError):
		return Failure{Status: 400, Type: typeInvalid, Code: scanError.Code, Param: scanError.Param, Message: scanError.Error()}
	case errors.As(err, &method):
		return Failure{Status: 405, Type: typeInvalid, Code: "method_not_allowed", Message: err.Error(), Allow: method.allow}
	case errors.As(err, &address):
		return Failure{Status: 403, Type: typeInvalid, Code: "address_not_allowed", Message: err.Error()}
	case errors.As(err, &day):
		return Failure{Status: 400, Type: typeInvalid, Code: "invalid_value", Param: day.param, Message: err.Error()}
	case errors.As(err, &limit):
		return Failure{Status: 429, Type: typeRateLimit, Code: limit.code(), Message: err.Error(), RetryAfter: limit.decision.RetryAfter}
	case errors.As(err, &unsupported):
		return unsupported.failure()
	case errors.As(err, &unavailable):
		return Failure{
			Status: 503, Type: typeServer, Code: "upstream_unavailable", RetryAfter: atLeastASecond(unavailable.RetryAfter),
			Message: "every provider of this model is out of service or busy at the moment: try again shortly",
		}
	case errors.As(err, &refusal):
		return refusal.failure
	case errors.As(err, &exhausted):
		return exhausted.failure()
	}
	return Failure{Status: 500, Type: typeServer, Code: "internal_error", Message: errPanic.Error()}
}

// errorTypeOf names the failure in Tollgate's own words: a provider's code may be
// any text.
func errorTypeOf(err error, f Failure) string {
	var refusal *refusalError
	if errors.As(err, &refusal) {
		return "upstream_refused"
	}
	return f.Code
}

const (
	typeInvalid   = "invalid_request_error"
	typeRateLimit = "rate_limit_error"
	typeServer    = "server_error"
)

// fixedFailure is the part of the table whose rows hold no data of the request.
func fixedFailure(err error) (Failure, bool) {
	for _, row := range [...]struct {
		err        error
		status     int
		kind, code string
		param      string
		retryAfter time.Duration
	}{
		{errUnknownPath, 404, typeInvalid, "unknown_path", "", 0},
		{errHeadTooLarge, 431, typeInvalid, "invalid_request_head", "", 0},
		{errReadTimeout, 408, typeInvalid, "request_timeout", "", 0},
		{errStalled, 499, typeInvalid, "client_stalled", "", 0},           // nor this
		{errClientGone, 499, typeInvalid, "client_closed_request", "", 0}, // nobody reads it: for the log
		{errUnparsable, 400, typeInvalid, "invalid_request_head", "", 0},
		{errProtocol, 505, typeInvalid, "unsupported_protocol", "", 0},
		{errRequestTarget, 400, typeInvalid, "invalid_request_target", "", 0},
		{errKeyInQuery, 400, typeInvalid, "key_in_query", "", 0},
		{errUnwantedBody, 400, typeInvalid, "unexpected_body", "", 0},
		{errLengthRequired, 411, typeInvalid, "length_required", "", 0},
		{errEncodedBody, 415, typeInvalid, "unsupported_encoding", "", 0},
		{errBodyTooLarge, 413, typeInvalid, "request_too_large", "", 0},
		{errBodyBroken, 400, typeInvalid, "incomplete_body", "", 0},
		{errBodyMemory, 503, typeServer, "overloaded", "", time.Second},
		{errInFlight, 503, typeServer, "overloaded", "", time.Second},
		{errDraining, 503, typeServer, "shutting_down", "", time.Second},
		{errUnknownParameter, 400, typeInvalid, "unknown_parameter", "", 0},
		{errMissingKey, 401, typeInvalid, "invalid_api_key", "", 0},
		{errModelNotFound, 404, typeInvalid, "model_not_found", "model", 0},
		{errOldStream, 400, typeInvalid, "unsupported_protocol", "", 0},
		{errKeyRevoked, 401, typeInvalid, "key_revoked", "", 0},
		{errLedger, 503, typeServer, "usage_not_recorded", "", time.Second},
		{errJournal, 503, typeServer, errJournalCode, "", time.Second},
		{errSpending, 503, typeServer, "usage_unavailable", "", time.Second},
		{errPanic, 500, typeServer, "internal_error", "", 0},
		{keys.ErrUnavailable, 503, typeServer, "key_store_unavailable", "", time.Second},
	} {
		if errors.Is(err, row.err) {
			return Failure{
				Status: row.status, Type: row.kind, Code: row.code, Param: row.param,
				Message: row.err.Error(), RetryAfter: row.retryAfter,
			}, true
		}
	}
	// Unknown, revoked, disabled, expired and misspelt keys read the same: the difference
	// would tell a stranger which secrets once existed.
	for _, bad := range [...]error{keys.ErrMalformed, keys.ErrUnknown, keys.ErrRevoked, keys.ErrDisabled, keys.ErrExpired} {
		if errors.Is(err, bad) {
			return Failure{Status: 401, Type: typeInvalid, Code: "invalid_api_key", Message: "the API key is not valid: check it, or ask for a new one"}, true
		}
	}
	return Failure{}, false
}

// write puts the failure on the response: status, headers and body.
func (f Failure) write(response *fasthttp.Response) []byte {
	response.SetStatusCode(f.Status)
	response.Header.SetContentType("application/json")
	switch f.Status {
	case fasthttp.StatusUnauthorized:
		response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer") // RFC 9110, section 15.5.2
	case fasthttp.StatusMethodNotAllowed:
		response.Header.Set(fasthttp.HeaderAllow, f.Allow) // RFC 9110, section 15.5.6
	}
	if f.RetryAfter > 0 {
		// Rounded up: a client that obeys is never too early.
		response.Header.Set("Retry-After", strconv.FormatInt(roundUp(f.RetryAfter, time.Second), 10))
		response.Header.Set("Retry-After-Ms", strconv.FormatInt(roundUp(f.RetryAfter, time.Millisecond), 10))
	}
	if f.NoRetry {
		response.Header.Set("X-Should-Retry", "false") // OpenAI's libraries obey it
	}
	return f.body()
}

// body is the error object as JSON.
func (f Failure) body() []byte {
	b := append(make([]byte, 0, 128+len(f.Message)), `{"error":{"message":`...)
	b = scan.AppendString(b, f.Message)
	b = append(b, `,"type":`...)
	b = scan.AppendString(b, f.Type)
	b = append(b, `,"param":`...)
	b = appendStringOrNull(b, f.Param)
	b = append(b, `,"code":`...)
	b = appendStringOrNull(b, f.Code)
	return append(b, '}', '}')
}

// event is the failure as the last event of a stream that had begun. It goes
// through the JSON encoder on one line: no text can end the event early.
func (f Failure) event() []byte {
	return append(append([]byte("data: "), f.body()...), '\n', '\n')
}

func appendStringOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return scan.AppendString(b, s)
}

func roundUp(d, unit time.Duration) int64 { return int64((d + unit - 1) / unit) }

func atLeastASecond(d time.Duration) time.Duration { return max(d, time.Second) }
