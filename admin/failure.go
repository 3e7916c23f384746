package admin

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"tollgate/keys"
	"tollgate/usage"
)

// failure is an error as the caller sees it: OpenAI's object with all four fields,
// as everywhere in Tollgate, and the status it travels with.
type failure struct {
	status     int
	kind       string
	code       string
	param      string // empty: null
	message    string
	retryAfter time.Duration // zero: no Retry-After
}

// Error implements error.
func (f *failure) Error() string { return f.message }

// errorBody is the failure on the wire, where all four fields are always present.
type errorBody struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	} `json:"error"`
}

func (f *failure) answer() answer {
	var body errorBody
	body.Error.Message, body.Error.Type, body.Error.Code = withoutSecrets(f.message), f.kind, f.code
	if f.param != "" {
		param := withoutSecrets(f.param)
		body.Error.Param = &param
	}
	return answer{f.status, body}
}

// secretLike matches what has the form of a secret, whole or cut short: a client's by its
// prefix wherever it stands, a provider's where a word begins.
var secretLike = regexp.MustCompile(`tg_\w+|\b(?:sk|pk|tg)[-_][\w-]{6,}`)

// withoutSecrets is the text for a caller or for the log, should somebody have pasted a secret where it does not belong.
func withoutSecrets(text string) string { return secretLike.ReplaceAllString(text, "[redacted]") }

const (
	kindInvalid   = "invalid_request_error"
	kindRateLimit = "rate_limit_error"
	kindServer    = "server_error"
)

// invalid is a 400 about one query parameter or field; param may be empty.
func invalid(param, message string) *failure {
	return &failure{status: http.StatusBadRequest, kind: kindInvalid, code: "invalid_value", param: param, message: message}
}

// errTenantNotFound is keys.ErrNotFound where it was a tenant that was looked for.
var errTenantNotFound = errors.New("no such tenant")

// failureOf is the one table from an error to what the caller is told. An error
// that is not in it may hold anything, so only the log shows its text.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if bad, ok := errors.AsType[badFields](allBad(err)); ok {
		return invalid(bad[0].param, bad.Error())
	}
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		return &failure{
			status: http.StatusRequestEntityTooLarge, kind: kindInvalid, code: "request_too_large",
			message: "the request body must be at most 64 KiB",
		}
	case errors.Is(err, errTenantNotFound):
		return &failure{status: http.StatusNotFound, kind: kindInvalid, code: "tenant_not_found", param: "name", message: "no tenant of this name has limits: GET /admin/v1/tenants lists those that have"}
	case errors.Is(err, keys.ErrNotFound):
		return &failure{status: http.StatusNotFound, kind: kindInvalid, code: "key_not_found", param: "id", message: "no key has this id: GET /admin/v1/keys lists them"}
	case errors.Is(err, keys.ErrDuplicate):
		return conflict("key_exists", "secret_sha256", err)
	case errors.Is(err, keys.ErrRevokedForGood):
		return conflict("key_revoked", "id", keys.ErrRevokedForGood)
	case errors.Is(err, keys.ErrTooManySecrets):
		return conflict("too_many_secrets", "grace", keys.ErrTooManySecrets)
	case errors.Is(err, keys.ErrUnavailable):
		return &failure{
			status: http.StatusServiceUnavailable, kind: kindServer, code: "key_store_unavailable",
			message: "the key store cannot do this at the moment: the log says why", retryAfter: time.Second,
		}
	case errors.Is(err, usage.ErrBadQuery):
		return invalid("", err.Error())
	default:
		return &failure{status: http.StatusInternalServerError, kind: kindServer, code: "internal_error", message: "this failed inside the gateway: the log says why"}
	}
}

// conflict is a 409: what is asked for cannot be, as things stand, and why tells what to do instead.
func conflict(code, param string, why error) *failure {
	return &failure{status: http.StatusConflict, kind: kindInvalid, code: code, param: param, message: why.Error()}
}

// badField is one field or parameter that cannot be taken, in words for the caller.
type badField struct{ param, message string }

// badFields are told about all at once.
type badFields []badField

// maxBadFields bounds the message: more mistakes than that are of one kind.
const maxBadFields = 20

// Error implements error.
func (b badFields) Error() string {
	lines := make([]string, len(b))
	for i, one := range b {
		lines[i] = one.message
	}
	return strings.Join(lines, "; ")
}

// add takes the first word about each field: what is said later follows from it.
func (b *badFields) add(param, message string) {
	for _, known := range *b {
		if known.param == param {
			return
		}
	}
	if len(*b) < maxBadFields {
		*b = append(*b, badField{param, message})
	}
}

func (b badFields) orNil() error {
	if len(b) == 0 {
		return nil
	}
	return b
}

// allBad joins what is wrong with fields, in the order given. Another error among them stands for all.
func allBad(errs ...error) error {
	var all badFields
	for _, err := range errs {
		bad, isBad := errors.AsType[badFields](err)
		for _, one := range bad {
			all.add(one.param, one.message)
		}
		of := keys.FieldErrors(err)
		for _, one := range of {
			all.add(one.Field, one.Error())
		}
		if err != nil && !isBad && len(of) == 0 {
			return err
		}
	}
	return all.orNil()
}
