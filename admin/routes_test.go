package admin

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// every lists the whole API: what is not in it does not exist.
func every() map[string]string {
	return map[string]string{
		"/healthz":                "GET",
		"/readyz":                 "GET",
		"/metrics":                "GET",
		"/admin/v1/keys":          "GET, POST",
		"/admin/v1/keys/key_x":    "DELETE, GET, PATCH",
		"/admin/v1/keys/x/rotate": "POST",
		"/admin/v1/keys/x/revoke": "POST",
		"/admin/v1/tenants":       "GET",
		"/admin/v1/tenants/x":     "DELETE, GET, PATCH, PUT",
		"/admin/v1/audit":         "GET",
		"/admin/v1/usage":         "GET",
		"/admin/v1/requests/xyz":  "GET",
		"/admin/v1/upstreams":     "GET",
		"/admin/v1/explain":       "POST",
		"/admin/v1/openapi.json":  "GET",
	}
}

func allMethods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "BREW"}
}

const (
	unauthorized = `{"error":{"message":"the admin token is missing or wrong: send \"Authorization: Bearer ...\", ` +
		`or set TOLLGATE_ADMIN_TOKEN for the command line; it is admin.token or one of admin.tokens in config.yaml, or else in data_dir/admin-token",` +
		`"type":"invalid_request_error","param":null,"code":"invalid_admin_token"}}`
	unknown = `{"error":{"message":"unknown path: GET /admin/v1/openapi.json describes the operators' API; beside it there are /healthz, /readyz and /metrics",` +
		`"type":"invalid_request_error","param":null,"code":"unknown_path"}}`
)

var noSuchKey = refused("no key has this id: GET /admin/v1/keys lists them", "id", "key_not_found")

func TestEveryRouteWantsTheToken(t *testing.T) {
	h := newHouse(t)
	token := testToken.Reveal()
	digest := sha256.Sum256([]byte(token))
	bad := []string{
		"", "Bearer", "Bearer ", "Bearer wrong", "Bearer " + token + " ", "Bearer  " + token, "Bearer " + token[:len(token)-1], "Bearer " + token + "x",
		"Bearer " + strings.ToUpper(token), "Basic " + token, token, "Bearer " + string(digest[:]), "Bearer [redacted]",
	}
	for path := range every() {
		if !strings.HasPrefix(path, "/admin/") {
			continue
		}
		for _, method := range allMethods() {
			for _, authorization := range bad {
				w := h.send(method, path, `{"tenant":"acme","name":"ci"}`, "Authorization: "+authorization)
				if h.want(w, 401, unauthorized); t.Failed() {
					t.Fatalf("%s %s with %q", method, path, authorization)
				}
				if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="tollgate admin"` {
					t.Fatalf("WWW-Authenticate %q", got)
				}
			}
		}
	}
	// What does not exist looks the same without the token.
	h.want(h.send("GET", "/admin/v1/secrets", "", "Authorization: "), 401, unauthorized)
	h.want(h.send("GET", "/admin/v1/keys", "", "Authorization: ", "X-Api-Key: "+token), 401, unauthorized)
	h.want(h.send("GET", "/admin/v1/keys?token="+token, "", "Authorization: "), 401, unauthorized)
	h.want(h.send("GET", "/admin/v1/keys", "", "Authorization: bearer "+token), 200, `{"keys":[]}`)

	r := httptest.NewRequest("GET", "/admin/v1/keys", nil)
	r.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token}
	w := httptest.NewRecorder()
	h.server.Handler().ServeHTTP(w, r)
	h.want(w, 401, unauthorized)
}

// A gateway without a token has no operators, least of all those who present nothing.
func TestEmptyTokenShutsEverybodyOut(t *testing.T) {
	h := newHouse(t)
	for _, tokens := range [][]NamedToken{nil, {{OwnName, ""}}} {
		h.server.operators = newOperators(tokens)
		for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer " + testToken.Reveal()} {
			h.want(h.send("GET", "/admin/v1/keys", "", "Authorization: "+authorization), 401, unauthorized)
		}
	}
}

func TestWrongMethods(t *testing.T) {
	h := newHouse(t)
	for path, allow := range every() {
		for _, method := range allMethods() {
			if strings.Contains(", "+allow+", ", ", "+method+", ") || method == http.MethodHead {
				continue
			}
			w := h.send(method, path, "")
			h.want(w, 405, refused("this path takes "+allow+" only", "null", "method_not_allowed"))
			if got := w.Header().Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, path, got, allow)
			}
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	h := newHouse(t)
	for _, target := range []string{
		"/", "/admin", "/admin/", "/admin/v1", "/admin/v1/", "/admin/v1/key", "/admin/v1/keys/", "/admin/v1/keys/a/b", "/admin/v1/usage/", "/admin/v1/requests", "/admin/v1/requests/",
		"//admin/v1/keys", "/admin//v1/keys", "/x/../admin/v1/keys", "/admin/v1/%2e%2e/v1/keys", "/./healthz", "/healthz/", "/healthz/x", "/HEALTHZ", "/admin/v1/KEYS",
		"/admin%2fv1/keys", "/v1/chat/completions", "/v1/models", "/metrics/x", "/debug/pprof/", "/favicon.ico", "/admin/v1/keys;x", "/admin/v1/keys%00",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "CONNECT"} {
			w := h.send(method, target, "")
			h.want(w, 404, unknown)
			if w.Header().Get("Location") != "" {
				t.Errorf("%s %s is redirected", method, target)
			}
		}
	}
	for _, id := range []string{"key_000000000000", "a%2Fb", "%00", "key_%20"} {
		h.want(h.send("GET", "/admin/v1/keys/"+id, ""), 404, noSuchKey)
		h.want(h.send("DELETE", "/admin/v1/keys/"+id, ""), 404, noSuchKey)
	}
}

// Scrapers bring no token, and get what the metrics handler gives, as it is.
func TestMetrics(t *testing.T) {
	h := newHouse(t)
	if w := h.send("GET", "/metrics", ""); w.Code != 200 || w.Body.String() != scraped {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	h.server.options.Metrics = nil
	w := httptest.NewRecorder()
	h.server.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 404 {
		t.Errorf("without metrics: %d", w.Code)
	}
}
