package admin

import (
	"strings"
	"testing"
)

func TestTenants(t *testing.T) {
	h := newHouse(t)
	h.want(h.send("GET", "/admin/v1/tenants", ""), 200, `{"tenants":[]}`)
	missing := refused("no tenant of this name has limits: GET /admin/v1/tenants lists those that have", "name", "tenant_not_found")
	h.want(h.send("GET", "/admin/v1/tenants/acme", ""), 404, missing)
	none := `{"name":"acme",` + unlimited + `,"version":0}`
	if w := h.send("DELETE", "/admin/v1/tenants/acme", ""); w.Code != 200 || w.Body.String() != none+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}

	const (
		begin = `{"name":"acme",`
		end   = `,"updated_at":"NOW","version":0}`
		all   = `"requests_per_minute":60,"burst":10,"tokens_per_minute":1000,"concurrent":2,"shadow":false,"budget_usd":"25.5","budget_period":"month"`
	)
	f := func(method, body, want string) {
		t.Helper()
		h.want(h.send(method, "/admin/v1/tenants/acme", body), 200, begin+want+end)
		h.want(h.send("GET", "/admin/v1/tenants/acme", ""), 200, alone(begin+want+end))
		h.want(h.send("GET", "/admin/v1/tenants", ""), 200, `{"tenants":[`+begin+want+end+`]}`)
	}
	f("PUT", `{"requests_per_minute":60,"burst":10,"tokens_per_minute":1000,"concurrent":2,"budget_usd":"25.50","budget_period":"month"}`, all)
	f("PATCH", `{}`, all)
	f("PATCH", `{"concurrent":3,"shadow":true}`, `"requests_per_minute":60,"burst":10,"tokens_per_minute":1000,"concurrent":3,"shadow":true,"budget_usd":"25.5","budget_period":"month"`)
	f("PATCH", `{"budget_usd":"","budget_period":"","concurrent":2}`, `"requests_per_minute":60,"burst":10,"tokens_per_minute":1000,"concurrent":2,"shadow":true,"budget_usd":"","budget_period":""`)
	f("PATCH", `{"shadow":false,"budget_usd":"1","budget_period":"day"}`, `"requests_per_minute":60,"burst":10,"tokens_per_minute":1000,"concurrent":2,"shadow":false,"budget_usd":"1","budget_period":"day"`)
	f("PATCH", `{"budget_usd":"","shadow":true}`, `"requests_per_minute":60,"burst":10,"tokens_per_minute":1000,"concurrent":2,"shadow":true,"budget_usd":"","budget_period":""`)
	f("PUT", `{"concurrent":1}`, `"requests_per_minute":0,"burst":0,"tokens_per_minute":0,"concurrent":1,"shadow":false,"budget_usd":"","budget_period":""`)
	f("PATCH", `{"requests_per_minute":60,"burst":10}`, `"requests_per_minute":60,"burst":10,"tokens_per_minute":0,"concurrent":1,"shadow":false,"budget_usd":"","budget_period":""`)
	f("PATCH", `{"requests_per_minute":0}`, `"requests_per_minute":0,"burst":0,"tokens_per_minute":0,"concurrent":1,"shadow":false,"budget_usd":"","budget_period":""`)
	f("PUT", `{}`, unlimited)

	once := h.send("PUT", "/admin/v1/tenants/acme", `{"burst":10,"requests_per_minute":60}`)
	if again := h.send("PUT", "/admin/v1/tenants/acme", `{"burst":10,"requests_per_minute":60}`); again.Body.String() != once.Body.String() {
		t.Errorf("what is as it was has changed:\n%s%s", once.Body, again.Body)
	}
	if got := h.keys.TenantLimits("acme"); got.RequestsPerMinute != 60 || got.Burst != 10 {
		t.Errorf("the limits do not hold: %+v", got)
	}
	h.want(h.send("DELETE", "/admin/v1/tenants/acme", ""), 200, begin+unlimited+end)
	h.want(h.send("DELETE", "/admin/v1/tenants/acme", ""), 200, none)
	if w := h.send("GET", "/admin/v1/audit?tenant=acme", ""); strings.Count(w.Body.String(), `"tenant.delete"`) != 1 {
		t.Errorf("a repeated deletion is in the audit: %s", w.Body)
	}
	h.want(h.send("GET", "/admin/v1/tenants", ""), 200, `{"tenants":[]}`)

	h.want(h.send("PATCH", "/admin/v1/tenants/globex", `{"concurrent":3}`), 200,
		`{"name":"globex","requests_per_minute":0,"burst":0,"tokens_per_minute":0,"concurrent":3,"shadow":false,"budget_usd":"","budget_period":"","updated_at":"NOW","version":0}`)
}

func TestTenantRefuses(t *testing.T) {
	h := newHouse(t)
	h.send("PUT", "/admin/v1/tenants/acme", `{"requests_per_minute":60,"budget_usd":"1","budget_period":"day"}`)
	before := h.send("GET", "/admin/v1/tenants", "").Body.String()
	one := func(method, name, body, message, param string) {
		t.Helper()
		h.want(h.send(method, "/admin/v1/tenants/"+name, body), 400, refused(message, param, "invalid_value"))
		if after := h.send("GET", "/admin/v1/tenants", "").Body.String(); after != before {
			t.Errorf("%s changed a tenant:\n%s%s", body, before, after)
		}
	}
	both := func(body, message, param string) {
		t.Helper()
		one("PUT", "acme", body, message, param)
		one("PATCH", "acme", body, message, param)
	}
	const fields = `: the fields are requests_per_minute, burst, tokens_per_minute, concurrent, shadow, budget_usd, budget_period`
	both(`{"name":"acme"}`, `unknown field \"name\"`+fields, "name")
	both(`{"burst":null}`, "burst: must be a whole number, not null: leave out what is not to be set", "burst")
	both(`{"concurrent":-1,"tokens_per_minute":1e13}`, "tokens_per_minute: must be a whole number; concurrent: must be 0 (none of its own) to 1000000, got -1", "tokens_per_minute")
	both(`{"budget_usd":"-1"}`, `budget_usd: must be an amount of dollars such as \"25\" or \"0.50\", or \"\" for no budget`, "budget_usd")
	both(`{"concurrent":1,"concurrent":2}`, "concurrent: must be given once", "concurrent")
	one("PUT", "acme", `{"burst":5,"budget_usd":"2"}`, "burst: must come with requests_per_minute, whose bucket it sizes; "+
		"budget_period: must be day, month or total where budget_usd is given", "burst")
	both(`{"budget_usd":"","budget_period":"day"}`, "budget_usd: must be above 0 where budget_period is given", "budget_usd")
	one("PUT", "Acme", `{}`, `name: must be 1 to 32 lower-case letters, digits and inner hyphens, got \"Acme\"`, "name")
	h.want(h.send("DELETE", "/admin/v1/tenants/Acme", ``), 400,
		refused(`name: must be 1 to 32 lower-case letters, digits and inner hyphens, got \"Acme\"`, "name", "invalid_value"))
	one("PUT", "tg_abcdefghijklmnop", `{}`, `name: must be 1 to 32 lower-case letters, digits and inner hyphens, got \"[redacted]\"`, "name")
}
