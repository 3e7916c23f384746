package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
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
	if got, want := e.Stages[4].Detail, "7 requests are left to the tenant, and 1 per minute come back"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(e.Limits) != 2 || e.Limits[0] != (LimitLeft{Name: "requests_per_minute", Limit: 60, Remaining: 60}) || e.Limits[1] != (LimitLeft{Name: "tenant_requests_per_minute", Limit: 1, Remaining: 7}) {
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
