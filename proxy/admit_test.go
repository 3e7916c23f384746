package proxy

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/upstream"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"
)

// TestRefusalTexts is what clients read of each limit.
func TestRefusalTexts(t *testing.T) {
	f := func(limit ratelimit.Limit, most int64, tokens int64, code, message string) {
		t.Helper()
		a := allowing()
		a[limit] = ratelimit.Decision{Limit: most, RetryAfter: 1500 * time.Millisecond}
		got := failureOf(refusedBy(&a, tokens))
		want := Failure{Status: 429, Type: "rate_limit_error", Code: code, Message: message, RetryAfter: 1500 * time.Millisecond}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", limit, diff)
		}
	}
	f(ratelimit.KeyRequests, 60, 30, "rate_limit_exceeded", "rate limit reached: the key's limit is 60 requests per minute; try again in 1.5s")
	f(ratelimit.TenantRequests, 1, 30, "rate_limit_exceeded", "rate limit reached: the tenant's limit is 1 request per minute; try again in 1.5s")
	f(ratelimit.KeyTokens, 100_000, 5120, "rate_limit_exceeded", "rate limit reached: the key's limit is 100000 tokens per minute, and this request was taken for 5120; try again in 1.5s")
	f(ratelimit.TenantTokens, 4000, 5120, "rate_limit_exceeded", "rate limit reached: the tenant's limit is 4000 tokens per minute, and this request was taken for 4000; try again in 1.5s")
	f(ratelimit.KeyConcurrent, 4, 30, "concurrency_limit", "concurrency limit reached: the key's limit is 4 requests at once; try again in 1.5s")
	f(ratelimit.TenantConcurrent, 1, 30, "concurrency_limit", "concurrency limit reached: the tenant's limit is 1 request at once; try again in 1.5s")
}

// allowing is an answer without limits.
func allowing() (a ratelimit.Answer) {
	for i := range a {
		a[i].Allowed = true
	}
	return a
}

// figures are the headers of limits, without the times until they reset.
func figures(a answer) string {
	var told []string
	for name, values := range a.header {
		if strings.HasPrefix(name, "X-Ratelimit-") || name == "X-Tollgate-Shadow" {
			if strings.HasPrefix(name, "X-Ratelimit-Reset-") {
				if _, err := time.ParseDuration(values[0]); err != nil {
					return err.Error()
				}
				continue
			}
			told = append(told, strings.TrimPrefix(strings.ToLower(name), "x-ratelimit-")+"="+strings.Join(values, "|"))
		}
	}
	slices.Sort(told)
	return strings.Join(told, " ")
}

