package admin

import (
	"context"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/ratelimit"

	"github.com/google/go-cmp/cmp"
)

// fakeLimits has an answer for every key and for every tenant, and remembers who was asked for last.
type fakeLimits struct {
	key, tenant ratelimit.Answer
	asked       string
}

func (l *fakeLimits) Standing(_ context.Context, key *keys.Key) ratelimit.Answer {
	l.asked = key.ID + " of " + key.Tenant
	return l.key
}

func (l *fakeLimits) TenantStanding(_ context.Context, tenant string) ratelimit.Answer {
	l.asked = tenant
	return l.tenant
}

// allInForce is an answer with a figure of its own in every field.
func allInForce() (a ratelimit.Answer) {
	for i := range a {
		n := int64(i + 1)
		a[i] = ratelimit.Decision{
			Allowed: i%2 == 0, Shadow: i%3 == 0, Limit: 100 * n, Remaining: 10 * n, Reset: time.Duration(n) * time.Second, RetryAfter: time.Hour,
		}
	}
	a[ratelimit.KeyConcurrent].Reset, a[ratelimit.TenantConcurrent].Reset = 0, 0
	return a
}

// alone is the literal text of a key or tenant that is asked for alone, and has no limit in force.
func alone(text string) string { return strings.TrimSuffix(text, "}") + `,"standing":[]}` }

// A key and a tenant that are asked for alone show where their limits stand; in lists and after changes nobody looks.
func TestStanding(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	h.send("PUT", "/admin/v1/tenants/acme", `{"concurrent":9}`)
	const tenant = `{"name":"acme","requests_per_minute":0,"burst":0,"tokens_per_minute":0,"concurrent":9,"shadow":false,"budget_usd":"","budget_period":"",` +
		`"updated_at":"NOW","version":0`
	key := activeKey("ci", `"models":[],"cidrs":[],`+unlimited, "")
	key = key[:len(key)-1]
	f := func(standing, asked, target, want string) {
		t.Helper()
		h.limits.asked = ""
		h.want(h.send("GET", target, ""), 200, want+`,"standing":[`+standing+`]}`)
		if h.limits.asked != asked {
			t.Errorf("GET %s: the limits of %q were asked for, want %q", target, h.limits.asked, asked)
		}
	}
	f(``, id+" of acme", "/admin/v1/keys/"+id, key)
	f(``, "acme", "/admin/v1/tenants/acme", tenant)
	h.limits.key = allInForce()
	f(`{"limit":"requests","per":"minute","max":100,"left":10,"reset_ms":1000,"shadow":true},`+
		`{"limit":"tenant_requests","per":"minute","max":200,"left":20,"reset_ms":2000},`+
		`{"limit":"tokens","per":"minute","max":300,"left":30,"reset_ms":3000},`+
		`{"limit":"tenant_tokens","per":"minute","max":400,"left":40,"reset_ms":4000,"shadow":true},`+
		`{"limit":"concurrent","per":"at_once","max":500,"left":50,"reset_ms":0},`+
		`{"limit":"tenant_concurrent","per":"at_once","max":600,"left":60,"reset_ms":0}`, id+" of acme", "/admin/v1/keys/"+id, key)
	h.limits.tenant[ratelimit.TenantConcurrent] = ratelimit.Decision{Allowed: true, Limit: 9, Remaining: 0}
	f(`{"limit":"tenant_concurrent","per":"at_once","max":9,"left":0,"reset_ms":0}`, "acme", "/admin/v1/tenants/acme", tenant)

	h.limits.asked = ""
	h.want(h.send("GET", "/admin/v1/keys", ""), 200, `{"keys":[`+key+`}]}`)
	h.want(h.send("PATCH", "/admin/v1/keys/"+id, `{}`), 200, key+`}`)
	h.want(h.send("GET", "/admin/v1/tenants", ""), 200, `{"tenants":[`+tenant+`}]}`)
	h.want(h.send("PATCH", "/admin/v1/tenants/acme", `{}`), 200, tenant+`}`)
	h.want(h.send("GET", "/admin/v1/keys/key_000000000000", ""), 404,
		refused("no key has this id: GET /admin/v1/keys lists them", "id", "key_not_found"))
	if h.limits.asked != "" {
		t.Errorf("the limits of %s were asked for", h.limits.asked)
	}
}

// TestClientStanding reads where limits stand.
func TestClientStanding(t *testing.T) {
	h := newHouse(t)
	c := NewClient(h.serve(), testToken)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	h.send("PUT", "/admin/v1/tenants/acme", `{"concurrent":9}`)
	h.limits.key[ratelimit.KeyTokens] = ratelimit.Decision{Limit: 1000, Remaining: 7, Reset: 1500 * time.Millisecond, Shadow: true}
	h.limits.tenant[ratelimit.TenantConcurrent] = ratelimit.Decision{Limit: 9, Remaining: 2}
	k, err := c.ShowKey(t.Context(), id)
	if diff := cmp.Diff([]Standing{{Limit: "tokens", Per: PerMinute, Max: 1000, Left: 7, ResetMS: 1500, Shadow: true}}, k.Standing); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	tenant, err := c.ShowTenant(t.Context(), "acme")
	if diff := cmp.Diff([]Standing{{Limit: "tenant_concurrent", Per: AtOnce, Max: 9, Left: 2}}, tenant.Standing); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
