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

func TestLifeOfAKey(t *testing.T) {
	h := newHouse(t)
	h.want(h.send("GET", "/admin/v1/keys", ""), 200, `{"keys":[]}`)

	created := h.send("POST", "/admin/v1/keys",
		`{"tenant":"acme","name":"ci <1>","models":["a","b*"],"requests_per_minute":60,"expires":"2999-01-31T01:00:00+01:00"}`)
	h.want(created, 201, `{"id":"ID","secret":"SECRET","tenant":"acme","name":"ci <1>","last4":"LAST","state":"active",`+
		`"models":["a","b*"],"requests_per_minute":60,"created_at":"NOW","expires_at":"2999-01-31T00:00:00Z"}`)
	secret := regexp.MustCompile(`tg_\w+`).FindString(created.Body.String())
	id := regexp.MustCompile(`key_\w+`).FindString(created.Body.String())
	if key, err := h.keys.Authenticate(t.Context(), []byte(secret), netip.Addr{}); err != nil || key.ID != id {
		t.Errorf("the secret does not open its key: %v, %v", key, err)
	}
	if last4 := `"last4":"` + secret[len(secret)-4:] + `"`; !strings.Contains(created.Body.String(), last4) {
		t.Errorf("the answer does not hold %s", last4)
	}

	h.want(h.send("POST", "/admin/v1/keys", ` {"name":"plain","tenant":"globex","models":null} `), 201,
		`{"id":"ID","secret":"SECRET","tenant":"globex","name":"plain","last4":"LAST","state":"active",`+
			`"models":[],"requests_per_minute":0,"created_at":"NOW"}`)

	shown := `{"id":"ID","tenant":"acme","name":"ci <1>","last4":"LAST","state":"active",` +
		`"models":["a","b*"],"requests_per_minute":60,"created_at":"NOW","expires_at":"2999-01-31T00:00:00Z"}`
	h.want(h.send("GET", "/admin/v1/keys/"+id, ""), 200, shown)
	h.want(h.send("GET", "/admin/v1/keys", ""), 200, `{"keys":[`+shown+
		`,{"id":"ID","tenant":"globex","name":"plain","last4":"LAST","state":"active","models":[],"requests_per_minute":0,"created_at":"NOW"}]}`)

	revoked := `{"id":"ID","tenant":"acme","name":"ci <1>","last4":"LAST","state":"revoked",` +
		`"models":["a","b*"],"requests_per_minute":60,"created_at":"NOW","expires_at":"2999-01-31T00:00:00Z","revoked_at":"NOW"}`
	first := h.send("DELETE", "/admin/v1/keys/"+id, "")
	h.want(first, 200, revoked)
	h.want(h.send("GET", "/admin/v1/keys/"+id, ""), 200, revoked)
	if again := h.send("DELETE", "/admin/v1/keys/"+id, ""); again.Body.String() != first.Body.String() {
		t.Errorf("revoking again changed the key:\n%s%s", first.Body, again.Body)
	}
	if _, err := h.keys.Authenticate(t.Context(), []byte(secret), netip.Addr{}); !errors.Is(err, keys.ErrRevoked) {
		t.Errorf("after the revocation: %v", err)
	}
}

func TestStateAndDurations(t *testing.T) {
	h := newHouse(t)
	w := h.send("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci","expires":"720h"}`)
	id := regexp.MustCompile(`key_\w+`).FindString(w.Body.String())
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
		fields    = `: the fields are tenant, name, models, requests_per_minute, expires`
	)
	f(`{"tenant":"Acme","name":"ci"}`, badTenant+`\"Acme\"`, "tenant", "invalid_value")
	f(`{}`, badTenant+`\"\"; `+badName+`\"\"`, "tenant", "invalid_value")
	f(`{"tenant":"acme","name":"ci","requests_per_minute":-1}`,
		"requests_per_minute: must be 0 (the configured default) to 1000000000, got -1", "requests_per_minute", "invalid_value")
	f(`{"tenant":"acme","name":"ci","expires":"2020-01-01T00:00:00Z"}`, "expires: must be in the future, got 2020-01-01T00:00:00Z", "expires", "invalid_value")
	f(`{"tenant":"acme","expires":"tomorrow"}`,
		badName+`\"\"; expires: must be a duration such as \"720h\" or a moment such as \"2027-01-31T00:00:00Z\", got \"tomorrow\"`, "name", "invalid_value")
	f(`{"tenant":1,"name":"ci","models":"a","requests_per_minute":1.5,"expires":{}}`,
		"tenant: must be a string; models: must be a list of strings; requests_per_minute: must be a whole number; expires: must be a string", "tenant", "invalid_value")
	f(`{"tenant":"acme","name":"ci","models":[1]}`, "models: must be a list of strings", "models", "invalid_value")

	f(`{"tenant":"acme","name":"ci","budget":"25"}`, `unknown field \"budget\"`+fields, "budget", "invalid_value")
	f(`{"TENANT":"acme","name":"ci"}`, `unknown field \"TENANT\"`+fields, "TENANT", "invalid_value")
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
		`{"tenant":"acme","tenant":"b"}`, `{}`, `[]`, `{"a":`, `{"expires":"9223372036854775807ns"}`, "{}{}", "\xff", `{"name":"\ud800"}`,
		strings.Repeat("9", 400), `{` + strings.Repeat("9", 400),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var asked NewKey
		err := readObject(strings.NewReader(body), []field{
			{"tenant", &asked.Tenant, "a string"},
			{"requests_per_minute", &asked.RequestsPerMinute, "a whole number"},
			{"expires", &asked.Expires, "a string"},
		})
		if err == nil {
			_, err = asked.spec(time.Now())
			if !json.Valid([]byte(body)) {
				t.Fatalf("%q was taken", body)
			}
		}
		if err != nil && failureOf(err).status != http.StatusBadRequest {
			t.Fatalf("%q is answered %d: %v", body, failureOf(err).status, err)
		}
	})
}
