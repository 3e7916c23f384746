package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
)

// unlimited are the fields of a key or a tenant that has no limits.
const unlimited = `"requests_per_minute":0,"burst":0,"tokens_per_minute":0,"concurrent":0,"shadow":false,"budget_usd":"","budget_period":""`

// issue creates a key, and returns its id and its secret.
func (h *house) issue(body string) (id, secret string) {
	h.Helper()
	w := h.send("POST", "/admin/v1/keys", body)
	if w.Code != 201 {
		h.Fatalf("%d %s", w.Code, w.Body)
	}
	return regexp.MustCompile(`key_\w+`).FindString(w.Body.String()), regexp.MustCompile(`tg_\w+`).FindString(w.Body.String())
}

// opens tells which key the secret opens, or why it does not.
func (h *house) opens(secret string) (id string, err error) {
	key, err := h.keys.Authenticate(h.Context(), []byte(secret), netip.MustParseAddr("203.0.113.7"))
	if err != nil {
		return "", err
	}
	return key.ID, nil
}

func TestLifeOfAKey(t *testing.T) {
	h := newHouse(t)
	h.want(h.send("GET", "/admin/v1/keys", ""), 200, `{"keys":[]}`)

	created := h.send("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci <1>","models":["a","b*"],"cidrs":["203.0.113.0/24"],"requests_per_minute":60,"burst":10,`+
		`"tokens_per_minute":1000,"concurrent":2,"shadow":true,"budget_usd":"25.50","budget_period":"month","expires":"2999-01-31T01:00:00+01:00","disabled":true}`)
	const (
		begin  = `{"id":"ID",`
		middle = `"tenant":"acme","name":"ci <1>","last4":"LAST",`
		fields = `"models":["a","b*"],"cidrs":["203.0.113.0/24"],"requests_per_minute":60,"burst":10,"tokens_per_minute":1000,"concurrent":2,"shadow":true,` +
			`"budget_usd":"25.5","budget_period":"month",`
		end = `"created_at":"NOW","updated_at":"NOW","expires_at":"2999-01-31T00:00:00Z","version":0}`
	)
	h.want(created, 201, begin+`"secret":"SECRET",`+middle+`"state":"disabled",`+fields+`"disabled":true,"created_at":"NOW","expires_at":"2999-01-31T00:00:00Z","version":0}`)
	secret := regexp.MustCompile(`tg_\w+`).FindString(created.Body.String())
	id := regexp.MustCompile(`key_\w+`).FindString(created.Body.String())
	if last4 := `"last4":"` + secret[len(secret)-4:] + `"`; !strings.Contains(created.Body.String(), last4) {
		t.Errorf("the answer does not hold %s", last4)
	}
	if _, err := h.opens(secret); !errors.Is(err, keys.ErrDisabled) {
		t.Errorf("a disabled key: %v", err)
	}

	active := begin + middle + `"state":"active",` + fields + `"disabled":false,` + end
	h.want(h.send("PATCH", "/admin/v1/keys/"+id, `{"disabled":false}`), 200, active)
	h.want(h.send("GET", "/admin/v1/keys/"+id, ""), 200, alone(active))
	h.want(h.send("GET", "/admin/v1/keys", ""), 200, `{"keys":[`+active+`]}`)
	if got, err := h.opens(secret); err != nil || got != id {
		t.Errorf("the secret does not open its key: %v, %v", got, err)
	}

	rotated := h.send("POST", "/admin/v1/keys/"+id+"/rotate", `{"grace":"24h"}`)
	h.want(rotated, 200, begin+`"secret":"SECRET",`+middle+`"state":"active",`+fields+
		`"disabled":false,"created_at":"NOW","updated_at":"NOW","rotated_at":"NOW","previous_until":"SOON","expires_at":"2999-01-31T00:00:00Z","version":0}`)
	second := regexp.MustCompile(`tg_\w+`).FindString(rotated.Body.String())
	for _, one := range []string{secret, second} {
		if got, err := h.opens(one); err != nil || got != id || secret == second {
			t.Errorf("within the grace of a rotation: %v, %v", got, err)
		}
	}

	revoked := begin + middle + `"state":"revoked",` + fields +
		`"disabled":false,"created_at":"NOW","updated_at":"NOW","rotated_at":"NOW","previous_until":"SOON","expires_at":"2999-01-31T00:00:00Z","revoked_at":"NOW","version":0}`
	first := h.send("POST", "/admin/v1/keys/"+id+"/revoke", "")
	h.want(first, 200, revoked)
	h.want(h.send("GET", "/admin/v1/keys/"+id, ""), 200, alone(revoked))
	if again := h.send("POST", "/admin/v1/keys/"+id+"/revoke", "{}"); again.Body.String() != first.Body.String() {
		t.Errorf("revoking again changed the key:\n%s%s", first.Body, again.Body)
	}
	if _, err := h.opens(second); !errors.Is(err, keys.ErrRevoked) {
		t.Errorf("after the revocation: %v", err)
	}

	deleted := h.send("DELETE", "/admin/v1/keys/"+id, "")
	h.want(deleted, 200, revoked)
	if again := h.send("DELETE", "/admin/v1/keys/"+id, ""); again.Code != 200 || again.Body.String() != deleted.Body.String() {
		t.Errorf("deleting again changed the key:\n%s%s", deleted.Body, again.Body)
	}
	h.want(h.send("GET", "/admin/v1/keys/"+id, ""), 404, noSuchKey)
	h.want(h.send("GET", "/admin/v1/keys", ""), 200, `{"keys":[]}`)
}

func TestPlainKey(t *testing.T) {
	h := newHouse(t)
	h.want(h.send("POST", "/admin/v1/keys", ` {"name":"plain","tenant":"globex"} `), 201,
		`{"id":"ID","secret":"SECRET","tenant":"globex","name":"plain","last4":"LAST","state":"active",`+
			`"models":[],"cidrs":[],`+unlimited+`,"disabled":false,"created_at":"NOW","version":0}`)
}

// A revocation at once is told to whoever relays answers of the key.
func TestRevokeNow(t *testing.T) {
	h := newHouse(t)
	f := func(body string, want bool) {
		t.Helper()
		id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
		watch := h.keys.Cuts().Watch(id)
		if w := h.send("POST", "/admin/v1/keys/"+id+"/revoke", body); w.Code != 200 || watch.Severed() != want {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	f(`{"now":true}`, true)
	f(`{"now":false}`, false)
	f(`{}`, false)
	f(``, false)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	h.want(h.send("POST", "/admin/v1/keys/"+id+"/revoke", `{"now":"true"}`), 400, refused("now: must be true or false", "now", "invalid_value"))
	h.want(h.send("POST", "/admin/v1/keys/"+id+"/revoke", `{"Now":true}`), 400, refused(`unknown field \"Now\": the fields are now`, "Now", "invalid_value"))
	h.want(h.send("POST", "/admin/v1/keys/"+id+"/revoke?now=true", ``), 400, refused(`unknown parameter \"now\"; there are none here`, "now", "invalid_value"))
}

