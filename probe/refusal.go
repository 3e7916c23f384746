package probe

import (
	"bytes"
	"encoding/json"
)

// isObject reports whether raw is a JSON object.
func isObject(raw json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }

// errorObject is the error of OpenAI's format.
type errorObject struct {
	Message *string         `json:"message"`
	Type    *string         `json:"type"`
	Code    json.RawMessage `json:"code"`
}

// errorOf reads the error object of a refusal. It reports false where there is
// none, or one without the members that clients tell errors apart by.
func errorOf(raw []byte) (errorObject, bool) {
	var body struct {
		Error errorObject `json:"error"`
	}
	if json.Unmarshal(raw, &body) != nil {
		return errorObject{}, false
	}
	e := body.Error
	named := e.Type != nil && *e.Type != "" || len(e.Code) > 0 && string(e.Code) != "null"
	return e, e.Message != nil && named
}

// said is what a refusal says, safe to show.
func (s *session) said(raw []byte) string {
	if e, _ := errorOf(raw); e.Message != nil {
		return s.quote(*e.Message)
	}
	return s.quote(string(raw))
}