// TestEachLimitRefuses has each of the six limits refuse the second of two requests, which
// gets its figures and a true time to come back, leaves no record, and takes nothing: what another
// key of the tenant may spend is what it was.
func TestEachLimitRefuses(t *testing.T) {
	for _, c := range []struct {
		name        string
		key, tenant keys.Limits
		told        string // to the first request
		message     string // to the second
		atLeast     time.Duration
		figures     string
	}{
		{
			"requests",
			keys.Limits{RequestsPerMinute: 6, Burst: 1},
			keys.Limits{RequestsPerMinute: 600},
			"limit-requests=6 remaining-requests=0",
			"rate limit reached: the key's limit is 6 requests per minute; try again in ", 7 * time.Second, "limit-requests=6 remaining-requests=0",
		},
		{
			"tenant_requests",
			keys.Limits{RequestsPerMinute: 60},
			keys.Limits{RequestsPerMinute: 6, Burst: 1},
			"limit-requests=6 remaining-requests=0",
			"rate limit reached: the tenant's limit is 6 requests per minute; try again in ", 7 * time.Second, "limit-requests=6 remaining-requests=0",
		},
		{ // 71 bytes are 24 tokens, and answers have 1,024 as long as none was seen: 1,048. Of 1,050, 2 are left, and 1,046 come in 59.7 s.
			"tokens",
			keys.Limits{TokensPerMinute: 1050},
			keys.Limits{},
			"limit-tokens=1050 remaining-tokens=2",
			"rate limit reached: the key's limit is 1050 tokens per minute, and this request was taken for 1048; try again in 5", 50 * time.Second, "limit-tokens=1050 remaining-tokens=2",
		},
		{
			"tenant_tokens",
			keys.Limits{TokensPerMinute: 100_000},
			keys.Limits{TokensPerMinute: 1050},
			"limit-tokens=1050 remaining-tokens=2",
			"rate limit reached: the tenant's limit is 1050 tokens per minute, and this request was taken for 1048; try again in 5", 50 * time.Second, "limit-tokens=1050 remaining-tokens=2",
		},
		{
			"concurrent",
			keys.Limits{Concurrent: 1},
			keys.Limits{Concurrent: 2},
			"",
			"concurrency limit reached: the key's limit is 1 request at once; try again in 1s", time.Second, "",
		},
		{
			"tenant_concurrent",
			keys.Limits{Concurrent: 2},
			keys.Limits{Concurrent: 1},
			"",
			"concurrency limit reached: the tenant's limit is 1 request at once; try again in 1s", time.Second, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, let := make(chan struct{}, 2), make(chan struct{})
			r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
				asked <- struct{}{}
				<-let
				return plainAnswer(200, someAnswer), nil
			}), rigOptions{memory: true, spec: keys.Spec{Limits: c.key}, limits: func(*ratelimit.Config) {}})
			r.limitTenant(c.tenant)
			first := make(chan answer)
			go func() { first <- r.ask(plainAlias) }()
			<-asked // and is in progress
			before := r.standing()
			got := r.ask(plainAlias)
			kind, code, _, message := errorOf(t, got)
			if got.status != 429 || kind != "rate_limit_error" || code != refusalCodeOf(c.name) || !strings.HasPrefix(message, c.message) {
				t.Errorf("got %d %s", got.status, got.body)
			}
			if told := roughly(figures(got)); told != roughly(c.figures) {
				t.Errorf("told %q, want %q", told, c.figures)
			}
			r.checkRetryAfter(got, message, c.atLeast)
			if records, _ := r.records.ByRequest(t.Context(), got.header.Get("X-Request-Id")); len(records) != 0 {
				t.Errorf("a refused request left %+v", records)
			}
			for i, after := range r.standing() {
				if after.Remaining < before[i].Remaining {
					t.Errorf("the refused request has taken of %s: %d are left, %d were", ratelimit.Limit(i), after.Remaining, before[i].Remaining)
				}
			}
			r.wantDecisions("allowed", c.name, 1)
			r.wantDecisions("refused", c.name, 1)
			close(let)
			if a := <-first; a.status != 200 || roughly(figures(a)) != roughly(c.told) {
				t.Errorf("the first was told %d %s, want %s", a.status, figures(a), c.told)
			}
			r.idle()
		})
	}
}

func refusalCodeOf(limit string) string {
	if strings.HasSuffix(limit, "concurrent") {
		return "concurrency_limit"
	}
	return "rate_limit_exceeded"
}

// roughly leaves the last digit of what is left of tokens out: some come back while a test runs.
func roughly(told string) string {
	head, left, found := strings.Cut(told, "remaining-tokens=")
	if n, err := strconv.Atoi(left); found && err == nil {
		return fmt.Sprintf("%sremaining-tokens=about %d", head, n/100*100)
	}
	return told
}

func (r *rig) limitTenant(l keys.Limits) {
	r.t.Helper()
	_, err := r.keys.By("test").SetTenant(r.t.Context(), "acme", func(s *keys.TenantSpec) { s.Limits = l })
	must(r.t, err)
}

func (r *rig) standing() ratelimit.Answer { return r.gateway.Standing(r.t.Context(), r.key) }

// checkRetryAfter holds both headers and the message against each other, and against the least that is true.
func (r *rig) checkRetryAfter(got answer, message string, least time.Duration) {
	r.t.Helper()
	_, text, _ := strings.Cut(message, "; try again in ")
	wait, err := time.ParseDuration(text)
	must(r.t, err)
	seconds := strconv.FormatInt(roundUp(wait, time.Second), 10)
	if got.header.Get("Retry-After") != seconds || got.header.Get("Retry-After-Ms") != strconv.FormatInt(wait.Milliseconds(), 10) {
		r.t.Errorf("Retry-After %q, Retry-After-Ms %q beside %q", got.header.Get("Retry-After"), got.header.Get("Retry-After-Ms"), message)
	}
	if wait < least {
		r.t.Errorf("%s, which is too early: want %s at least", message, least)
	}
}

