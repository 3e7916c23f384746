package admin

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"tollgate/keys"
)

// activeKey is a key of acme, with its fields from models to the budget, and the moments after its creation.
func activeKey(name, fields, moments string) string {
	return `{"id":"ID","tenant":"acme","name":"` + name + `","last4":"LAST","state":"active",` + fields + `,"disabled":false,"created_at":"NOW",` + moments + `"version":0}`
}

func TestChange(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci","models":["a"],"cidrs":["10.0.0.0/8"],"requests_per_minute":60,"expires":"2999-01-31T00:00:00Z"}`)
	f := func(body, want string) {
		t.Helper()
		h.want(h.send("PATCH", "/admin/v1/keys/"+id, body), 200, want)
		h.want(h.send("GET", "/admin/v1/keys/"+id, ""), 200, alone(want))
	}
	const limited = `"requests_per_minute":60,"burst":0,"tokens_per_minute":0,"concurrent":0,"shadow":false,"budget_usd":"","budget_period":""`
	const never, changed = "", `"updated_at":"NOW",`
	const expires = `"expires_at":"2999-01-31T00:00:00Z",`
	f(`{}`, activeKey("ci", `"models":["a"],"cidrs":["10.0.0.0/8"],`+limited, never+expires)) // nothing was changed
	f(`{"name":"other","tenant":"acme"}`, activeKey("other", `"models":["a"],"cidrs":["10.0.0.0/8"],`+limited, changed+expires))
	f(`{"models":["b*","c"]}`, activeKey("other", `"models":["b*","c"],"cidrs":["10.0.0.0/8"],`+limited, changed+expires))
	f(`{"models":[],"cidrs":[]}`, activeKey("other", `"models":[],"cidrs":[],`+limited, changed+expires))
	f(`{"expires":""}`, activeKey("other", `"models":[],"cidrs":[],`+limited, changed))
	f(`{"requests_per_minute":0}`, activeKey("other", `"models":[],"cidrs":[],`+unlimited, changed))
	f(`{"requests_per_minute":60,"burst":10}`, activeKey("other", `"models":[],"cidrs":[],`+strings.Replace(limited, `"burst":0`, `"burst":10`, 1), changed))
	f(`{"requests_per_minute":0}`, activeKey("other", `"models":[],"cidrs":[],`+unlimited, changed)) // and its burst goes with it
	f(`{"expires":"1h"}`, activeKey("other", `"models":[],"cidrs":[],`+unlimited, changed+`"expires_at":"SOON",`))
	f(`{"expires":"2999-01-31T00:00:00Z","cidrs":["::/0"],"requests_per_minute":7,"burst":8,"tokens_per_minute":9,"concurrent":10,"shadow":true,"budget_usd":"0.000000001","budget_period":"total"}`,
		activeKey("other", `"models":[],"cidrs":["::/0"],"requests_per_minute":7,"burst":8,"tokens_per_minute":9,"concurrent":10,"shadow":true,"budget_usd":"0.000000001","budget_period":"total"`, changed+expires))
	f(`{"budget_usd":""}`, activeKey("other", `"models":[],"cidrs":["::/0"],"requests_per_minute":7,"burst":8,"tokens_per_minute":9,"concurrent":10,"shadow":true,"budget_usd":"","budget_period":""`, changed+expires))
	f(`{"budget_usd":"1","budget_period":"day"}`, activeKey("other", `"models":[],"cidrs":["::/0"],"requests_per_minute":7,"burst":8,"tokens_per_minute":9,"concurrent":10,"shadow":true,"budget_usd":"1","budget_period":"day"`, changed+expires))
	f(`{"budget_usd":"","budget_period":"","burst":0,"requests_per_minute":0,"tokens_per_minute":0,"concurrent":0,"shadow":false,"cidrs":[]}`,
		activeKey("other", `"models":[],"cidrs":[],`+unlimited, changed+expires))
}

