package simulator

import (
	"fmt"
	"net/http"
)

// A Refusal is what a provider answers to a request that it does not accept.
// The pages document no errors: what is sent is the object that a client of
// OpenAI's API expects, unless an ErrorShape says otherwise.
type Refusal struct {
	Status  int    // of the HTTP answer, 400 to 499
	Message string // for people
	Type    string // OpenAI's "type": "invalid_request_error"
	Param   string // the path of what is refused: "messages[0].role"; empty: no single one, null when sent
	Code    string // "unknown_parameter"; empty: null when sent
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Message) }

type errorBody struct {
	Error errorFields `json:"error"`
}

type errorFields struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func (r *Refusal) body() []byte {
	f := errorFields{Message: r.Message, Type: r.Type}
	if r.Param != "" {
		f.Param = &r.Param
	}
	if r.Code != "" {
		f.Code = &r.Code
	}
	return encode(errorBody{f})
}

// badRequest is the refusal of one parameter, named by its path in the body.
func badRequest(param, code, format string, args ...any) *Refusal {
	return invalid(http.StatusBadRequest, param, code, fmt.Sprintf(format, args...))
}

// invalid is a refusal that blames the request, with any status.
func invalid(status int, param, code, message string) *Refusal {
	return &Refusal{Status: status, Message: message, Type: "invalid_request_error", Param: param, Code: code}
}

func wrongType(at, want string, got any) *Refusal {
	if at == "" {
		return badRequest("", "invalid_type", "Invalid body: expected %s, but got %s instead.", want, typeName(got))
	}
	return badRequest(at, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", at, want, typeName(got))
}

func invalidValue(at, problem string) *Refusal {
	return badRequest(at, "invalid_value", "Invalid value for '%s': %s.", at, problem)
}

func unknownParameter(at string) *Refusal {
	return badRequest(at, "unknown_parameter", "Unknown parameter: '%s'.", at)
}

func missing(at string) *Refusal {
	return badRequest(at, "missing_required_parameter", "Missing required parameter: '%s'.", at)
}

// unknownModel is a 404, not a 400, because that is what OpenAI answers and
// what its clients turn into their NotFoundError.
func unknownModel(model string) *Refusal {
	return invalid(http.StatusNotFound, "model", "model_not_found",
		fmt.Sprintf("The model '%s' does not exist or you do not have access to it.", model))
}
