package admin

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/telemetry"
	"tollgate/usage"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUsage(t *testing.T) {
	h := newHouse(t)
	h.want(h.send("GET", "/admin/v1/usage", ""), 200, `{"rows":[]}`)
	h.ledger.rows = []usage.Row{{
		Day: "2026-03-01", Tenant: "acme", Model: "gemini-flash", Requests: 3, PromptTokens: 10, CachedTokens: 1, CompletionTokens: 20, ReasoningTokens: 2,
		Charge: 567_000, Cost: 1_250_000_000, EstimatedRequests: 1,
	}}
	h.want(h.send("GET", "/admin/v1/usage?from=2026-03-01&to=2026-03-31&by=tenant,model,day&tenant=acme&key=key_1", ""), 200,
		`{"rows":[{"day":"2026-03-01","tenant":"acme","model":"gemini-flash","requests":3,"prompt_tokens":10,"cached_tokens":1,`+
			`"completion_tokens":20,"reasoning_tokens":2,"charge_usd":"0.000567","cost_usd":"1.25","estimated_requests":1}]}`)
	want := usage.Query{
		From:   time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		To:     time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), // the last day counts whole
		By:     []usage.Dimension{usage.ByTenant, usage.ByModel, usage.ByDay},
		Tenant: "acme", KeyID: "key_1",
	}
	if diff := cmp.Diff(want, h.ledger.asked); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	h.send("GET", "/admin/v1/usage?from=2026-03-01T12:00:00Z&to=2026-03-02T00:00:00%2B01:00", "")
	if to := h.ledger.asked.To.UTC(); to != time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC) {
		t.Errorf("a moment is not the day: %s", to)
	}

	f := func(query, message, param string) {
		t.Helper()
		h.want(h.send("GET", "/admin/v1/usage?"+query, ""), 400, refused(message, param, "invalid_value"))
	}
	f("tenants=acme", `unknown parameter \"tenants\"; known here: from, to, by, tenant, key`, "tenants")
	f("tenant=a&tenant=b", "tenant: must be given once", "tenant")
	f("by=week", `bad usage query: cannot group by \"week\"; tenant, key, model, provider and day exist`, "by")
	f("from=yesterday", `from: must be a UTC day such as \"2026-01-31\" or a moment such as \"2026-01-31T12:00:00Z\", got \"yesterday\"`, "from")
	f("from=2026-03-02&to=2026-03-01", "to: must be after from", "to")
	f("from=%zz", "the query string is not well-formed", "null")
	h.ledger.err = fmt.Errorf("%w: more than 100000 rows", usage.ErrBadQuery)
	f("", "bad usage query: more than 100000 rows", "null")
}

