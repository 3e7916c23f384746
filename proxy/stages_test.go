package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"
)

func answering(body string) legFunc {
	return func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(200, body), nil
	}
}

// TestRewriting shows what each contract's provider is sent of one request.
func TestRewriting(t *testing.T) {
	var sent string
	r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
		sent = string(q.Body)
		if q.Stream {
			return streamAnswer(strings.NewReader(someStream)), nil
		}
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{memory: true, upstream: func(c *upstream.Config) {
		c.Models["renamed"] = upstream.ModelConfig{Targets: []upstream.TargetConfig{{Provider: "other", Model: "real/name"}}}
	}})
	f := func(request, wantSent, wantDropped string) {
		t.Helper()
		sent = ""
		got := r.ask(request)
		if got.status != 200 || sent != wantSent || got.header.Get("X-Tollgate-Dropped") != wantDropped {
			t.Errorf("%d %s\nsent    %s\nwant    %s\ndropped %q, want %q", got.status, got.body, sent, wantSent, got.header.Get("X-Tollgate-Dropped"), wantDropped)
		}
	}
	const messages = `"messages":[{"role":"user","content":"x"}]`
	// A contract that takes everything gets every byte but the model's name.
	f(`{ "user":"u1", "model" : "renamed","metadata":{"a":[1]}, `+messages+` , "n":1}`,
		`{ "user":"u1", "model" : "real/name","metadata":{"a":[1]}, `+messages+` , "n":1}`, "")
	// What no contract knows is dropped and named; what is at its default is only dropped.
	f(`{"model":"gemini-3-pro-preview","user":"u1","metadata":{"a":1},`+messages+`,"n":1,"stop":null,"tools":[],"response_format":{"type": "text"}}`,
		`{"model":"gemini-3-pro-preview",`+messages+`}`, "user, metadata")
	// A null asks for nothing, and no page documents one.
	f(`{"model":"gemini-2.5-flash-lite","temperature":null,`+messages+`,"tools":[],"stop":"","n":1}`,
		`{"model":"gemini-2.5-flash-lite",`+messages+`,"n":1}`, "")
	f(`{"model":"gemini-3-pro-preview","x\r\ninjected":1,`+messages+`}`,
		`{"model":"gemini-3-pro-preview",`+messages+`}`, "(unprintable)")
	// A stream's usage: asked for where it is documented, left out elsewhere.
	f(`{"model":"gemini-2.5-flash-lite","stream":true,"stream_options":{"include_usage":false},`+messages+`}`,
		`{"model":"gemini-2.5-flash-lite","stream":true,"stream_options":{"include_usage":true},`+messages+`}`, "")
	f(`{"model":"gemini-2.5-flash-lite","stream":true,"stream_options":{"include_usage": true},`+messages+`}`,
		`{"model":"gemini-2.5-flash-lite","stream":true,"stream_options":{"include_usage": true},`+messages+`}`, "")
	f(`{"model":"gemini-2.0-flash","stream":true,"stream_options":{"include_usage":true},`+messages+`}`,
		`{"model":"gemini-2.0-flash","stream":true,`+messages+`}`, "")
	// stream_options without stream is documented nowhere.
	f(`{"model":"gemini-2.5-flash-lite","stream_options":{"include_usage":true},`+messages+`}`,
		`{"model":"gemini-2.5-flash-lite",`+messages+`}`, "")
}

