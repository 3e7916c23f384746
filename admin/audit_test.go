package admin

import (
	"encoding/json"
	"regexp"
	"strconv"
	"testing"
)

// The audit names the token that was presented, and what was changed with it.
func TestAudit(t *testing.T) {
	h := newHouse(t)
	h.want(h.send("GET", "/admin/v1/audit", ""), 200, `{"changes":[]}`)
	asAlice := "Authorization: Bearer " + aliceToken.Reveal()
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	h.send("PATCH", "/admin/v1/keys/"+id, `{"models":["a","b*"],"requests_per_minute":60}`, asAlice)
	h.send("PATCH", "/admin/v1/keys/"+id, `{"models":["a","b*"]}`, asAlice)   // as it is
	h.send("PATCH", "/admin/v1/keys/"+id, `{"models":["a b"]}`, asAlice)      // refused
	h.send("PATCH", "/admin/v1/keys/"+id, `{"name":"x"}`, "Authorization: x") // by nobody
	h.send("PUT", "/admin/v1/tenants/globex", `{"budget_usd":"1.50","budget_period":"day"}`)
	h.send("POST", "/admin/v1/keys/"+id+"/revoke", `{"now":true}`, asAlice)

	const (
		created  = `{"version":0,"at":"NOW","by":"admin","action":"key.create","key_id":"ID","tenant":"acme","changes":[{"field":"name","from":"","to":"ci"},{"field":"last4","from":"","to":"LAST"}]}`
		updated  = `{"version":0,"at":"NOW","by":"alice","action":"key.update","key_id":"ID","tenant":"acme","changes":[{"field":"models","from":"","to":"a,b*"},{"field":"requests_per_minute","from":"","to":"60"}]}`
		tenant   = `{"version":0,"at":"NOW","by":"admin","action":"tenant.set","tenant":"globex","changes":[{"field":"budget_usd","from":"","to":"1.5"},{"field":"budget_period","from":"","to":"day"}]}`
		revoked  = `{"version":0,"at":"NOW","by":"alice","action":"key.revoke","key_id":"ID","tenant":"acme","changes":[{"field":"revoked_at","from":"","to":"NOW"},{"field":"severed","from":"","to":"true"}]}`
		begin    = `{"changes":[`
		end      = `]}`
		thenMore = `],"next":0}`
	)
	f := func(query, want string) {
		t.Helper()
		h.want(h.send("GET", "/admin/v1/audit"+query, ""), 200, want)
	}
	f("", begin+revoked+","+tenant+","+updated+","+created+end)
	f("?by=alice", begin+revoked+","+updated+end)
	f("?by=admin&tenant=acme", begin+created+end)
	f("?tenant=globex", begin+tenant+end)
	f("?key="+id+"&limit=2", begin+revoked+","+updated+thenMore)
	f("?key=key_000000000000", `{"changes":[]}`)
	f("?limit=4", begin+revoked+","+tenant+","+updated+","+created+end)

	var page AuditPage
	if err := json.Unmarshal(h.send("GET", "/admin/v1/audit?limit=3", "").Body.Bytes(), &page); err != nil || len(page.Changes) != 3 || page.Next != page.Changes[2].Version {
		t.Fatalf("%+v, %v", page, err)
	}
	f("?limit=3&before="+strconv.FormatUint(page.Next, 10), begin+created+end)
	f("?before=1", `{"changes":[]}`)

	bad := func(query, message, param string) {
		t.Helper()
		h.want(h.send("GET", "/admin/v1/audit?"+query, ""), 400, refused(message, param, "invalid_value"))
	}
	bad("limit=0&before=x", `limit: must be a whole number from 1 to 10000, got \"0\"; before: must be the next of the page before, got \"x\"`, "limit")
	bad("before=-1", `before: must be the next of the page before, got \"-1\"`, "before")
	bad("after=1", `unknown parameter \"after\"; known here: key, tenant, by, limit, before`, "after")
}

// No secret is in what the API says after the answer that issued it, in the audit or in the log, however it is asked.
func TestNothingSecretIsSaid(t *testing.T) {
	h := newHouse(t)
	id, first := h.issue(`{"tenant":"acme","name":"ci"}`)
	rotated := h.send("POST", "/admin/v1/keys/"+id+"/rotate", `{"grace":"1h"}`)
	second := regexp.MustCompile(`tg_\w+`).FindString(rotated.Body.String())
	h.send("POST", "/admin/v1/keys", `{"tenant":"acme","name":"old","secret_sha256":"`+hashOf(foreign)+`","last4":"wxyz"}`)
	said := ""
	for _, secret := range []string{first, second, "x" + first, first[:20]} {
		for _, method := range []string{"GET", "PATCH", "DELETE", "PUT", "POST"} {
			for _, path := range []string{"/keys/", "/tenants/", "/requests/", "/keys/x", "/"} {
				said += h.send(method, "/admin/v1"+path+secret, `{"name":"x"}`).Body.String()
			}
		}
		for _, body := range []string{
			`{"tenant":"` + secret + `","name":"` + secret + `\n"}`, `{"` + secret + `":1}`, `{"tenant":"acme","name":"ci","models":["` + secret + `\n"],"cidrs":["` + secret + `"]}`,
			secret, `"` + secret, `{"tenant":` + secret, `{"expires":"\n` + secret + `","budget_usd":"` + secret + `","budget_period":"` + secret + `","last4":"` + secret + `"}`,
			`{"secret_sha256":"` + secret + `"}`, `{"grace":"` + secret + `"}`, `{"now":"` + secret + `"}`,
		} {
			for _, path := range []string{"/keys", "/keys/" + id + "/rotate", "/keys/" + id + "/revoke", "/explain?key=" + secret} {
				said += h.send("POST", "/admin/v1"+path, body).Body.String()
			}
			said += h.send("PATCH", "/admin/v1/keys/"+id, body).Body.String() + h.send("PUT", "/admin/v1/tenants/acme", body).Body.String()
		}
		for _, path := range []string{
			"keys?after=" + secret, "keys?" + secret + "=1", "keys?state=" + secret, "keys?limit=" + secret, "keys?tenant=" + secret, "audit?before=" + secret, "audit?by=" + secret,
			"usage?by=" + secret, "usage?from=" + secret, "usage?key=" + secret,
		} {
			said += h.send("GET", "/admin/v1/"+path, "").Body.String()
		}
	}
	said += h.send("GET", "/admin/v1/keys", "").Body.String() + h.send("GET", "/admin/v1/keys/"+id, "").Body.String() + h.send("GET", "/admin/v1/audit", "").Body.String()
	secrets := []string{first[:20], second[:20], foreign, hashOf(foreign), hashOf(first), hashOf(second), testToken.Reveal(), aliceToken.Reveal()}
	if found := secretIn(said, secrets); found != "" {
		t.Errorf("an answer holds %s", found)
	}
	if found := secretIn(h.log.String(), secrets); found != "" {
		t.Errorf("the log holds %s", found)
	}
}