func (r *rig) wantDecisions(decision, limit string, n int) {
	r.t.Helper()
	want := fmt.Sprintf("tollgate.limit.decisions{tollgate.decision=%s,tollgate.limit=%s} %d", decision, limit, n)
	if n == 0 {
		want = want[:strings.LastIndex(want, " ")]
	}
	if slices.ContainsFunc(r.counters(), func(line string) bool { return strings.HasPrefix(line, want) }) == (n == 0) {
		r.t.Errorf("want %s (0: none) in\n%s", want, strings.Join(r.counters(), "\n"))
	}
}

// TestShadow exceeds limits that are not enforced: requests pass, and answers and metrics say what would have been.
func TestShadow(t *testing.T) {
	tight := keys.Limits{RequestsPerMinute: 1, TokensPerMinute: 1100}
	inShadow := tight
	inShadow.Shadow = true
	everything := func(c *ratelimit.Config) { c.Shadow = true }
	nothing := func(*ratelimit.Config) {}
	f := func(name string, config func(*ratelimit.Config), key, tenant keys.Limits, status int, shadow string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r := newRig(t, answering(large(900, 100)), rigOptions{memory: true, limits: config, spec: keys.Spec{Limits: key}})
			r.limitTenant(tenant)
			if first := r.ask(plainAlias); first.status != 200 || first.header.Get("X-Tollgate-Shadow") != "" {
				t.Fatalf("%d %v", first.status, first.header)
			}
			got := r.ask(plainAlias)
			if got.status != status || got.header.Get("X-Tollgate-Shadow") != shadow {
				t.Errorf("got %d, shadow %q; want %d, %q: %s", got.status, got.header.Get("X-Tollgate-Shadow"), status, shadow, got.body)
			}
			for limit := range strings.SplitSeq(shadow, ", ") {
				if shadow != "" {
					r.wantDecisions("shadowed", limit, 1)
					r.wantDecisions("refused", limit, 0)
				}
			}
			r.idle()
		})
	}
	f("the key", nothing, inShadow, keys.Limits{}, 200, "requests, tokens")
	f("the tenant", nothing, keys.Limits{}, inShadow, 200, "tenant_requests, tenant_tokens")
	f("both", nothing, inShadow, inShadow, 200, "requests, tenant_requests, tokens, tenant_tokens")
	f("all", everything, tight, tight, 200, "requests, tenant_requests, tokens, tenant_tokens")
	f("the key, and the tenant is not", nothing, inShadow, tight, 429, "requests, tokens")
	f("the tenant, and the key is not", nothing, tight, inShadow, 429, "tenant_requests, tenant_tokens")
	f("none", nothing, tight, tight, 429, "")
}

// large is an answer that has cost so many tokens.
func large(prompt, completion int) string {
	return strings.Replace(someAnswer, `"prompt_tokens":3,"completion_tokens":2,"total_tokens":5`,
		fmt.Sprintf(`"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d`, prompt, completion, prompt+completion), 1)
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
		LimitLeft{Name: "requests_per_minute", Limit: 60, Remaining: 60},
		LimitLeft{Name: "tokens_per_minute", Limit: 9000, Remaining: 9000},
		LimitLeft{Name: "concurrent", Limit: 4, Remaining: 4},
		LimitLeft{Name: "tenant_concurrent", Limit: 2, Remaining: 2},
	)
	f(keys.Limits{TokensPerMinute: 500}, keys.Limits{}, "500 of 500 tokens per minute are left, and the request would reserve 500",
		LimitLeft{Name: "tokens_per_minute", Limit: 500, Remaining: 500})
	// And now the tenant has had 1,500 of its tokens, and more.
	r.limitTenant(keys.Limits{TokensPerMinute: 1600})
	if got := r.ask(body); got.status != 200 {
		t.Fatal(got.body)
	}
	spent := func(shadow bool) LimitLeft {
		d := r.standing()[ratelimit.TenantTokens]
		return LimitLeft{Name: "tenant_tokens_per_minute", Limit: 1600, Remaining: d.Remaining / 100, Refuses: true, Shadow: shadow}
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