// TestNeedsChooseTheProvider sends each need through the alias: the first tier
// that documents it is asked.
func TestNeedsChooseTheProvider(t *testing.T) {
	var asked string
	r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
		asked = q.Candidate.Provider.Name
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{memory: true})
	f := func(members, want string) {
		t.Helper()
		asked = ""
		got := r.ask(`{"model":"gemini-flash",` + members + `}`)
		if asked != want {
			t.Errorf("%s: asked %q, want %q: %d %s", members, asked, want, got.status, got.body)
		}
		if want == "" {
			if _, code, param, _ := errorOf(t, got); got.status != 400 || code != "unsupported_parameter" || param == "" {
				t.Errorf("%s: got %d %s", members, got.status, got.body)
			}
		}
	}
	const text = `"messages":[{"role":"user","content":"x"}]`
	image := func(url string) string {
		return `"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"` + url + `"}}]}]`
	}
	f(text, "starmagic")
	f(text+`,"seed":7`, "starmagic")
	f(text+`,"top_k":40`, "evolink")
	f(text+`,"top_k":null`, "starmagic")
	f(text+`,"n":2`, "starmagic")
	f(image("data:image/png;base64,AAAA"), "starmagic")
	f(image("data:audio/wav;base64,AAAA"), "theturbo")
	f(image("data:audio/wav;base64,AAAA")+`,"seed":7`, "")
	f(text+`,"top_k":40,"seed":7`, "")
}

// TestWhoMayAsk walks the refusals that come before a provider is asked; none
// of them leaves a record, and those of a known key show its limit.
func TestWhoMayAsk(t *testing.T) {
	asked := 0
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		asked++
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{perMinute: 60, spec: keys.Spec{Models: []string{"gemini-2.*", "any"}}})
	f := func(name string, secret telemetry.Secret, model string, status int, want string) {
		t.Helper()
		own := r.secret
		r.secret = secret
		got := r.ask(`{"model":"` + model + `","messages":[{"role":"user","content":"x"}]}`)
		r.secret = own
		if got.status != status || got.body != want {
			t.Errorf("%s: got %d %s\nwant %d %s", name, got.status, got.body, status, want)
		}
		if known := status != 401; known != (got.header.Get("X-Ratelimit-Limit-Requests") == "60") {
			t.Errorf("%s: headers %v", name, got.header)
		}
	}
	const (
		badKey  = `{"error":{"message":"the API key is not valid: check it, or ask for a new one","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`
		noModel = `{"error":{"message":"the model does not exist or this key may not use it","type":"invalid_request_error","param":"model","code":"model_not_found"}}`
	)
	gone, goneSecret := r.issue(keys.Spec{})
	_, err := r.keys.By("test").Revoke(t.Context(), gone.ID, keys.Soon)
	must(t, err)
	f("a key of another kind", "sk-1234", "any", 401, badKey)
	f("a mistyped key", r.secret[:len(r.secret)-1]+"!", "any", 401, badKey)
	f("a revoked key", goneSecret, "any", 401, badKey)
	f("a model that is not configured", r.secret, "gpt-9", 404, noModel)
	f("a model of others", r.secret, "gemini-flash", 404, noModel)
	if asked != 0 {
		t.Errorf("%d requests reached a provider", asked)
	}
	f("its own model", r.secret, "gemini-2.0-flash", 200, someAnswer)
	rows, err := r.books.Sum(t.Context(), usage.Query{})
	must(t, err)
	if len(rows) != 1 || rows[0].Requests != 1 {
		t.Errorf("recorded %+v, want the one request that was admitted", rows)
	}
	r.idle()
}

// TestRateLimit spends a bucket: the refusal is true to its Retry-After, leaves
// no record, and consumes nothing.
func TestRateLimit(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{spec: keys.Spec{Limits: keys.Limits{RequestsPerMinute: 3}}})
	began := time.Now()
	for left := 2; left >= 0; left-- {
		got := r.ask(plainAlias)
		if got.status != 200 || got.header.Get("X-Ratelimit-Remaining-Requests") != strconv.Itoa(left) {
			t.Fatalf("%d left: %d %v", left, got.status, got.header)
		}
	}
	for range 5 {
		got := r.ask(plainAlias)
		kind, code, _, _ := errorOf(t, got)
		if got.status != 429 || kind != "rate_limit_error" || code != "rate_limit_exceeded" {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
		must(t, err)
		millis, err := strconv.Atoi(got.header.Get("Retry-After-Ms"))
		must(t, err)
		reset, err := time.ParseDuration(got.header.Get("X-Ratelimit-Reset-Requests"))
		must(t, err)
		// One request comes back after 20 s, all three after 60, of which some may have gone by.
		since := time.Since(began)
		wait, rounded := time.Duration(millis)*time.Millisecond, time.Duration(seconds)*time.Second
		if wait > 20*time.Second || wait < 20*time.Second-since || rounded != (wait+time.Second-1).Truncate(time.Second) ||
			reset > time.Minute || reset < time.Minute-since-time.Millisecond {
			t.Errorf("%s after the first request: Retry-After %d s, %d ms, reset %s", since, seconds, millis, reset)
		}
	}
	rows, err := r.books.Sum(t.Context(), usage.Query{})
	must(t, err)
	if len(rows) != 1 || rows[0].Requests != 3 {
		t.Errorf("recorded %+v, want 3 requests", rows)
	}
}

