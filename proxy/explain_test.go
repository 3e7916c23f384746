package proxy

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/keys"
	"tollgate/upstream"
)

// explained is an explanation as operators get it.
func (r *rig) explained(key *keys.Key, body string) string {
	r.t.Helper()
	text, err := json.Marshal(r.gateway.Explain(r.t.Context(), key, []byte(body)))
	must(r.t, err)
	return strings.ReplaceAll(string(text), key.ID, "KEY")
}

// stagesOf is one line for all stages: a sign for each, and what refused.
func stagesOf(e Explanation) string {
	var line []string
	for _, s := range e.Stages {
		switch s.Result {
		case "passed":
			line = append(line, s.Name)
		case "refused":
			line = append(line, s.Name+" REFUSED: "+s.Detail)
		}
	}
	return strings.Join(line, ", ")
}

func TestExplain(t *testing.T) {
	r := newRig(t, legFunc(nil), rigOptions{memory: true, perMinute: 60, upstream: func(c *upstream.Config) {
		turbo := c.Providers["theturbo"]
		turbo.Unsupported = "drop"
		c.Providers["theturbo"] = turbo
	}})
	const body = `{"model":"gemini-flash","messages":[{"role":"user","content":"hello there"}],"seed":7,"max_completion_tokens":100,"n":1,"user":"u"}`
	want := `{"sent":true,"stages":[` +
		`{"name":"authenticate","result":"passed","detail":"key KEY of tenant acme"},` +
		`{"name":"read","result":"passed","detail":"131 bytes, 6 fields"},` +
		`{"name":"authorize","result":"passed","detail":"the key may use gemini-flash"},` +
		`{"name":"route","result":"passed","detail":"2 of 3 candidates"},` +
		`{"name":"admit","result":"passed","detail":"60 of 60 requests per minute are left"},` +
		`{"name":"attempt","result":"passed","detail":"starmagic (gemini-2.5-flash-lite) first; at most 3 attempts within 15m0s"}],` +
		`"request":{"model":"gemini-flash","stream":false,"bytes":131,"prompt_tokens":2,"max_completion_tokens":100,"needs":["max_completion_tokens=100","seed=7"]},` +
		`"limits":[{"name":"requests","limit":60,"remaining":60,"reset_ms":0}],"candidates":[` +
		`{"provider":"starmagic","url":"http://starmagic.invalid/v1","credential":"#1 ...agic","model":"gemini-2.5-flash-lite","tier":1,"weight":1,"state":"ready","share":1,"dropped":["user"]},` +
		`{"provider":"theturbo","url":"http://theturbo.invalid/v1","credential":"#1 ...urbo","model":"gemini-2.0-flash","tier":2,"weight":1,"state":"ready","share":0,"dropped":["seed","user"],"adapted":["max_completion_tokens as max_tokens"]},` +
		`{"provider":"evolink","url":"http://evolink.invalid/v1","credential":"#1 ...link","model":"gemini-3-pro-preview","tier":3,"weight":1,"state":"ready","excluded":{"param":"seed","why":"does not take \"seed\""},"share":0}],` +
		`"charge":{"least_nanousd":2000,"most_nanousd":202000,"price":"gemini-flash@2026-01-01"}}`
	for range 3 { // nothing is spent by asking
		if got := r.explained(r.key, body); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
	if n := r.gateway.bodyMemory.Load() + r.gateway.inFlight.Load(); n != 0 {
		t.Errorf("an explanation leaves %d held", n)
	}
}

// TestExplainRefusals walks every stage that can refuse.
func TestExplainRefusals(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, perMinute: 60, server: func(c *Config) { c.MaxRequestBody = 300 }})
	narrow, _ := r.issue(keys.Spec{Models: []string{"any"}})
	revoked, _ := r.issue(keys.Spec{})
	revoked, err := r.keys.By("test").Revoke(t.Context(), revoked.ID, keys.Soon)
	must(t, err)
	f := func(key *keys.Key, body, stages string, status int, code, param string) {
		t.Helper()
		e := r.gateway.Explain(t.Context(), key, []byte(body))
		if got := strings.ReplaceAll(stagesOf(e), key.ID, "KEY"); got != stages && !strings.HasPrefix(got, stages+" at ") {
			t.Errorf("%s\nstages %s\nwant   %s", body, got, stages)
		}
		if r := e.Refusal; e.Sent || r == nil || r.Status != status || r.Code != code || r.Param != param || r.Message == "" || len(e.Stages) != 6 {
			t.Errorf("%s: %+v, %+v", body, e, e.Refusal)
		}
	}
	const text = `"messages":[{"role":"user","content":"x"}]`
	f(revoked, `{}`, "authenticate REFUSED: key KEY of tenant acme was revoked", 401, "invalid_api_key", "")
	f(r.key, strings.Repeat(" ", 301), "authenticate, read REFUSED: 301 bytes, the limit is 300 (server.max_request_body)", 413, "request_too_large", "")
	f(r.key, `{"model":"any",`+text+`,"model":"any"}`, `authenticate, read REFUSED: model appears more than once (at byte 58)`, 400, "duplicate_field", "model")
	f(r.key, `{"model":"any"}`, `authenticate, read REFUSED: messages is required (at byte 0)`, 400, "missing_field", "messages")
	f(r.key, `{"model":"nobody's",`+text+`}`, "authenticate, read, authorize REFUSED: no model of this name is configured", 404, "model_not_found", "model")
	f(narrow, `{"model":"gemini-flash",`+text+`}`,
		"authenticate, read, authorize REFUSED: the model is configured, but the key may not use it: its models are any", 404, "model_not_found", "model")
	const lacking = `no provider of this model can serve this request: theturbo takes at most 4 stop sequences, not 5; configured providers that would take "stop" as sent: other, starmagic`
	f(r.key, `{"model":"gemini-2.0-flash","stop":["1","2","3","4","5"],`+text+`}`, "authenticate, read, authorize, route REFUSED: "+lacking, 400, "unsupported_parameter", "stop")
	for range 60 {
		r.ask(`{"model":"any",` + text + `}`)
	}
	e := r.gateway.Explain(t.Context(), r.key, []byte(`{"model":"any",`+text+`}`))
	if e.Refusal == nil || e.Refusal.Status != 429 || e.Refusal.RetryAfterMS < 1 || e.Refusal.RetryAfterMS > 1000 || e.Limits[0].Remaining != 0 || len(e.Candidates) != 1 {
		t.Errorf("with nothing left: %+v, %+v", e, e.Refusal)
	}
}

