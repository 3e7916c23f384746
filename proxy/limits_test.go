package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/upstream"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"
)

// TestTenantLimit spends one bucket with two keys: the refusal names whose limit it is, and
// the headers show the stricter of both.
func TestTenantLimit(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, spec: keys.Spec{Limits: keys.Limits{RequestsPerMinute: 60, Burst: 2}}})
	_, err := r.keys.By("test").SetTenant(t.Context(), "acme", func(s *keys.TenantSpec) { s.RequestsPerMinute, s.Burst = 3, 4 })
	must(t, err)
	_, other := r.issue(keys.Spec{})
	_, stranger := r.issue(keys.Spec{Tenant: "other"})
	f := func(status int, limit, remaining, message string) {
		t.Helper()
		got := r.ask(plainAlias)
		if got.status != status || got.header.Get("X-Ratelimit-Limit-Requests") != limit || got.header.Get("X-Ratelimit-Remaining-Requests") != remaining {
			t.Errorf("%d %s %v", got.status, got.body, got.header)
		}
		if status != 429 {
			return
		}
		kind, code, _, text := errorOf(t, got)
		if kind != "rate_limit_error" || code != "rate_limit_exceeded" || !strings.HasPrefix(text, message) || got.header.Get("Retry-After") == "" {
			t.Errorf("refused with %s, %v; want %s", got.body, got.header, message)
		}
	}
	const (
		ofKey    = "rate limit reached: the key's limit is 60 requests per minute; try again in "
		ofTenant = "rate limit reached: the tenant's limit is 3 requests per minute; try again in "
	)
	f(200, "60", "1", "")
	f(200, "60", "0", "")
	for range 3 { // and takes nothing of the tenant's
		f(429, "60", "0", ofKey)
	}
	r.secret = other
	f(200, "3", "1", "")
	f(200, "3", "0", "")
	for range 3 {
		f(429, "3", "0", ofTenant)
	}
	r.secret = stranger
	f(200, "", "", "")

	counters := strings.Join(r.counters(), "\n")
	for _, want := range []string{"allowed,tollgate.limit=requests} 2", "refused,tollgate.limit=requests} 3", "allowed,tollgate.limit=tenant_requests} 4", "refused,tollgate.limit=tenant_requests} 3"} {
		if want = "tollgate.limit.decisions{tollgate.decision=" + want; !strings.Contains(counters, want) {
			t.Errorf("no %s in\n%s", want, counters)
		}
	}
	r.idle()
}

// TestUsageShowsBothLimits has a key see what it and its tenant have left.
func TestUsageShowsBothLimits(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{perMinute: 60})
	_, err := r.keys.By("test").SetTenant(t.Context(), "acme", func(s *keys.TenantSpec) { s.RequestsPerMinute = 6 })
	must(t, err)
	got := r.do(http.MethodGet, "/v1/usage", "")
	for _, want := range []string{`"requests_per_minute":{"limit":60,"remaining":59,"reset":"`, `"tenant_requests_per_minute":{"limit":6,"remaining":5,"reset":"`} {
		if got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("no %s in %d %s", want, got.status, got.body)
		}
	}
}

// TestExplainKeys tells operators of a key's networks, of its being disabled, and of its
// tenant's limit.
func TestExplainKeys(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, perMinute: 60})
	operator := r.keys.By("test")
	bound, _ := r.issue(keys.Spec{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}})
	disabled, _ := r.issue(keys.Spec{Disabled: true})
	_, err := operator.SetTenant(t.Context(), "acme", func(s *keys.TenantSpec) { s.RequestsPerMinute, s.Burst = 1, 7 })
	must(t, err)
	e := r.gateway.Explain(t.Context(), bound, []byte(plainAlias))
	if got, want := e.Stages[0].Detail, "key "+bound.ID+" of tenant acme, from these networks alone: 10.0.0.0/8, 2001:db8::/32"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := e.Stages[4].Detail, "7 requests are left to the tenant, and 1 per minute comes back"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(e.Limits) != 2 || e.Limits[0] != (LimitLeft{Name: "requests", Limit: 60, Remaining: 60}) || e.Limits[1] != (LimitLeft{Name: "tenant_requests", Limit: 1, Remaining: 7}) {
		t.Errorf("limits %+v", e.Limits)
	}
	for range 7 {
		r.ask(plainAlias)
	}
	e = r.gateway.Explain(t.Context(), bound, []byte(plainAlias))
	if !strings.HasPrefix(e.Stages[4].Detail, "rate limit reached: the tenant's limit is 1 request per minute; try again in ") || e.Refusal.RetryAfterMS < time.Minute.Milliseconds()/2 {
		t.Errorf("%+v, %+v", e.Stages, e.Refusal)
	}
	e = r.gateway.Explain(t.Context(), disabled, []byte(plainAlias))
	if got, want := e.Stages[0].Detail, "key "+disabled.ID+" of tenant acme is disabled"; got != want || e.Stages[0].Result != "refused" || e.Refusal.Status != 401 {
		t.Errorf("got  %s, %+v\nwant %s", got, e.Refusal, want)
	}
}