// TestBounds fills each bound of the configuration: one request more is refused
// with a 503 before its body is read, and passes when there is room again.
func TestBounds(t *testing.T) {
	longAlias := plainAlias + strings.Repeat(" ", 2000)
	f := func(name string, limit func(*Config)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			entered, leave := make(chan struct{}), make(chan struct{})
			r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
				entered <- struct{}{}
				<-leave
				return plainAnswer(200, someAnswer), nil
			}), rigOptions{memory: true, server: limit})
			first := make(chan answer)
			go func() { first <- r.ask(longAlias) }()
			<-entered
			got := r.ask(longAlias)
			if _, code, _, _ := errorOf(t, got); got.status != 503 || code != "overloaded" || got.header.Get("Retry-After") != "1" {
				t.Errorf("got %d %s", got.status, got.body)
			}
			close(leave)
			if got := <-first; got.status != 200 {
				t.Errorf("the first request: %d %s", got.status, got.body)
			}
			go func() { <-entered }()
			if got := r.ask(longAlias); got.status != 200 {
				t.Errorf("with room again: %d %s", got.status, got.body)
			}
			r.idle()
		})
	}
	f("requests in flight", func(c *Config) { c.MaxInFlight = 1 })
	f("bodies in memory", func(c *Config) { c.MaxBodyMemory = Size(2*len(longAlias) + 1000) })
}

// TestAnswersInMemoryAreBounded answers with more than is left of the memory
// for bodies: the request is refused, and everything given back.
func TestAnswersInMemoryAreBounded(t *testing.T) {
	large := strings.Replace(someAnswer, `"hi"`, `"`+strings.Repeat("x", 100<<10)+`"`, 1)
	var r *rig
	var others int64 // bytes that answers which came meanwhile hold
	r = newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		r.gateway.bodyMemory.Add(others)
		a := plainAnswer(200, large)
		a.ContentLength = -1
		return a, nil
	}), rigOptions{memory: true, server: func(c *Config) { c.MaxAnswer, c.MaxBodyMemory = 110<<10, 112<<10 }})
	if got := r.ask(plainAlias); got.status != 200 {
		t.Errorf("with room for one answer: %d %.200s", got.status, got.body)
	}
	others = 50 << 10
	got := r.ask(plainAlias)
	r.gateway.bodyMemory.Add(-others)
	if _, code, _, _ := errorOf(t, got); got.status != 503 || code != "overloaded" {
		t.Errorf("got %d %.200s", got.status, got.body)
	}
	if record := r.record(got); record.Charge != 0 {
		t.Errorf("billed %+v", record)
	}
	r.idle()
}

// TestNobodyReadySpendsNothing asks a model whose every provider is off: the
// refusal consumes no request of the rate and leaves no record.
func TestNobodyReadySpendsNothing(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{perMinute: 60, upstream: func(c *upstream.Config) {
		off := c.Providers["other"]
		off.Endpoints = []upstream.EndpointConfig{{URL: "http://off.invalid/v1"}}
		c.Providers["other"] = off
	}})
	got := r.ask(`{"model":"any","messages":[{"role":"user","content":"x"}]}`)
	if _, code, _, _ := errorOf(t, got); got.status != 503 || code != "upstream_unavailable" || got.header.Get("X-Ratelimit-Remaining-Requests") != "60" {
		t.Errorf("got %d %s %v", got.status, got.body, got.header)
	}
	rows, err := r.books.Sum(t.Context(), usage.Query{})
	must(t, err)
	if rows[0].Requests != 0 {
		t.Errorf("recorded %+v, want nothing", rows)
	}
	r.idle()
}