func TestRequest(t *testing.T) {
	h := newHouse(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h.ledger.records = map[string][]usage.Record{"0195-a": {{
		RequestID: "0195-a", Kind: usage.KindSettle, Tenant: "acme", KeyID: "key_1", Model: "m", Provider: "starmagic", Endpoint: "e", UpstreamModel: "u",
		Stream: true, EndReason: usage.EndCompleted, Source: usage.SourceUpstream, Tokens: usage.Tokens{Prompt: 1, Completion: 2},
		Charge: 567, Cost: 89, AcceptedAt: at, EndedAt: at, Trail: `{"attempts":[{"provider":"starmagic"}]}`,
	}}}
	h.want(h.send("GET", "/admin/v1/requests/0195-a", ""), 200,
		`{"records":[{"request_id":"0195-a","kind":"settle","attempt":0,"tenant":"acme","key_id":"key_1","model":"m","provider":"starmagic","endpoint":"e",`+
			`"upstream_model":"u","stream":true,"end_reason":"completed","source":"upstream","prompt_tokens":1,"cached_tokens":0,"completion_tokens":2,`+
			`"reasoning_tokens":0,"image_tokens":0,"audio_tokens":0,"charge_nanousd":567,"cost_nanousd":89,"charge_price":"","cost_price":"",`+
			`"accepted_at":"2026-03-01T12:00:00Z","ended_at":"2026-03-01T12:00:00Z","trail":{"attempts":[{"provider":"starmagic"}]}}]}`)
	h.want(h.send("GET", "/admin/v1/requests/0195-b", ""), 404,
		refused("no usage record has this request id: it is the x-request-id of an answer, and a request that was refused here has none: "+
			"tollgate explain (POST /admin/v1/explain) says what would become of one, and why", "id", "request_not_found"))
}

// TestUsageThatIsBehind: an answer that may lack something says so.
func TestUsageThatIsBehind(t *testing.T) {
	h := newHouse(t)
	h.ledger.records = map[string][]usage.Record{"0195-a": {{RequestID: "0195-a", Kind: usage.KindSettle}}}
	f := func(behind uint64, rows, records, message string) {
		t.Helper()
		h.ledger.behind = behind
		h.want(h.send("GET", "/admin/v1/usage", ""), 200, rows)
		if got := h.send("GET", "/admin/v1/requests/0195-a", ""); got.Code != 200 || !strings.HasSuffix(strings.TrimSpace(got.Body.String()), records) {
			t.Errorf("%d behind: %d %s", behind, got.Code, got.Body)
		}
		h.want(h.send("GET", "/admin/v1/requests/0195-b", ""), 404, refused(message, "id", "request_not_found"))
	}
	const hint = " in the journal and not in the ledger yet: try again when the ledger takes them, or look there: tollgate journal inspect --request ID"
	f(1, `{"rows":[],"behind":1}`, `],"behind":1}`, "no usage record in the ledger has this request id, but 1 record is"+hint)
	f(70, `{"rows":[],"behind":70}`, `],"behind":70}`, "no usage record in the ledger has this request id, but 70 records are"+hint)
	f(0, `{"rows":[]}`, `}]}`, "no usage record has this request id: it is the x-request-id of an answer, and a request that was refused here has none: "+
		"tollgate explain (POST /admin/v1/explain) says what would become of one, and why")
}

func TestUpstreams(t *testing.T) {
	h := newHouse(t)
	h.want(h.send("GET", "/admin/v1/upstreams", ""), 200, `{"endpoints":[`+
		`{"provider":"evolink","url":"https://api.evolink.ai/v1","credential":"none","model":"gemini-3-pro-preview","state":"off","pending":0},`+
		`{"provider":"starmagic","url":"https://api.starmagic.ai/v1","credential":"#1 ...wxyz","model":"gemini-2.5-flash-lite","state":"open",`+
		`"why":"5 failures in a row","pending":2,"first_event_ms":250,"answer_ms":2,"last_error":"server_error","last_error_at":"2026-03-01T12:00:00.123Z",`+
		`"probe_in_ms":1500}]}`)
}

func TestHealth(t *testing.T) {
	h := newHouse(t)
	h.server.options.Keys, h.server.options.Usage, h.server.options.Upstreams = nil, nil, nil // whoever asks them, fails
	h.want(h.send("GET", "/healthz", "", "Authorization: "), 200, `{"status":"ok"}`)
	h.want(h.send("GET", "/readyz", "", "Authorization: "), 200, `{"status":"ready"}`)
	h.unready.Store(&Unready{Status: "journal", Reason: "the journal is full"})
	h.want(h.send("GET", "/healthz", "", "Authorization: "), 200, `{"status":"ok"}`)
	h.want(h.send("GET", "/readyz", "", "Authorization: "), 503, `{"status":"journal","reason":"the journal is full"}`)
	h.unready.Store(&Unready{})
	h.want(h.send("GET", "/readyz", "", "Authorization: "), 200, `{"status":"ready"}`)
	h.unready.Store(&Unready{Status: "draining"})
	h.want(h.send("GET", "/healthz", "", "Authorization: "), 200, `{"status":"ok"}`)
	h.want(h.send("GET", "/readyz", "", "Authorization: "), 503, `{"status":"draining"}`)
	h.want(h.send("HEAD", "/readyz", "", "Authorization: "), 503, `{"status":"draining"}`) // net/http sends the head alone
}

func TestFailuresAreLoggedAndNotShown(t *testing.T) {
	h := newHouse(t)
	h.ledger.err = errors.New("disk-canary is gone")
	w := h.send("GET", "/admin/v1/usage", "")
	h.want(w, 500, `{"error":{"message":"this failed inside the gateway: the log says why","type":"server_error","param":null,"code":"internal_error"}}`)
	h.ledger.err = fmt.Errorf("wrapped: %w", keys.ErrUnavailable)
	w = h.send("GET", "/admin/v1/requests/x", "")
	h.want(w, 503, `{"error":{"message":"the key store cannot do this at the moment: the log says why","type":"server_error","param":null,"code":"key_store_unavailable"}}`)
	if got := w.Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
	h.ledger.err = errors.New("no record of tg_0123456789canary0123456789")
	h.send("GET", "/admin/v1/requests/x", "")
	if strings.Contains(h.log.String(), "canary012") {
		t.Errorf("the log shows what looks like a secret:\n%s", h.log)
	}
	h.server.options.Upstreams = nil
	h.want(h.send("GET", "/admin/v1/upstreams", ""), 500,
		`{"error":{"message":"this failed inside the gateway: the log says why","type":"server_error","param":null,"code":"internal_error"}}`)
	for _, line := range []string{
		`msg="admin request failed" method=GET route=/admin/v1/usage error="disk-canary is gone"`,
		`route=/admin/v1/requests/{id} error="wrapped: key store unavailable"`,
		`msg="admin request panicked"`,
	} {
		if !strings.Contains(h.log.String(), line) {
			t.Errorf("the log does not hold %s:\n%s", line, h.log)
		}
	}
}

// The log names whoever changed something, not whoever asked for it again.
func TestLogOfChanges(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	h.log.Reset()
	for _, by := range []telemetry.Secret{testToken, aliceToken} {
		ask := func(method, path, body string) {
			t.Helper()
			if w := h.send(method, "/admin/v1"+path, body, "Authorization: Bearer "+by.Reveal()); w.Code > 201 {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
		ask("POST", "/keys", `{"tenant":"acme","name":"old","secret_sha256":"`+hashOf(foreign)+`"}`)
		ask("PATCH", "/keys/"+id, `{"concurrent":3}`)
		ask("POST", "/keys/"+id+"/rotate", `{"secret_sha256":"`+hashOf(foreign+"2")+`"}`)
		ask("PUT", "/tenants/acme", `{"concurrent":3}`)
	}
	for _, by := range []telemetry.Secret{testToken, aliceToken} {
		h.send("DELETE", "/admin/v1/tenants/acme", "", "Authorization: Bearer "+by.Reveal())
		h.send("POST", "/admin/v1/keys/"+id+"/revoke", "", "Authorization: Bearer "+by.Reveal())
	}
	for _, by := range []telemetry.Secret{testToken, aliceToken} {
		h.send("DELETE", "/admin/v1/keys/"+id, "", "Authorization: Bearer "+by.Reveal())
	}
	got := regexp.MustCompile(`time=\S+ `).ReplaceAllString(h.log.String(), "")
	got = regexp.MustCompile(`key_[0-9A-Za-z]{12}`).ReplaceAllString(got, "ID")
	const want = `level=INFO msg="key imported" operator=admin key_id=ID tenant=acme
level=INFO msg="key changed" operator=admin key_id=ID tenant=acme
level=INFO msg="key rotated" operator=admin key_id=ID tenant=acme
level=INFO msg="tenant limits set" operator=admin tenant=acme
level=INFO msg="tenant limits deleted" operator=admin tenant=acme
level=INFO msg="key revoked" operator=admin key_id=ID tenant=acme
level=INFO msg="key deleted" operator=admin key_id=ID tenant=acme
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is changed can be read in the log; secrets and tokens cannot.
func TestLogHoldsNoSecret(t *testing.T) {
	h := newHouse(t)
	w := h.send("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci"}`)
	secret := regexp.MustCompile(`tg_\w+`).FindString(w.Body.String())
	id := regexp.MustCompile(`key_\w+`).FindString(w.Body.String())
	h.send("POST", "/admin/v1/keys/"+id+"/revoke", "")
	h.send("GET", "/admin/v1/keys/"+secret, "")
	h.send("GET", "/admin/v1/keys/"+secret, "", "Authorization: Bearer wrong")
	h.send("POST", "/admin/v1/keys", `{"tenant":"`+secret+`"`)
	h.ledger.err = errors.New("failed")
	h.send("GET", "/admin/v1/requests/"+secret, "")
	h.send("GET", "/admin/v1/usage?key="+secret, "")
	for _, line := range []string{`msg="key created" operator=admin key_id=` + id + ` tenant=acme`, `msg="key revoked" operator=admin key_id=` + id} {
		if !strings.Contains(h.log.String(), line) {
			t.Errorf("the log does not hold %s:\n%s", line, h.log)
		}
	}
	for _, canary := range []string{secret, secret[3:35], testToken.Reveal()} {
		if strings.Contains(h.log.String(), canary) {
			t.Errorf("the log shows a secret:\n%s", h.log)
		}
	}
	for _, target := range []string{"/admin/v1/keys", "/admin/v1/keys/" + id, "/admin/v1/keys/" + secret} {
		if body := h.send("GET", target, "").Body.String(); strings.Contains(body, secret) {
			t.Errorf("GET shows a secret: %s", body)
		}
	}
}
