package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"tollgate/keys"
	"tollgate/proxy"
	"tollgate/usage"

	"github.com/google/go-cmp/cmp"
)

// fakeExplainer remembers what it was asked, and gives a fixed answer.
type fakeExplainer struct {
	key    *keys.Key
	body   []byte
	answer proxy.Explanation
	enter  func()
}

func (e *fakeExplainer) Explain(_ context.Context, key *keys.Key, body []byte) proxy.Explanation {
	if e.enter != nil {
		e.enter()
		return e.answer
	}
	e.key, e.body = key, body
	return e.answer
}

// tenantKey issues a key and returns its id.
func (h *house) tenantKey() string {
	h.Helper()
	w := h.send("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci","expires":"1h"}`)
	return regexp.MustCompile(`key_\w+`).FindString(w.Body.String())
}

// explained is an answer with all that one may hold.
func explained() proxy.Explanation {
	most := usage.NanoUSD(420_000)
	return proxy.Explanation{
		Sent:    true,
		Stages:  []proxy.Stage{{Name: "authenticate", Result: "passed", Detail: "key_1 of acme"}, {Name: "attempt", Result: "not_reached"}},
		Request: &proxy.RequestSummary{Model: "gemini-flash", Stream: true, Bytes: 99, PromptTokens: 12, MaxCompletionTokens: 50, ReservedTokens: 62, Needs: []string{"tools"}},
		Limits:  []proxy.LimitLeft{{Name: "requests", Limit: 60, Remaining: 59, ResetMS: 1000, Refuses: true, Shadow: true}},
		Candidates: []proxy.CandidateOutlook{
			{
				Provider: "starmagic", URL: "https://api.starmagic.ai/v1", Credential: "#1 ...wxyz", Model: "gemini-2.5-flash-lite", Tier: 1, Weight: 3,
				State: "ready", Share: 0.75, Dropped: []string{"user"}, Adapted: []string{"max_completion_tokens as max_tokens"},
				Cost: &proxy.CostRange{Least: 9_000, Most: &most, Price: "starmagic/gemini-2.5-flash-lite@2026-01-01"},
			},
			{Provider: "theturbo", Model: "turbo", State: "ready", Excluded: &proxy.Exclusion{Param: "seed", Why: `does not take "seed"`}},
		},
		Charge: &proxy.CostRange{Least: 12_000, Price: "gemini-flash@2026-01-01"},
	}
}

func TestExplain(t *testing.T) {
	h := newHouse(t)
	id := h.tenantKey()
	h.explainer.answer = explained()
	h.want(h.send("POST", "/admin/v1/explain?key="+id, `{"model":"gemini-flash"}`), 200,
		`{"sent":true,"stages":[{"name":"authenticate","result":"passed","detail":"key_1 of acme"},{"name":"attempt","result":"not_reached"}],`+
			`"request":{"model":"gemini-flash","stream":true,"bytes":99,"prompt_tokens":12,"max_completion_tokens":50,"reserved_tokens":62,"needs":["tools"]},`+
			`"limits":[{"name":"requests","limit":60,"remaining":59,"reset_ms":1000,"refuses":true,"shadow":true}],`+
			`"candidates":[{"provider":"starmagic","url":"https://api.starmagic.ai/v1","credential":"#1 ...wxyz","model":"gemini-2.5-flash-lite",`+
			`"tier":1,"weight":3,"state":"ready","share":0.75,"dropped":["user"],"adapted":["max_completion_tokens as max_tokens"],`+
			`"cost":{"least_nanousd":9000,"most_nanousd":420000,"price":"starmagic/gemini-2.5-flash-lite@2026-01-01"}},`+
			`{"provider":"theturbo","url":"","credential":"","model":"turbo","tier":0,"weight":0,"state":"ready",`+
			`"excluded":{"param":"seed","why":"does not take \"seed\""},"share":0}],`+
			`"charge":{"least_nanousd":12000,"price":"gemini-flash@2026-01-01"}}`)
	h.explainer.answer = proxy.Explanation{
		Refusal: &proxy.Refusal{Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded", Param: "p", Message: "wait", RetryAfterMS: 7000},
		Stages:  []proxy.Stage{},
	}
	h.want(h.send("POST", "/admin/v1/explain?key="+id, `{}`), 200, `{"sent":false,"refusal":{"status":429,"type":"rate_limit_error",`+
		`"code":"rate_limit_exceeded","param":"p","message":"wait","retry_after_ms":7000},"stages":[]}`)
}

// The body and the key are handed on whatever they are: what is wrong with them is the answer.
func TestExplainTakesEverything(t *testing.T) {
	h := newHouse(t)
	id := h.tenantKey()
	f := func(body string, state keys.State, headers ...string) {
		t.Helper()
		h.explainer.key, h.explainer.body = nil, nil
		w := h.send("POST", "/admin/v1/explain?key="+id, body, headers...)
		h.want(w, 200, `{"sent":false,"stages":[]}`)
		if got := h.explainer; got.key == nil || got.key.ID != id || got.key.State(time.Now()) != state || string(got.body) != body {
			t.Errorf("it was asked about %+v and %q, want %s and %q", got.key, got.body, state, body)
		}
	}
	f(`{"model":"gemini-flash"}`, keys.StateActive, "Content-Type: text/plain")
	f("", keys.StateActive)
	f("{\"model\":\n", keys.StateActive, "Content-Type: multipart/form-data")
	f("\x00\xff", keys.StateActive)
	h.send("POST", "/admin/v1/keys/"+id+"/revoke", "")
	f(`{}`, keys.StateRevoked)
}

func TestExplainRefuses(t *testing.T) {
	h := newHouse(t)
	id := h.tenantKey()
	f := func(query string, status int, want string) {
		t.Helper()
		h.want(h.send("POST", "/admin/v1/explain"+query, `{}`), status, want)
		if h.explainer.key != nil {
			t.Fatalf("%s was explained all the same", query)
		}
	}
	const noKey = "key: must be the id of the key that the request would come with, such as key_Xy12Zab34Cde: GET /admin/v1/keys lists them"
	f("", 400, refused(strings.ReplaceAll(noKey, "key_Xy12Zab34Cde", "ID"), "key", "invalid_value"))
	f("?key=", 400, refused(strings.ReplaceAll(noKey, "key_Xy12Zab34Cde", "ID"), "key", "invalid_value"))
	f("?key=key_000000000000", 404, refused("no key has this id: GET /admin/v1/keys lists them", "key", "key_not_found"))
	f("?key="+id+"&key="+id, 400, refused("key: must be given once", "key", "invalid_value"))
	f("?key="+id+"&tenant=acme", 400, refused(`unknown parameter \"tenant\"; known here: key`, "tenant", "invalid_value"))
	f("?key=%zz", 400, refused("the query string is not well-formed", "null", "invalid_value"))

	r := httptest.NewRequest("POST", "/admin/v1/explain?key="+id, io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	r.Header.Set("Authorization", "Bearer "+testToken.Reveal())
	w := httptest.NewRecorder()
	h.server.Handler().ServeHTTP(w, r)
	h.want(w, 400, refused("the request body did not arrive whole: send it again", "null", "unreadable_body"))
	// None of these has kept a place.
	h.want(h.send("POST", "/admin/v1/explain?key="+id, "{}"), 200, `{"sent":false,"stages":[]}`)
	if len(h.server.explaining.taken) != 0 {
		t.Errorf("%d places are still taken", len(h.server.explaining.taken))
	}

	h.server.options.Explainer = nil
	r = httptest.NewRequest("POST", "/admin/v1/explain?key="+id, strings.NewReader(`{}`)) // against the document, which has it
	r.Header.Set("Authorization", "Bearer "+testToken.Reveal())
	w = httptest.NewRecorder()
	h.server.Handler().ServeHTTP(w, r)
	h.want(w, 404, unknown)
}

// What is explained may be as long as what clients may send, and nothing else is.
func TestExplainBodyBound(t *testing.T) {
	h := newHouse(t)
	id := h.tenantKey()
	send := func(body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/admin/v1/explain?key="+id, body)
		r.Header.Set("Authorization", "Bearer "+testToken.Reveal())
		w := httptest.NewRecorder()
		h.server.Handler().ServeHTTP(w, r)
		return w
	}
	f := func(size int, status int, want string) {
		t.Helper()
		body := strings.Repeat("a", size)
		declared := strings.NewReader(body)
		for _, sent := range []io.Reader{declared, io.MultiReader(strings.NewReader(body))} { // the second has no Content-Length
			h.explainer.body = nil
			if h.want(send(sent), status, want); status == 200 && len(h.explainer.body) != size {
				t.Errorf("%d of %d bytes were explained", len(h.explainer.body), size)
			}
		}
		if left := declared.Len(); status == 413 && left != size {
			t.Errorf("%d bytes of a body whose length says enough were read", size-left)
		}
	}
	const explained = `{"sent":false,"stages":[]}`
	f(20<<20, 200, explained)
	f(20<<20+1, 413, refused("the request body must be at most 20MiB: server.max_request_body holds for clients, too", "null", "request_too_large"))
	h.server = New(Options{Keys: h.keys, Explainer: h.explainer, Tokens: []NamedToken{{OwnName, testToken}}, MaxRequestBody: 100_000})
	f(100_000, 200, explained)
	f(100_001, 413, refused("the request body must be at most 100000: server.max_request_body holds for clients, too", "null", "request_too_large"))
}

// Bodies are explained two at a time: the third waits, with its body unread, or leaves.
func TestExplainBoundsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.tenantKey()
		release := make(chan struct{})
		var inside atomic.Int32
		h.explainer.enter = func() { inside.Add(1); <-release; inside.Add(-1) }
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		ask := func(ctx context.Context, status int) {
			all.Go(func() {
				r := httptest.NewRequestWithContext(ctx, "POST", "/admin/v1/explain?key="+id, strings.NewReader("{}"))
				r.Header.Set("Authorization", "Bearer "+testToken.Reveal())
				w := httptest.NewRecorder()
				if h.server.Handler().ServeHTTP(w, r); w.Code != status {
					t.Errorf("got %d %s, want %d", w.Code, w.Body, status)
				}
			})
			synctest.Wait()
		}
		ask(t.Context(), 200)
		ask(t.Context(), 200)
		ask(ctx, 500)
		ask(t.Context(), 200)
		if n := inside.Load(); n != 2 {
			t.Errorf("%d bodies are explained at one time, want 2", n)
		}
		leave()
		close(release)
		all.Wait()
	})
}

