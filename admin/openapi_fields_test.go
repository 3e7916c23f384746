package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tollgate/keys"

	"github.com/getkin/kin-openapi/openapi3"
)

// What the document says of a field is what is taken, both ways.
func TestDocumentedFields(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	check := func(schema, method, target string, body map[string]any, want bool) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		documented := h.contract.document.Components.Schemas[schema].Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
		w := h.send(method, target, string(text))
		if taken := w.Code < 300; taken != want || (documented == nil) != want {
			t.Errorf("%s: want %t, answered %d %sdocumented %v", text, want, w.Code, w.Body, documented)
		}
	}
	n := 0
	f := func(field string, want bool, values ...any) {
		t.Helper()
		for _, value := range values {
			n++
			body := map[string]any{"tenant": "acme", "name": "ci", "secret_sha256": hashOf(foreign + fmt.Sprint(n))}
			body[field] = value
			check("NewKey", "POST", "/admin/v1/keys", body, want)
			if field != "last4" && field != "secret_sha256" && field != "tenant" {
				check("KeyPatch", "PATCH", "/admin/v1/keys/"+id, map[string]any{field: value}, want)
			}
		}
	}
	secret := keys.NewSecret().Reveal()
	f("tenant", true, "a", "acme-emea--2", strings.Repeat("a", 32))
	f("tenant", false, "", "Acme", "-a", "a-", "a_b", strings.Repeat("a", 33))
	f("name", true, "a", "a b", "née <ci> 東京 ½ €", strings.Repeat("é", 64), "e\u0301", "tg_short")
	f("name", false, "", " a", "a ", "a\tb", "a\u00a0b", "a\u202eb", "a\ufffdb", strings.Repeat("é", 65), secret, "my "+secret)
	f("models", true, []string{}, []string{"*", "a*", "anthropic/claude:v2@x+y_z-1.0"}, []string{strings.Repeat("m", 128)})
	f("models", false, []string{""}, []string{"a*b"}, []string{"**"}, []string{"a b"}, []string{strings.Repeat("m", 129)}, []string{secret}, make([]string, 65))
	f("cidrs", true, []string{}, []string{"203.0.113.0/24", "2001:db8::/32", "::/0", "2001:DB8::/32", "1111:2222:3333:4444:5555:6666:255.255.255.255/128"})
	f("cidrs", false, []string{"10.0.0.1"}, []string{""}, []string{"fe80::%eth0/64"}, []string{"example.com/24"}, make([]string, 65))
	f("expires", true, "", "720h", "+1.5h30m", "1h.5s", "2999-01-31T00:00:00Z", "2999-01-31T00:00:00.5+01:00")
	f("expires", false, "-1h", "720", "1d", "tomorrow", "2999-01-31", "2999-01-31T1:00:00Z", "2999-01-31T00:00:00,5Z", "2999-01-31 00:00:00Z")
	f("shadow", true, true, false)
	f("shadow", false, "yes", 1, nil)
	f("last4", true, "", "wxyz", "!~", "a")
	f("last4", false, "abcde", "a b", "é", "\x7f")
	f("secret_sha256", true, "", hashOf("f"), strings.ToUpper(hashOf("g")))
	f("secret_sha256", false, "00", hashOf("f")+"0", "x"+hashOf("f")[1:])
	for grace, want := range map[string]bool{"": true, "0": true, "24h": true, "+1h": true, "a day": false, "24": false, "1d": false} {
		check("Rotation", "POST", "/admin/v1/keys/"+id+"/rotate", map[string]any{"grace": grace}, want)
	}
}