// TestLedgerTrouble lets the ledger fail: no answer may look complete.
func TestLedgerTrouble(t *testing.T) {
	r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
		if q.Stream {
			return streamAnswer(strings.NewReader(someStream)), nil
		}
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{recorder: func(next Recorder) Recorder { return failingRecorder{next} }})
	got := r.ask(plainAlias)
	if _, code, _, _ := errorOf(t, got); got.status != 503 || code != "usage_not_recorded" || strings.Contains(got.body, `"hi"`) {
		t.Errorf("plain: %d %s", got.status, got.body)
	}
	got = r.ask(streamAlias)
	if got.err == nil || strings.Contains(got.body, "[DONE]") || !strings.Contains(got.body, `"code":"usage_not_recorded"`) {
		t.Errorf("stream: %v %s", got.err, got.body)
	}
	r.idle()
}

type failingRecorder struct{ Recorder }

func (failingRecorder) Settle(context.Context, *usage.Record) error { return errors.New("disk full") }

// TestSettledBeforeDone holds the ledger: [DONE], or a plain answer, must not
// reach the client before the record is durable.
func TestSettledBeforeDone(t *testing.T) {
	hold := make(chan struct{})
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(strings.NewReader(someStream)), nil
	}), rigOptions{recorder: func(next Recorder) Recorder { return heldRecorder{next, hold} }})
	body := r.open(streamAlias)
	defer body.Close()
	content := someStream[:strings.Index(someStream, `data: {"id":"s1","choices":[],"usage"`)]
	got := make([]byte, len(content))
	if _, err := io.ReadFull(body, got); err != nil || string(got) != content {
		t.Fatalf("got %q %v, want all content before the record", got, err)
	}
	rest := make(chan string)
	go func() {
		text, _ := io.ReadAll(body)
		rest <- string(text)
	}()
	select {
	case text := <-rest:
		t.Fatalf("%q came before the record was durable", text)
	case <-time.After(100 * time.Millisecond):
	}
	close(hold)
	if text := <-rest; text != "data: [DONE]\n\n" {
		t.Errorf("the end: %q", text)
	}
	r.idle()
}

type heldRecorder struct {
	Recorder
	hold chan struct{}
}

func (h heldRecorder) Settle(ctx context.Context, r *usage.Record) error {
	<-h.hold
	return h.Recorder.Settle(ctx, r)
}

// TestShutdown ends the server in the middle of a stream: within the time for
// draining the stream goes on, after it an error event ends it.
func TestShutdown(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&endless{ctx: ctx}), nil
	}), rigOptions{server: func(c *Config) { c.DrainTimeout = 300 * time.Millisecond }})
	body := r.open(streamOne)
	defer body.Close()
	_, err := io.ReadFull(body, make([]byte, 200))
	must(t, err)
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	text, err := io.ReadAll(body)
	if err == nil || strings.Contains(string(text), "[DONE]") || !strings.Contains(string(text), `"code":"shutting_down"`) {
		t.Errorf("the end: %v %q", err, text[max(0, len(text)-300):])
	}
	<-stopped
	rows, err := r.books.Sum(t.Context(), usage.Query{})
	must(t, err)
	if len(rows) != 1 || rows[0].Requests != 1 || rows[0].Charge == 0 {
		t.Errorf("recorded %+v", rows)
	}
}