func TestClientExplain(t *testing.T) {
	h := newHouse(t)
	c := NewClient(h.serve(), testToken)
	id := h.tenantKey()
	h.explainer.answer = explained()
	for _, body := range []string{`{"model":"gemini-flash"}`, "", "{\n", "\xff", strings.Repeat("a", 1<<20)} {
		got, err := c.Explain(t.Context(), id, []byte(body))
		if diff := cmp.Diff(explained(), got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if h.explainer.key.ID != id || string(h.explainer.body) != body {
			t.Errorf("the server was asked about %s and %d bytes, want %s and %d", h.explainer.key.ID, len(h.explainer.body), id, len(body))
		}
	}
	f := func(id string, size int, want Error) {
		t.Helper()
		_, err := c.Explain(t.Context(), id, make([]byte, size))
		got, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%T is no *Error: %v", err, err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	missing := Error{Status: 404, Param: "key", Code: "key_not_found", Message: "no key has this id: GET /admin/v1/keys lists them"}
	f("a&b=c/%2F", 2, missing)
	f("key_000000000000", 10<<20, missing)
	f(id, 20<<20+1, Error{Status: 413, Code: "request_too_large", Message: "the request body must be at most 20MiB: server.max_request_body holds for clients, too"})
}

// A long body stays here until the server wants it: else a refusal that comes while
// it is being sent can be lost with the connection.
func TestClientAsksBeforeItSendsALongBody(t *testing.T) {
	var read atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	server.Listener = countingListener{server.Listener, &read}
	server.Start()
	defer server.Close()
	_, err := NewClient(server.URL, testToken).Explain(t.Context(), "key_1", make([]byte, 1<<20))
	if refusal, ok := errors.AsType[*Error](err); !ok || refusal.Status != http.StatusTeapot {
		t.Errorf("got %v", err)
	}
	if n := read.Load(); n > 4<<10 {
		t.Errorf("the server was sent %d bytes that it had not asked for", n)
	}
}

// countingListener counts what its connections read.
type countingListener struct {
	net.Listener
	read *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countingConn{conn, l.read}, err
}

type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}
