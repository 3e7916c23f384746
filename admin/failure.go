package admin

import (
	"errors"
	"net/http"
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
	body.Error.Message, body.Error.Type, body.Error.Code = f.message, f.kind, f.code
	if f.param != "" {
		body.Error.Param = &f.param
	}
	return answer{f.status, body}
}

const (
	kindInvalid = "invalid_request_error"
	kindServer  = "server_error"
)

// invalid is a 400 about one query parameter or field; param may be empty.
func invalid(param, message string) *failure {
	return &failure{status: http.StatusBadRequest, kind: kindInvalid, code: "invalid_value", param: param, message: message}
}

// failureOf is the one table from an error to what the caller is told. An error
// that is not in it may hold anything, so only the log shows its text.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if bad := keys.FieldErrors(err); len(bad) > 0 {
		return invalidFields(bad)
	}
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		return &failure{
			status: http.StatusRequestEntityTooLarge, kind: kindInvalid, code: "request_too_large",
			message: "the request body must be at most 64 KiB",
		}
	case errors.Is(err, keys.ErrNotFound):
		return &failure{status: http.StatusNotFound, kind: kindInvalid, code: "key_not_found", param: "id", message: "no key has this id: GET /admin/v1/keys lists them"}
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

// invalidFields tells about all bad fields at once; param names the first.
func invalidFields(bad []*keys.FieldError) *failure {
	lines := make([]string, len(bad))
	for i, e := range bad {
		lines[i] = e.Error()
	}
	return invalid(bad[0].Field, strings.Join(lines, "; "))
}
