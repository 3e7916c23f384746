package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// contract is the document, to which everything that the tests see is held.
type contract struct {
	document *openapi3.T
	router   routers.Router
	held     *sync.Map // what was checked: it takes a while, and many ask for the same
}

// theContract reads the document once, which takes a while.
var theContract = sync.OnceValues(func() (contract, error) {
	parsed, err := openapi3.NewLoader().LoadFromData([]byte(document))
	if err != nil {
		return contract{}, err
	}
	if err := parsed.Validate(context.Background(), openapi3.IsOpenAPI31OrLater()); err != nil {
		return contract{}, err
	}
	router, err := gorillamux.NewRouter(parsed)
	return contract{parsed, router, new(sync.Map)}, err
})

// check holds a request that was taken, and whatever was answered, to the document.
func (c contract) check(t *testing.T, r *http.Request, body string, w *httptest.ResponseRecorder) {
	t.Helper()
	r = r.Clone(context.Background()) // its own may be over
	r.Body = io.NopCloser(strings.NewReader(body))
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet // and the recorder keeps the body
	}
	route, parameters, err := c.router.FindRoute(r)
	if err != nil || w.Code == http.StatusMethodNotAllowed {
		c.checkError(t, w)
		return
	}
	if _, held := c.held.LoadOrStore([4]string{route.Operation.OperationID, r.URL.RawQuery, body, w.Body.String()}, true); held {
		return
	}
	isExplain := route.Operation.OperationID == "explain" // which takes every body
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, ExcludeRequestBody: isExplain,
		},
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if w.Code < 300 {
		if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
			t.Errorf("%s %s is not as the document has it: %v", r.Method, r.URL, err)
		}
	}
	output := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: w.Code, Header: w.Header(), Options: input.Options}
	output.SetBodyBytes(w.Body.Bytes())
	if err := openapi3filter.ValidateResponse(context.Background(), output); err != nil {
		t.Errorf("the answer to %s %s is not as the document has it: %v", r.Method, r.URL, err)
	}
}

// checkError holds the answer about a path or a method that does not exist.
func (c contract) checkError(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != 404 && w.Code != 405 && w.Code != 401 && w.Code != 429 {
		t.Errorf("what is not in the document is answered %d", w.Code)
	}
	var value any
	if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
		t.Error(err)
		return
	}
	if err := c.document.Components.Schemas["Error"].Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		t.Error(err)
	}
}