// TestEveryAnswerShowsLimits asks for all kinds of answers: whoever has sent a valid key is told where its
// limits stand, and nobody else is.
func TestEveryAnswerShowsLimits(t *testing.T) {
	r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
		if q.Stream {
			return streamAnswer(strings.NewReader(someStream)), nil
		}
		return plainAnswer(400, `{"error":{"message":"no"}}`), nil
	}), rigOptions{memory: true, spec: keys.Spec{Limits: keys.Limits{RequestsPerMinute: 6, TokensPerMinute: 6000}}})
	f := func(method, path, body string, status int, requests string) {
		t.Helper()
		got := r.do(method, path, body)
		if want := "limit-requests=6 limit-tokens=6000 remaining-requests=" + requests + " remaining-tokens="; got.status != status || !strings.HasPrefix(figures(got), want) {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, got.status, figures(got), status, want)
		}
	}
	const chat = "/v1/chat/completions"
	f("GET", "/v1/models", "", 200, "6")
	f("GET", "/v1/models/nobody", "", 404, "6")
	f("POST", chat, "{", 400, "6")
	f("POST", chat, `{"model":"nobody","messages":[{"role":"user","content":"x"}]}`, 404, "6")
	f("GET", "/v1/usage", "", 200, "5")
	f("POST", chat, streamAlias, 200, "4")
	f("POST", chat, plainAlias, 400, "3") // the provider refuses it
	got := r.do("GET", "/v1/elsewhere", "")
	if figures(got) != "" {
		t.Errorf("a path that asks for no key shows %s", figures(got))
	}
	r.secret = "tg_unknown"
	if got := r.ask(plainAlias); got.status != 401 || figures(got) != "" {
		t.Errorf("a stranger got %d %s", got.status, figures(got))
	}
	r.idle()
}

// TestResetsAreDurations shows when limits are full again, as Go writes durations.
func TestResetsAreDurations(t *testing.T) {
	header := func(reset time.Duration) string {
		a := allowing()
		a[ratelimit.KeyRequests] = ratelimit.Decision{Allowed: true, Limit: 60, Remaining: 59, Reset: reset}
		x := &exchange{known: true, taken: true, permit: ratelimit.Permit{Answer: a}}
		var h fasthttp.ResponseHeader
		x.showLimits(&h)
		return string(h.Peek("X-Ratelimit-Reset-Requests"))
	}
	for reset, want := range map[time.Duration]string{0: "0s", 12 * time.Millisecond: "12ms", 6 * time.Minute: "6m0s", 1500 * time.Millisecond: "1.5s"} {
		if got := header(reset); got != want {
			t.Errorf("%d: %s, want %s", reset, got, want)
		}
	}
}

// TestOwnLimits has a key see all its limits, and its tenant's.
func TestOwnLimits(t *testing.T) {
	r := newRig(t, answering(large(300, 100)), rigOptions{
		spec: keys.Spec{Limits: keys.Limits{RequestsPerMinute: 6, Burst: 12, TokensPerMinute: 6, Concurrent: 3, Shadow: true}},
	})
	r.limitTenant(keys.Limits{RequestsPerMinute: 2, TokensPerMinute: 100_000_000, Concurrent: 9})
	got := r.do(http.MethodGet, "/v1/usage", "")
	_, limits, _ := strings.Cut(got.body, `"limits":`)
	limits, _, _ = strings.Cut(limits, "]")
	const want = `[{"limit":"requests","max":6,"left":11,"reset":"10s","shadow":true},` +
		`{"limit":"tenant_requests","max":2,"left":1,"reset":"30s"},` +
		`{"limit":"tokens","max":6,"left":6,"reset":"0s","shadow":true},` +
		`{"limit":"tenant_tokens","max":100000000,"left":100000000,"reset":"0s"},` +
		`{"limit":"concurrent","max":3,"left":3,"shadow":true},` +
		`{"limit":"tenant_concurrent","max":9,"left":9}`
	if limits = wholeSeconds(limits); got.status != 200 || limits != want {
		t.Errorf("got  %d %s\nwant %s", got.status, limits, want)
	}
	r.wantDecisions("allowed", "requests", 1)
	r.wantDecisions("allowed", "tokens", 0) // it needs none, and no slot
	r.wantDecisions("allowed", "concurrent", 0)
	r.idle()
}

// wholeSeconds rounds durations up, which have run down a little while a test ran.
func wholeSeconds(text string) string {
	parts := strings.Split(text, `"reset":"`)
	for i := 1; i < len(parts); i++ {
		reset, rest, _ := strings.Cut(parts[i], `"`)
		if d, err := time.ParseDuration(reset); err == nil {
			parts[i] = (time.Duration(roundUp(d, time.Second)) * time.Second).String() + `"` + rest
		}
	}
	return strings.Join(parts, `"reset":"`)
}

