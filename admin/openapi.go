package admin

import (
	_ "embed" // for the document
	"encoding/json"
	"net/http"
)

// document describes every route in OpenAPI 3.1. The tests hold it against the routes, and
// against every request and answer that they see.
//
//go:embed openapi.json
var document string

// showDocument answers GET /admin/v1/openapi.json.
func (s *Server) showDocument(*http.Request) (answer, error) {
	return answer{http.StatusOK, json.RawMessage(document)}, nil
}