// TestExplainStates has the explanation follow what is learned of providers.
func TestExplainStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// No front door: sockets do not advance a bubble's clock.
		table, err := upstream.NewTable(rigUpstreams(nil), upstream.TableOptions{})
		must(t, err)
		model, _ := table.Model("gemini-flash")
		outlook := func() string {
			var line []string
			for _, o := range model.Outlooks(&upstream.Needs{}, upstream.RouteOptions{}) {
				entry := o.Provider.Name
				switch {
				case o.LastResort:
					entry += " as last resort"
				case o.Why != "":
					entry += " not: it " + o.Why
				case o.Share == 1:
					entry += " first"
				}
				line = append(line, entry)
			}
			return strings.Join(line, ", ")
		}
		fail := func(o upstream.Outcome, retryIn time.Duration) {
			route, err := model.Route(&upstream.Needs{}, upstream.RouteOptions{})
			must(t, err)
			var a upstream.Attempt
			must(t, route.Next(&a))
			a.Report(upstream.Report{Outcome: o, RetryIn: retryIn})
			a.End(upstream.EndingUnknown)
		}
		f := func(want string) {
			t.Helper()
			if got := outlook(); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
		f("starmagic first, theturbo, evolink")
		fail(upstream.OutcomeThrottled, 10*time.Second)
		f("theturbo first, evolink, starmagic not: it is cooling: throttled")
		for range 5 {
			fail(upstream.OutcomeServerError, 0)
		}
		f("evolink first, starmagic not: it is cooling: throttled, theturbo not: it is open: the address keeps failing")
		for range 5 {
			fail(upstream.OutcomeServerError, 0)
		}
		f("starmagic not: it is cooling: throttled, theturbo not: it is open: the address keeps failing, evolink not: it is open: the address keeps failing")
		time.Sleep(time.Minute)
		f("starmagic first, theturbo, evolink")
	})
}

// TestTrail holds what is kept of a request that met with failures.
func TestTrail(t *testing.T) {
	asked := 0
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		if asked++; asked == 1 {
			return plainAnswer(503, `{}`), nil
		}
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{memory: true})
	got := r.ask(`{"model":"gemini-flash","messages":[{"role":"user","content":"x"}],"n":2,"user":"u","max_completion_tokens":9}`)
	var trail Trail
	must(t, json.Unmarshal([]byte(CompleteTrail(r.record(got))), &trail))
	for i := range trail.Attempts {
		if a := &trail.Attempts[i]; a.TookMS < 1 || a.BeganMS < 0 {
			t.Errorf("attempt %d: %+v", i, *a)
		} else {
			a.TookMS, a.BeganMS = 0, 0
		}
	}
	text, err := json.Marshal(trail)
	must(t, err)
	want := `{"attempts":[` +
		`{"provider":"starmagic","url":"http://starmagic.invalid/v1","credential":"#1 ...agic","model":"gemini-2.5-flash-lite","outcome":"server_error","status":503,"began_ms":0,"took_ms":0,"dropped":["user"]},` +
		`{"provider":"theturbo","url":"http://theturbo.invalid/v1","credential":"#1 ...urbo","model":"gemini-2.0-flash","outcome":"ok","status":200,"began_ms":0,"took_ms":0,"dropped":["user"],"adapted":["max_completion_tokens as max_tokens"]}],` +
		`"excluded":[{"provider":"evolink","param":"n","why":"does not take \"n\""}]}`
	if got.status != 200 || string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