// TestStandings tells operators where a key and a tenant stand, and spends nothing.
func TestStandings(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, perMinute: 60})
	r.limitTenant(keys.Limits{RequestsPerMinute: 6, Burst: 9, Shadow: true})
	r.ask(plainAlias)
	for range 3 {
		of, tenant := r.standing(), r.gateway.TenantStanding(t.Context(), "acme")
		if d := of[ratelimit.KeyRequests]; d.Limit != 60 || d.Remaining != 59 || d.Shadow {
			t.Errorf("the key: %+v", d)
		}
		for _, a := range []ratelimit.Answer{of, tenant} {
			if d := a[ratelimit.TenantRequests]; d.Limit != 6 || d.Remaining != 8 || !d.Shadow || d.Reset < 9*time.Second {
				t.Errorf("the tenant: %+v", d)
			}
		}
		if d := tenant[ratelimit.KeyRequests]; d.Limit != 0 {
			t.Errorf("a key's limit beside the tenant's: %+v", d)
		}
	}
}

// TestExplainLimits foretells what each limit would decide, and takes nothing.
func TestExplainLimits(t *testing.T) {
	r := newRig(t, answering(large(1000, 500)), rigOptions{memory: true, limits: func(*ratelimit.Config) {}})
	const body = `{"model":"any","messages":[{"role":"user","content":"hello"}],"max_tokens":1000}` // 80 bytes: 27 tokens
	f := func(key, tenant keys.Limits, detail string, limits ...LimitLeft) {
		t.Helper()
		k, _ := r.issue(keys.Spec{Limits: key})
		r.limitTenant(tenant)
		for range 3 {
			e := r.gateway.Explain(t.Context(), k, []byte(body))
			if got := e.Stages[4].Detail; !strings.HasPrefix(got, detail) {
				t.Errorf("got  %s\nwant %s", got, detail)
			}
			for i := range e.Limits {
				e.Limits[i].ResetMS = 0
			}
			if diff := cmp.Diff(limits, e.Limits); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	}
	f(keys.Limits{}, keys.Limits{}, "no limit")
	f(keys.Limits{RequestsPerMinute: 60, TokensPerMinute: 9000, Concurrent: 4}, keys.Limits{Concurrent: 2},
		"60 of 60 requests per minute are left; 9000 of 9000 tokens per minute are left, and the request would reserve 1027; 2 of 2 requests at once are left to the tenant",
		LimitLeft{Name: "requests", Limit: 60, Remaining: 60},
		LimitLeft{Name: "tokens", Limit: 9000, Remaining: 9000},
		LimitLeft{Name: "concurrent", Limit: 4, Remaining: 4},
		LimitLeft{Name: "tenant_concurrent", Limit: 2, Remaining: 2},
	)
	f(keys.Limits{TokensPerMinute: 500}, keys.Limits{}, "500 of 500 tokens per minute are left, and the request would reserve 500",
		LimitLeft{Name: "tokens", Limit: 500, Remaining: 500})
	f(keys.Limits{RequestsPerMinute: 1, TokensPerMinute: 1, Concurrent: 1}, keys.Limits{},
		"1 of 1 request per minute is left; 1 of 1 token per minute is left, and the request would reserve 1; 1 of 1 request at once is left",
		LimitLeft{Name: "requests", Limit: 1, Remaining: 1}, LimitLeft{Name: "tokens", Limit: 1, Remaining: 1}, LimitLeft{Name: "concurrent", Limit: 1, Remaining: 1})
	// And now the tenant has had 1,500 of its tokens, and more.
	r.limitTenant(keys.Limits{TokensPerMinute: 1600})
	if got := r.ask(body); got.status != 200 {
		t.Fatal(got.body)
	}
	spent := func(shadow bool) LimitLeft {
		d := r.standing()[ratelimit.TenantTokens]
		return LimitLeft{Name: "tenant_tokens", Limit: 1600, Remaining: d.Remaining / 100, Refuses: true, Shadow: shadow}
	}
	for _, shadow := range []bool{false, true} {
		r.limitTenant(keys.Limits{TokensPerMinute: 1600, Shadow: shadow})
		e := r.gateway.Explain(t.Context(), r.key, []byte(body))
		want := "rate limit reached: the tenant's limit is 1600 tokens per minute, and this request was taken for 1027; try again in "
		if shadow {
			want = "in shadow, and so not refused by: tenant_tokens"
		}
		e.Limits[0].Remaining /= 100
		e.Limits[0].ResetMS = 0
		if diff := cmp.Diff([]LimitLeft{spent(shadow)}, e.Limits); diff != "" || !strings.Contains(e.Stages[4].Detail, want) || e.Sent != shadow || e.Request.ReservedTokens != 1027 {
			t.Errorf("sent: %v, %s, limits (-want +got):\n%s", e.Sent, e.Stages[4].Detail, diff)
		}
	}
	r.idle()
}
