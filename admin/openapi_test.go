package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// The document and the table of routes hold the same: paths, methods, parameters, and what is open to all.
func TestDocumentHasEveryRoute(t *testing.T) {
	h := newHouse(t)
	var served, described []string
	for _, one := range h.server.routes() {
		served = append(served, fmt.Sprintf("%s %s ?%s open=%t", one.method, one.path, strings.Join(slices.Sorted(slices.Values(one.parameters)), "&"), one.open))
	}
	for path, item := range h.contract.document.Paths.Map() {
		for method, operation := range item.Operations() {
			var query []string
			for _, p := range operation.Parameters {
				if p.Value.In == "query" {
					query = append(query, p.Value.Name)
				}
			}
			slices.Sort(query)
			isOpen := operation.Security != nil && len(*operation.Security) == 0
			described = append(described, fmt.Sprintf("%s %s ?%s open=%t", method, path, strings.Join(query, "&"), isOpen))
		}
	}
	slices.Sort(served)
	slices.Sort(described)
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("-served +described:\n%s", diff)
	}
	names := make(map[string]bool)
	for _, item := range h.contract.document.Paths.Map() {
		for _, operation := range item.Operations() {
			if operation.Summary == "" || names[operation.OperationID] {
				t.Errorf("%s has no summary, or is not the only one of this name", operation.OperationID)
			}
			names[operation.OperationID] = true
		}
	}
}

// Whatever an operation under /admin/ can be refused for, the document says.
func TestDocumentHasEveryRefusal(t *testing.T) {
	h := newHouse(t)
	for path, item := range h.contract.document.Paths.Map() {
		if !strings.HasPrefix(path, "/admin/") {
			continue
		}
		for method, operation := range item.Operations() {
			want := []string{"400", "401", "429", "500", "503"}
			if operation.RequestBody != nil {
				want = append(want, "408", "413")
			}
			for _, status := range want {
				if operation.Responses.Value(status) == nil {
					t.Errorf("%s %s has no %s", method, path, status)
				}
			}
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	h := newHouse(t)
	w := h.send("GET", "/admin/v1/openapi.json", "")
	var got, want any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", w.Code, err)
	}
	if err := json.Unmarshal([]byte(document), &want); err != nil || !cmp.Equal(got, want) {
		t.Errorf("another document is served: %v", err)
	}
	h.want(h.send("GET", "/admin/v1/openapi.json", "", "Authorization: "), 401, unauthorized)
}

// Every example of a body is taken.
func TestDocumentExamples(t *testing.T) {
	h := newHouse(t)
	tried := 0
	for path, item := range h.contract.document.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.RequestBody == nil {
				continue
			}
			examples := operation.RequestBody.Value.Content.Get("application/json").Examples
			for _, name := range slices.Sorted(maps.Keys(examples)) {
				body, err := json.Marshal(examples[name].Value.Value)
				if err != nil {
					t.Fatal(err)
				}
				id, _ := h.issue(`{"tenant":"acme","name":"example"}`)
				target := strings.NewReplacer("{id}", id, "{name}", "acme").Replace(path)
				if w := h.send(method, target, string(body)); w.Code != 200 && w.Code != 201 {
					t.Errorf("%s %s, %s: %d %s", method, path, name, w.Code, w.Body)
				}
				tried++
			}
		}
	}
	if tried < 15 {
		t.Errorf("there are %d examples only", tried)
	}
}

// What the document would let pass is a mistake of the document: answers and bodies are closed.
func TestDocumentIsClosed(t *testing.T) {
	h := newHouse(t)
	for name, schema := range h.contract.document.Components.Schemas {
		if name == "Trail" || !schema.Value.Type.Is("object") {
			continue // of a trail, other versions may say more
		}
		if has := schema.Value.AdditionalProperties.Has; has == nil || *has {
			t.Errorf("%s takes fields that it does not describe", name)
		}
	}
	check := func(schema, text string, want bool) {
		t.Helper()
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		err := h.contract.document.Components.Schemas[schema].Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
		if (err == nil) != want {
			t.Errorf("%s takes %s: %v", schema, text, err)
		}
	}
	key := `{"id":"key_000000000000","tenant":"acme","name":"ci","last4":"abcd","state":"active","models":[],"cidrs":[],` + unlimited +
		`,"disabled":false,"created_at":"2026-03-01T12:00:00Z","version":1}`
	check("Key", key, true)
	check("Key", strings.Replace(key, `"version":1`, `"version":1,"secret":"x"`, 1), false)
	check("Key", strings.Replace(key, `,"version":1`, ``, 1), false)
	check("Key", strings.Replace(key, `"models":[]`, `"models":null`, 1), false)
	check("Key", strings.Replace(key, `"active"`, `"asleep"`, 1), false)
	check("NewKey", `{"tenant":"acme","name":"ci"}`, true)
	check("NewKey", `{"tenant":"acme"}`, false)
	check("NewKey", `{"tenant":"acme","name":"ci","burst":1.5}`, false)
	check("KeyPatch", `{"name":null}`, false)
	check("Error", `{"error":{"message":"m","type":"server_error","param":null,"code":"internal_error"}}`, true)
	check("Error", `{"error":{"message":"m","type":"server_error","code":"internal_error"}}`, false)
}

// A method or a path that the document does not have is refused with an error of its form.
func TestOutsideTheDocument(t *testing.T) {
	h := newHouse(t)
	if w := h.send(http.MethodPut, "/admin/v1/keys", `{}`); w.Code != 405 {
		t.Errorf("%d", w.Code)
	}
	if w := h.send(http.MethodGet, "/admin/v2/keys", ``); w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
}