func TestChangeRefuses(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci","requests_per_minute":60,"budget_usd":"1","budget_period":"day"}`)
	before := h.send("GET", "/admin/v1/keys/"+id, "").Body.String()
	f := func(body, message, param, code string) {
		t.Helper()
		h.want(h.send("PATCH", "/admin/v1/keys/"+id, body), 400, refused(message, param, code))
		if after := h.send("GET", "/admin/v1/keys/"+id, "").Body.String(); after != before {
			t.Errorf("%s changed the key:\n%s%s", body, before, after)
		}
	}
	const (
		fields  = `: the fields are name, models, cidrs, requests_per_minute, burst, tokens_per_minute, concurrent, shadow, budget_usd, budget_period, expires, disabled, tenant`
		notNull = ", not null: leave out what is not to be set"
	)
	f(`{"requests_per_minute":0,"burst":5}`, "burst: must come with requests_per_minute, whose bucket it sizes", "burst", "invalid_value")
	f(`{"name":null}`, "name: must be a string"+notNull, "name", "invalid_value")
	f(`{"models":null,"disabled":null,"burst":null}`, "models: must be a list of strings"+notNull+"; disabled: must be true or false"+notNull+"; burst: must be a whole number"+notNull, "models", "invalid_value")
	f(`{"tenant":"globex"}`, "tenant: cannot change: create a key for the other tenant, and revoke this one", "tenant", "invalid_value")
	f(`{"secret_sha256":"`+strings.Repeat("0", 64)+`","state":"active"}`, `unknown field \"secret_sha256\"`+fields+`; unknown field \"state\"`+fields, "secret_sha256", "invalid_value")
	f(`{"name":"a","name":"b"}`, "name: must be given once", "name", "invalid_value")
	f(`{"burst":true,"name":"","expires":"soon"}`, `burst: must be a whole number; expires: must be a duration such as \"720h\" or a moment such as \"2027-01-31T00:00:00Z\", got \"soon\"; `+
		`name: must be 1 to 64 printable characters without a space at either end, got \"\"`, "burst", "invalid_value")
	f(`{"budget_usd":"","budget_period":"day"}`, "budget_usd: must be above 0 where budget_period is given", "budget_usd", "invalid_value")
	f(`{"expires":"2020-01-01T00:00:00Z"}`, "expires: must be in the future, got 2020-01-01T00:00:00Z", "expires", "invalid_value")
	f(`[]`, "the body must be one JSON object: it is something else", "null", "invalid_json")
	f(``, "the body must be one JSON object: it ends too early", "null", "invalid_json")
	f(`{"name":`, "the body must be one JSON object: it ends too early", "null", "invalid_json")

	h.want(h.send("PATCH", "/admin/v1/keys/key_000000000000", `{"name":"x"}`), 404, noSuchKey)
	h.want(h.send("PATCH", "/admin/v1/keys/key_000000000000", `{"name":1}`), 404, noSuchKey)
	h.want(h.send("PATCH", "/admin/v1/keys/"+id, `{"name":"`+strings.Repeat("a", maxBody)+`"}`), 413,
		refused("the request body must be at most 64 KiB", "null", "request_too_large"))

	h.send("POST", "/admin/v1/keys/"+id+"/revoke", "")
	ended := refused("the key is revoked for good: create another", "id", "key_revoked")
	h.want(h.send("PATCH", "/admin/v1/keys/"+id, `{"name":"x"}`), 409, ended)
	h.want(h.send("POST", "/admin/v1/keys/"+id+"/rotate", `{}`), 409, ended)
	h.send("DELETE", "/admin/v1/keys/"+id, "")
	h.want(h.send("PATCH", "/admin/v1/keys/"+id, `{"name":"x"}`), 404, noSuchKey)
	h.want(h.send("POST", "/admin/v1/keys/"+id+"/rotate", ``), 404, noSuchKey)
	h.want(h.send("POST", "/admin/v1/keys/"+id+"/revoke", ``), 404, noSuchKey)
}