// TestSelf is what a key may see of the gateway and of itself.
func TestSelf(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{spec: keys.Spec{Models: []string{"gemini-2.*"}, Limits: keys.Limits{RequestsPerMinute: 60}}})
	f := func(method, path string, status int, want string) {
		t.Helper()
		got := r.do(method, path, "")
		if got.status != status || !strings.Contains(got.body, want) {
			t.Errorf("%s %s: got %d %s\nwant %d %s", method, path, got.status, got.body, status, want)
		}
		if got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: no x-request-id", method, path)
		}
	}
	f("GET", "/v1/models", 200, `{"object":"list","data":[{"id":"gemini-2.0-flash","object":"model","created":0,"owned_by":"tollgate"},{"id":"gemini-2.5-flash-lite","object":"model","created":0,"owned_by":"tollgate"}]}`)
	f("GET", "/v1/models/gemini-2.0-flash", 200, `{"id":"gemini-2.0-flash","object":"model","created":0,"owned_by":"tollgate"}`)
	f("GET", "/v1/models/gemini-2%2E0-flash", 200, `{"id":"gemini-2.0-flash"`)
	f("GET", "/v1/models/gemini-flash", 404, `"code":"model_not_found"`)
	f("GET", "/v1/models/..%2F..%2Fadmin", 404, `"code":"model_not_found"`)
	f("POST", "/v1/models", 405, `"this path takes GET and HEAD only"`)
	f("DELETE", "/v1/chat/completions", 405, `"this path takes POST only"`)
	f("GET", "/v1/embeddings", 404, `"code":"unknown_path"`)
	if got := r.ask(`{"model":"gemini-2.0-flash","messages":[{"role":"user","content":"x"}]}`); got.status != 200 {
		t.Fatal(got.body)
	}
	today := time.Now().UTC().Format(time.DateOnly)
	f("GET", "/v1/usage", 200, `"rows":[{"day":"`+today+`","model":"gemini-2.0-flash","requests":1,"prompt_tokens":3,"cached_tokens":0,"completion_tokens":2,"reasoning_tokens":0,"charge_usd":"0.000007","estimated_requests":0}]`)
	f("GET", "/v1/usage", 200, `"requests_per_minute":{"limit":60,"remaining":57,"reset":"`)
	f("GET", "/v1/usage?from=2020-01-01&to=2020-01-31", 200, `"rows":[]`)
	f("GET", "/v1/usage?form=2020-01-01", 400, `"code":"unknown_parameter"`)
	f("GET", "/v1/usage?from=2020-01-01&to=2026-01-01", 400, `"param":"to"`)
	f("GET", "/v1/usage?from=yesterday", 400, `"param":"from"`)
	f("GET", "/v1/usage?from=2020-02-01&to=2020-01-01", 400, `"param":"to"`)
	r.idle()
}

// TestPanic lets a part of the gateway panic: the client gets a 500, the
// process lives, and nothing is held.
func TestPanic(t *testing.T) {
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		panic("prompt canary")
	}), rigOptions{})
	got := r.ask(plainAlias)
	if _, code, _, _ := errorOf(t, got); got.status != http.StatusInternalServerError || code != "internal_error" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if record := r.record(got); record.Charge != 0 {
		t.Errorf("billed %+v", record)
	}
	if log := r.log.String(); strings.Contains(log, "prompt canary") || !strings.Contains(log, "panic in a request") {
		t.Errorf("log:\n%s", log)
	}
	r.idle()
}

// TestBytesOfRequestsAreCopied sends two tenants' requests over one connection:
// what was kept of the first must not become the second's.
func TestBytesOfRequestsAreCopied(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{})
	_, other := r.issue(keys.Spec{Tenant: "other"})
	request := func(secret telemetry.Secret) string {
		return "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + secret.Reveal() +
			"\r\nContent-Length: " + strconv.Itoa(len(plainAlias)) + "\r\n\r\n" + plainAlias
	}
	answers := r.raw(request(r.secret) + request(other) + strings.Replace(request(r.secret), "Host: a", "Host: a\r\nConnection: close", 1))
	if len(answers) != 3 {
		t.Fatalf("%d answers, want 3", len(answers))
	}
	for i, want := range []string{"acme", "other", "acme"} {
		if got := r.record(answers[i]).Tenant; got != want {
			t.Errorf("request %d is on the bill of %q, want %q", i, got, want)
		}
	}
	r.idle()
}
