package simulator

import (
	"fmt"
	"net/http"
)

// A refusal is an answer in OpenAI's error shape. The pages document no errors;
// the shape is the one that an OpenAI-compatible client expects.
type refusal struct {
	status  int
	message string
	kind    string // OpenAI's "type"
	param   string // empty: null
	code    string
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.message) }

type errorBody struct {
	Error errorFields `json:"error"`
}

type errorFields struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func (r *refusal) body() []byte {
	f := errorFields{Message: r.message, Type: r.kind}
	if r.param != "" {
		f.Param = &r.param
	}
	if r.code != "" {
		f.Code = &r.code
	}
	return encode(errorBody{f})
}

// badRequest is the refusal of one parameter, named by its path in the body.
func badRequest(param, code, format string, args ...any) *refusal {
	return invalid(http.StatusBadRequest, param, code, fmt.Sprintf(format, args...))
}

// invalid is a refusal that blames the request, with any status.
func invalid(status int, param, code, message string) *refusal {
	return &refusal{status: status, message: message, kind: "invalid_request_error", param: param, code: code}
}

func wrongType(at, want string, got any) *refusal {
	if at == "" {
		return badRequest("", "invalid_type", "Invalid body: expected %s, but got %s instead.", want, typeName(got))
	}
	return badRequest(at, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", at, want, typeName(got))
}

func invalidValue(at, problem string) *refusal {
	return badRequest(at, "invalid_value", "Invalid value for '%s': %s.", at, problem)
}

func unknownParameter(at string) *refusal {
	return badRequest(at, "unknown_parameter", "Unknown parameter: '%s'.", at)
}

func missing(at string) *refusal {
	return badRequest(at, "missing_required_parameter", "Missing required parameter: '%s'.", at)
}

// unknownModel is a 404, not a 400, because that is what OpenAI answers and
// what its clients turn into their NotFoundError.
func unknownModel(model string) *refusal {
	return invalid(http.StatusNotFound, "model", "model_not_found",
		fmt.Sprintf("The model '%s' does not exist or you do not have access to it.", model))
}
