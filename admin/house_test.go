package admin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/proxy"
	"tollgate/store"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"golang.org/x/time/rate"
)

const (
	testToken  telemetry.Secret = "admin-token-canary-0123456789"
	aliceToken telemetry.Secret = "alice-token-canary-0123456789"
)

// house is a Server over a real key store, a ledger that remembers what it was asked, and fixed upstreams.
type house struct {
	*testing.T
	server    *Server
	keys      *keys.Directory
	ledger    *fakeLedger
	limits    *fakeLimits
	explainer *fakeExplainer
	unready   atomic.Pointer[Unready]
	log       *bytes.Buffer
	contract  contract
	sent      atomic.Uint32

	mu      sync.Mutex
	handler http.Handler // of handled: it takes a while to build
	handled *Server
}

// serves is the handler of the present server.
func (h *house) serves() http.Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handled != h.server {
		h.handler, h.handled = h.server.Handler(), h.server
	}
	return h.handler
}

func newHouse(t *testing.T) *house {
	t.Helper()
	db, err := store.OpenBolt(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	keyStore, err := keys.NewBoltStore(db)
	if err != nil {
		t.Fatal(err)
	}
	known, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, contract: known, keys: keys.New(keyStore, keys.Config{}), ledger: &fakeLedger{}, limits: &fakeLimits{}, explainer: &fakeExplainer{answer: proxy.Explanation{Stages: []proxy.Stage{}}}, log: &bytes.Buffer{}}
	h.unready.Store(&Unready{})
	h.server = New(Options{
		Keys: h.keys, Usage: h.ledger, Limits: h.limits, Upstreams: fakeUpstreams{}, Explainer: h.explainer,
		Tokens:  []NamedToken{{"alice", aliceToken}, {OwnName, testToken}},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(scraped)) }),
		Unready: func() Unready { return *h.unready.Load() }, Log: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	for i := range h.server.operators {
		h.server.operators[i].pace = rate.NewLimiter(rate.Inf, 0) // most tests ask as fast as they can
	}
	return h
}

// scraped is what the house's metrics say.
const scraped = "tollgate_requests_total 7\n"

type fakeLedger struct {
	asked   usage.Query
	rows    []usage.Row
	records map[string][]usage.Record
	behind  uint64
	err     error
}

func (l *fakeLedger) Behind() uint64 { return l.behind }

func (l *fakeLedger) Sum(_ context.Context, q usage.Query) ([]usage.Row, error) {
	l.asked = q
	return l.rows, l.err
}

func (l *fakeLedger) ByRequest(_ context.Context, id string) ([]usage.Record, error) {
	return l.records[id], l.err
}

type fakeUpstreams struct{}

func (fakeUpstreams) Endpoints() []upstream.EndpointState {
	return []upstream.EndpointState{
		{Provider: "evolink", URL: "https://api.evolink.ai/v1", Credential: "none", Model: "gemini-3-pro-preview", State: upstream.StateOff},
		{
			Provider: "starmagic", URL: "https://api.starmagic.ai/v1", Credential: "#1 ...wxyz", Model: "gemini-2.5-flash-lite",
			State: upstream.StateOpen, Why: "5 failures in a row", Pending: 2, FirstEvent: 250 * time.Millisecond, Answer: 1200 * time.Microsecond,
			LastError:   "server_error",
			LastErrorAt: time.Date(2026, 3, 1, 13, 0, 0, 123_456_789, time.FixedZone("CET", 3600)),
			ProbeIn:     1500 * time.Millisecond,
		},
	}
}

// send calls the handler with the token, unless headers say otherwise, from another address each time.
// What it sees is held to the document.
func (h *house) send(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	h.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testToken.Reveal())
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if r.Header.Del(name); value != "" {
			r.Header.Set(name, value)
		}
	}
	n := h.sent.Add(1)
	r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1234", byte(n>>16), byte(n>>8), byte(n))
	w := httptest.NewRecorder()
	h.serves().ServeHTTP(w, r)
	h.contract.check(h.T, r, body, w)
	return w
}

// blurred is what is new each time, and the name that it has in literal texts.
var blurred = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`tg_[0-9A-Za-z]{38}`), "SECRET"},
	{regexp.MustCompile(`key_[0-9A-Za-z]{12}`), "ID"},
	{regexp.MustCompile(`"last4":"[0-9A-Za-z]{4}"`), `"last4":"LAST"`},
	{regexp.MustCompile(`"field":"last4","from":"","to":"[0-9A-Za-z]{4}"`), `"field":"last4","from":"","to":"LAST"`},
	{regexp.MustCompile(`"(created_at|updated_at|rotated_at|revoked_at|at|from|to)":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z"`), `"$1":"NOW"`},
	{regexp.MustCompile(`"(expires_at|previous_until)":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z"`), `"$1":"SOON"`},
	{regexp.MustCompile(`"(version|next)":\d+`), `"$1":0`},
}

// want compares an answer with its literal text, in which what is new each time has a name.
func (h *house) want(w *httptest.ResponseRecorder, status int, body string) {
	h.Helper()
	got := w.Body.String()
	for _, blur := range blurred {
		got = blur.pattern.ReplaceAllString(got, blur.by)
	}
	if w.Code != status || got != body+"\n" {
		h.Errorf("got  %d %swant %d %s", w.Code, got, status, body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		h.Errorf("Content-Type %q", ct)
	}
	if cc := w.Header().Get("Cache-Control"); cc != "no-store" {
		h.Errorf("Cache-Control %q", cc)
	}
}

// refused is the literal text of an error.
func refused(message, param, code string) string {
	if param != "null" {
		param = `"` + param + `"`
	}
	return `{"error":{"message":"` + message + `","type":"invalid_request_error","param":` + param + `,"code":"` + code + `"}}`
}