// A secret that was pasted into the wrong field is not stored, not shown, not logged.
func TestMisplacedSecrets(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	secret := keys.NewSecret().Reveal()
	f := func(method, target, body, param string) {
		t.Helper()
		w := h.send(method, target, strings.ReplaceAll(body, "SECRET", secret))
		if w.Code != 400 || !strings.Contains(w.Body.String(), `"param":"`+param+`"`) || strings.Contains(w.Body.String(), secret[:10]) {
			t.Errorf("%s %s: %d %s", method, body, w.Code, w.Body)
		}
	}
	const held = `must not hold a secret: rotate the key whose it is`
	h.want(h.send("POST", "/admin/v1/keys", `{"tenant":"acme","name":"`+secret+`"}`), 400, refused("name: "+held, "name", "invalid_value"))
	f("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci SECRET"}`, "name")
	f("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci","models":["SECRET"]}`, "models")
	f("POST", "/admin/v1/keys", `{"tenant":"SECRET","name":"ci"}`, "tenant")
	f("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci","cidrs":["SECRET"]}`, "cidrs")
	f("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci","expires":"SECRET"}`, "expires")
	f("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci","budget_usd":"1","budget_period":"SECRET"}`, "budget_period")
	f("PATCH", "/admin/v1/keys/"+id, `{"name":"SECRET"}`, "name")
	f("PATCH", "/admin/v1/keys/"+id, `{"models":["a","SECRET*"]}`, "models")
	f("PUT", "/admin/v1/tenants/"+secret, `{}`, "name")
	f("PUT", "/admin/v1/tenants/acme", `{"budget_usd":"1","budget_period":"SECRET"}`, "budget_period")
	for _, target := range []string{"/admin/v1/keys", "/admin/v1/audit", "/admin/v1/tenants"} {
		if w := h.send("GET", target, ""); strings.Contains(w.Body.String(), secret[:10]) {
			t.Errorf("%s holds the secret: %s", target, w.Body)
		}
	}
	if strings.Contains(h.log.String(), secret[:10]) {
		t.Errorf("the log holds the secret: %s", h.log)
	}
}

// Mistakes beyond counting are not all told: the answer stays short.
func TestManyBadFields(t *testing.T) {
	h := newHouse(t)
	var body strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&body, `"f%d":0,`, i)
	}
	w := h.send("POST", "/admin/v1/keys/key_000000000000/rotate", "{"+body.String()+`"x":1}`)
	if n := strings.Count(w.Body.String(), "unknown field"); w.Code != 400 || n != 20 {
		t.Errorf("%d, %d of 5001 bad fields are told", w.Code, n)
	}
}

func TestList(t *testing.T) {
	h := newHouse(t)
	ids := make(map[string]string) // by name
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		tenant := "acme"
		if name == "c" {
			tenant = "globex"
		}
		ids[name], _ = h.issue(`{"tenant":"` + tenant + `","name":"` + name + `"}`)
		// The list is in the order of creation, which is kept to the millisecond.
		for first, _ := h.keys.Show(t.Context(), ids[name]); !h.server.now().After(first.CreatedAt.Add(2e6)); {
			continue
		}
	}
	h.send("PATCH", "/admin/v1/keys/"+ids["d"], `{"disabled":true}`)
	h.send("POST", "/admin/v1/keys/"+ids["e"]+"/revoke", ``)
	names := regexp.MustCompile(`"name":"(\w)"|"next":"(key_\w+)"`)
	f := func(query, want string) {
		t.Helper()
		w := h.send("GET", "/admin/v1/keys?"+query, "")
		got := ""
		for _, m := range names.FindAllStringSubmatch(w.Body.String(), -1) {
			if got += m[1]; m[2] != "" {
				got += ">" + m[2]
			}
		}
		if w.Code != http.StatusOK || got != want {
			t.Errorf("%s: got %d %s, want %s", query, w.Code, got, want)
		}
	}
	f("", "abcde")
	f("limit=5", "abcde")
	f("limit=2", "ab>"+ids["b"])
	f("limit=2&after="+ids["b"], "cd>"+ids["d"])
	f("limit=2&after="+ids["d"], "e")
	f("after="+ids["e"], "")
	f("tenant=acme&limit=2", "ab>"+ids["b"])
	f("tenant=acme&limit=2&after="+ids["b"], "de")
	f("tenant=acme&name=b", "b")
	f("name=nobody", "")
	f("state=active", "abc")
	f("state=disabled", "d")
	f("state=revoked&tenant=acme", "e")
	f("state=expired", "")
	f("tenant=&after=&name=", "abcde")

	bad := func(query, message, param string) {
		t.Helper()
		h.want(h.send("GET", "/admin/v1/keys?"+query, ""), 400, refused(message, param, "invalid_value"))
	}
	const known = "; known here: tenant, name, state, limit, after"
	bad("state=gone&limit=0", `state: must be active, disabled, expired or revoked, got \"gone\"; limit: must be a whole number from 1 to 10000, got \"0\"`, "state")
	bad("limit=10001", `limit: must be a whole number from 1 to 10000, got \"10001\"`, "limit")
	bad("limit=ten", `limit: must be a whole number from 1 to 10000, got \"ten\"`, "limit")
	bad("limit=1&limit=2&Tenant=x", `unknown parameter \"Tenant\"`+known+"; limit: must be given once", "Tenant")
	bad("%zz", "the query string is not well-formed", "null")
	if w := h.send("GET", "/admin/v1/keys?after=key_000000000000", ""); w.Code != 400 || !strings.Contains(w.Body.String(), `"param":"after"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Operators who work at the same time lose nothing of each other's work.
func TestConcurrentChanges(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	var group sync.WaitGroup
	for _, body := range []string{`{"name":"other"}`, `{"models":["a"]}`, `{"burst":2,"requests_per_minute":1}`, `{"concurrent":3}`, `{"shadow":true}`, `{"tokens_per_minute":4}`, `{"disabled":true}`} {
		group.Go(func() {
			if w := h.send("PATCH", "/admin/v1/keys/"+id, body); w.Code != 200 {
				t.Errorf("%s: %d %s", body, w.Code, w.Body)
			}
		})
	}
	group.Wait()
	h.want(h.send("GET", "/admin/v1/keys/"+id, ""), 200, `{"id":"ID","tenant":"acme","name":"other","last4":"LAST","state":"disabled","models":["a"],"cidrs":[],`+
		`"requests_per_minute":1,"burst":2,"tokens_per_minute":4,"concurrent":3,"shadow":true,"budget_usd":"","budget_period":"","disabled":true,"created_at":"NOW","updated_at":"NOW",`+
		`"version":0,"standing":[]}`)
	if w := h.send("GET", "/admin/v1/audit?key="+id, ""); strings.Count(w.Body.String(), `"key.update"`) != 7 {
		t.Errorf("seven changes left this audit: %s", w.Body)
	}
}