func TestStateAndDurations(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci","expires":"720h"}`)
	key, err := h.keys.Show(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if life := key.ExpiresAt.Sub(key.CreatedAt).Round(time.Minute); life != 720*time.Hour {
		t.Errorf("the key lives %s, want 720h", life)
	}
	h.server.now = func() time.Time { return key.ExpiresAt }
	if got := h.send("GET", "/admin/v1/keys/"+id, "").Body.String(); !strings.Contains(got, `"state":"expired"`) {
		t.Errorf("got %s", got)
	}
}

func TestCreateRefuses(t *testing.T) {
	h := newHouse(t)
	f := func(body, message, param, code string) {
		t.Helper()
		h.want(h.send("POST", "/admin/v1/keys", body), 400, refused(message, param, code))
	}
	const (
		badTenant = `tenant: must be 1 to 32 lower-case letters, digits and inner hyphens, got `
		badName   = `name: must be 1 to 64 printable characters without a space at either end, got `
		notJSON   = "the body must be one JSON object: "
		fields    = `: the fields are tenant, name, models, cidrs, requests_per_minute, burst, tokens_per_minute, concurrent, shadow, budget_usd, budget_period, expires, disabled, secret_sha256, last4, minted`
	)
	f(`{"tenant":"Acme","name":"ci"}`, badTenant+`\"Acme\"`, "tenant", "invalid_value")
	f(`{}`, badTenant+`\"\"; `+badName+`\"\"`, "tenant", "invalid_value")
	f(`{"tenant":"acme","name":"ci","requests_per_minute":-1}`,
		"requests_per_minute: must be 0 (none of its own) to 1000000000, got -1", "requests_per_minute", "invalid_value")
	f(`{"tenant":"acme","name":"ci","expires":"2020-01-01T00:00:00Z"}`, "expires: must be in the future, got 2020-01-01T00:00:00Z", "expires", "invalid_value")
	f(`{"tenant":"acme","expires":"tomorrow"}`,
		`expires: must be a duration such as \"720h\" or a moment such as \"2027-01-31T00:00:00Z\", got \"tomorrow\"; `+badName+`\"\"`, "expires", "invalid_value")
	f(`{"tenant":1,"name":"ci","models":"a","requests_per_minute":1.5,"expires":{}}`,
		"tenant: must be a string; models: must be a list of strings; requests_per_minute: must be a whole number; expires: must be a string", "tenant", "invalid_value")
	f(`{"tenant":"acme","name":"ci","models":[1]}`, "models: must be a list of strings", "models", "invalid_value")

	f(`{"tenant":"acme","name":"ci","budget":"25"}`, `unknown field \"budget\"`+fields, "budget", "invalid_value")
	f(`{"TENANT":"acme","name":"ci"}`, `unknown field \"TENANT\"`+fields+"; "+badTenant+`\"\"`, "TENANT", "invalid_value")
	f(`{"tenant":"acme","name":"ci","models":null,"expires":null}`, "models: must be a list of strings, not null: leave out what is not to be set; "+
		"expires: must be a string, not null: leave out what is not to be set", "models", "invalid_value")
	f(`{"tenant":"acme","name":"ci","expires":"0001-01-01T00:00:00Z"}`, "expires: must be in the future, got 0001-01-01T00:00:00Z", "expires", "invalid_value")
	f(`{"tenant":"acme","name":"ci","expires":"2020-01-01T00:00:00Z","disabled":"no","tenants":[{"a":[1]}],"a\nb":0}`, `disabled: must be true or false; unknown field \"tenants\"`+fields+
		`; unknown field \"a\\nb\"`+fields+`; expires: must be in the future, got 2020-01-01T00:00:00Z`, "disabled", "invalid_value")
	f(`{"tenant":"acme","name":"ci","cidrs":["10.0.0.1"],"budget_usd":"many","budget_period":"week","burst":5,"tokens_per_minute":-1,"concurrent":1000001}`,
		`cidrs: each must be a prefix such as 203.0.113.0/24 or 2001:db8::/32, got \"10.0.0.1\"; burst: must come with requests_per_minute, whose bucket it sizes; `+
			`tokens_per_minute: must be 0 (none of its own) to 1000000000000, got -1; concurrent: must be 0 (none of its own) to 1000000, got 1000001; `+
			`budget_usd: must be an amount of dollars such as \"25\" or \"0.50\", or \"\" for no budget; budget_period: must be day, month or total, got \"week\"`,
		"cidrs", "invalid_value")
	f(`{"tenant":"acme","name":"ci","cidrs":["10.0.0.1/8"],"budget_usd":25,"budget_period":"day"}`, `budget_usd: must be a string; `+
		`cidrs: each must be a prefix such as 203.0.113.0/24 or 2001:db8::/32, without bits behind its length, got \"10.0.0.1/8\"`, "budget_usd", "invalid_value")
	f(`{"tenant":"acme","name":"ci","tenant":"globex"}`, "tenant: must be given once", "tenant", "invalid_value")
	f(`{"tenant":"acme","name":"ci"}{}`, notJSON+"there is something behind the object", "null", "invalid_json")
	f(`{"tenant":"acme","name":"ci"} x`, notJSON+"invalid character 'x' looking for beginning of value", "null", "invalid_json")
	f(``, notJSON+"it ends too early", "null", "invalid_json")
	f(`{"tenant":"acme"`, notJSON+"it ends too early", "null", "invalid_json")
	f(`{"tenant":`, notJSON+"it ends too early", "null", "invalid_json")
	f(`{tenant:1}`, notJSON+"invalid character 't'", "null", "invalid_json")
	f(`[]`, notJSON+"it is something else", "null", "invalid_json")
	f(`null`, notJSON+"it is something else", "null", "invalid_json")
	f(`"tenant"`, notJSON+"it is something else", "null", "invalid_json")

	h.want(h.send("POST", "/admin/v1/keys", `{"tenant":"`+strings.Repeat("a", maxBody)+`"}`), 413,
		refused("the request body must be at most 64 KiB", "null", "request_too_large"))
	h.want(h.send("GET", "/admin/v1/keys", ""), 200, `{"keys":[]}`)
}

func FuzzCreateBody(f *testing.F) {
	for _, seed := range []string{
		`{"tenant":"acme","name":"ci","models":["a*"],"requests_per_minute":60,"expires":"1h"}`,
		`{"tenant":"acme","tenant":"b"}`, `{}`, `[]`, `{"a":`, `{"expires":"9223372036854775807ns"}`, "{}{}", "\xff", `{"secret_sha256":"00","last4":"abcde","cidrs":["::/0"],"budget_usd":"0.1"}`, `{"models":null,"x":[`, `{"name":"\ud800"}`,
		strings.Repeat("9", 400), `{` + strings.Repeat("9", 400),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var asked NewKey
		err := readObject(strings.NewReader(body), asked.fields())
		if err == nil && !json.Valid([]byte(body)) {
			t.Fatalf("%q was taken", body)
		}
		if err == nil {
			_, err = asked.spec(time.Now())
		}
		if _, badSecret := readSecret(asked.SHA256, asked.Last4); err == nil {
			err = badSecret
		}
		if err != nil && failureOf(err).status != http.StatusBadRequest {
			t.Fatalf("%q is answered %d: %v", body, failureOf(err).status, err)
		}
	})
}
