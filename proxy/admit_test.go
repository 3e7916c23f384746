package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/upstream"

	"github.com/google/go-cmp/cmp"
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
			if logged := r.limitsLogged(); logged != "200  / , 429 "+c.name+" / " {
				t.Errorf("the log says %q", logged)
			}
		})
	}
}

func refusalCodeOf(limit string) string {
	if strings.HasSuffix(limit, "concurrent") {
		return "concurrency_limit"
	}
	return "rate_limit_exceeded"
}

// limitsLogged is what the access lines say of limits: the one that refused, and those in shadow that would have. They are
// sorted: two requests that end side by side are logged in either order.
func (r *rig) limitsLogged() string {
	var said []string
	for line := range strings.Lines(r.log.String()) {
		var access struct {
			Msg, Limit string
			Status     int
			Shadowed   string `json:"limits_shadowed"`
		}
		must(r.t, json.Unmarshal([]byte(line), &access))
		if access.Msg == "request" {
			said = append(said, fmt.Sprintf("%d %s / %s", access.Status, access.Limit, access.Shadowed))
		}
	}
	slices.Sort(said)
	return strings.Join(said, ", ")
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

// TestShadow exceeds limits that are not enforced: requests pass, and answers, metrics and the log say what would have
// been. The figures by which clients pace themselves are those of limits that are enforced.
func TestShadow(t *testing.T) {
	tight := keys.Limits{RequestsPerMinute: 1, TokensPerMinute: 1100}
	inShadow := tight
	inShadow.Shadow = true
	everything := func(c *ratelimit.Config) { c.Shadow = true }
	nothing := func(*ratelimit.Config) {}
	f := func(name string, config func(*ratelimit.Config), key, tenant keys.Limits, shadow, refused string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r := newRig(t, answering(large(900, 100)), rigOptions{memory: true, limits: config, spec: keys.Spec{Limits: key}})
			r.limitTenant(tenant)
			if first := r.ask(plainAlias); first.status != 200 || first.header.Get("X-Tollgate-Shadow") != "" {
				t.Fatalf("%d %v", first.status, first.header)
			}
			got := r.ask(plainAlias)
			status, enforced := 200, ""
			if refused != "" {
				status, enforced = 429, "limit-requests=1 limit-tokens=1100 remaining-requests=0 remaining-tokens="
			}
			if got.status != status || got.header.Get("X-Tollgate-Shadow") != shadow {
				t.Errorf("got %d, shadow %q; want %d, %q: %s", got.status, got.header.Get("X-Tollgate-Shadow"), status, shadow, got.body)
			}
			got.header.Del("X-Tollgate-Shadow")
			if told := figures(got); !strings.HasPrefix(told, enforced) || enforced == "" && told != "" {
				t.Errorf("the client is told %q, want %q", told, enforced)
			}
			for limit := range strings.SplitSeq(shadow, ", ") {
				if shadow != "" {
					r.wantDecisions("shadowed", limit, 1)
					r.wantDecisions("refused", limit, 0)
				}
			}
			r.idle()
			if logged, want := r.limitsLogged(), fmt.Sprintf("200  / , %d %s / %s", status, refused, shadow); logged != want {
				t.Errorf("the log says %q, want %q", logged, want)
			}
		})
	}
	f("the key", nothing, inShadow, keys.Limits{}, "requests, tokens", "")
	f("the tenant", nothing, keys.Limits{}, inShadow, "tenant_requests, tenant_tokens", "")
	f("both", nothing, inShadow, inShadow, "requests, tenant_requests, tokens, tenant_tokens", "")
	f("all", everything, tight, tight, "requests, tenant_requests, tokens, tenant_tokens", "")
	f("the key, and the tenant is not", nothing, inShadow, tight, "requests, tokens", "tenant_requests")
	f("the tenant, and the key is not", nothing, tight, inShadow, "tenant_requests, tenant_tokens", "requests")
	f("none", nothing, tight, tight, "", "requests")
}

// large is an answer that has cost so many tokens.
func large(prompt, completion int) string {
	return strings.Replace(someAnswer, `"prompt_tokens":3,"completion_tokens":2,"total_tokens":5`,
		fmt.Sprintf(`"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d`, prompt, completion, prompt+completion), 1)
}
