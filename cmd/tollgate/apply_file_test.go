package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tollgate/keys"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestKeysFile reads all that a file can hold, in both ways of writing YAML.
func TestKeysFile(t *testing.T) {
	f := func(text string, want keysFile) {
		t.Helper()
		got, err := readKeysFile("keys.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		options := cmp.Options{cmp.AllowUnexported(wantedTenant{}, wantedKey{}), cmpopts.EquateComparable()}
		if diff := cmp.Diff(want.tenants, got.tenants, options) + cmp.Diff(want.keys, got.keys, options); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", text, diff)
		}
	}
	all := wantedKey{path: "keys[0]", id: "key_Xy12Zab34Cde", sha256: strings.Repeat("0a", 32), last4: "1234", Spec: keys.Spec{
		Tenant: "acme", Name: "ci: 1", Models: []string{"a", "b*"}, Limits: keys.Limits{RequestsPerMinute: 1, Burst: 2, TokensPerMinute: 3, Concurrent: 4, Shadow: true},
		Budget: keys.Budget{NanoUSD: 500_000_000, Per: keys.PerDay}, ExpiresAt: time.Date(2035, 1, 31, 1, 0, 0, 0, time.UTC), Disabled: true,
	}, saysDisabled: true}
	f(`
keys:
  - tenant: acme
    name: "ci: 1"
    id: key_Xy12Zab34Cde
    models: [a, "b*"]
    cidrs: []
    requests_per_minute: 1
    burst: 2
    tokens_per_minute: 3
    concurrent: 4
    shadow: true
    budget_usd: 0.50      # as a number, exactly
    budget_period: day
    expires: 2035-01-31T02:00:00+01:00
    disabled: true
    secret_sha256: "`+strings.Repeat("0a", 32)+`"
    last4: "1234"
`, keysFile{keys: []wantedKey{all}})
	f(`{"tenants":[{"name":"acme","budget_usd":"0.50","budget_period":"day"}],"keys":[]}`, keysFile{tenants: []wantedTenant{
		{path: "tenants[0]", name: "acme", TenantSpec: keys.TenantSpec{Budget: keys.Budget{NanoUSD: 500_000_000, Per: keys.PerDay}}},
	}})
	f("keys: []\n", keysFile{})
}

// TestKeysFileMistakes tells of each where it stands.
func TestKeysFileMistakes(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := readKeysFile("k", []byte(text))
		if got := fmt.Sprint(err); got != strings.Join(want, "\n") {
			t.Errorf("%s\ngot\n%s\nwant\n%s", text, got, strings.Join(want, "\n"))
		}
	}
	f("", `k: says nothing: write tenants, keys or both; an empty list for none`)
	f("# nothing\n", `k: says nothing: write tenants, keys or both; an empty list for none`)
	f("keys", `k:1:1: must be a mapping of names and values, got text`)
	f("- 1", `k:1:1: must be a mapping of names and values, got a list`)
	f("keys: {}", `k:1:7: keys: must be a list, got a mapping`)
	f("keys: [", `k:1:7: not valid YAML: sequence end token ']' not found`)
	f("keys: []\nkeys: []", `k:2:1: keys: set twice; the first time in line 1`)
	f("keys: &a []", `k:1:7: anchors, aliases and merge keys are not supported: write the value out at each place`)
	f("keys: !!seq []", `k:1:7: tags and directives are not supported: a field knows its own type`)
	f("keys: []\n---\nkeys: []", `k:2:1: a second document begins here; the file is one document`)
	f("keys: "+strings.Repeat("[", 17), `k:1:23: lists and mappings are nested more than 16 deep`)
	f("keys:", `k:1:1: keys: has no value: leave the field out for its default, or write [] for an empty list`)
	f("keys: [{tenant: acme, name: a, models: null, cidrs: , expires: ~}]",
		`k:1:32: keys[0].models: has no value: leave the field out for its default, or write [] for an empty list`,
		`k:1:46: keys[0].cidrs: has no value: leave the field out for its default, or write [] for an empty list`,
		`k:1:55: keys[0].expires: has no value: leave the field out for its default, or write [] for an empty list`)
	f("keys: \xff", `k: not UTF-8 text`)
	f("keys: [1, ]", `k:1:8: keys[0]: must be a mapping of names and values, got a number`)
	f("keys:\n- \n- {tenant: acme, name: a}", `k:2:1: keys[0]: the item is empty`)
	f(`
tenants:
- name: acme
  requests_per_minute: many
  burst: 010
  concurrent: "5"
  limit: 5
keys:
- tenant: 5
  name: [a]
  disabled: yes
  models: gemini
  cidrs: [10.0.0.0/8, 10.0.0.1]
  expires: 720h
  budget_usd: 5 dollars
  Tenant: acme
`,
		`k:4:24: tenants[0].requests_per_minute: must be a whole number in plain digits, got "many"`,
		`k:5:10: tenants[0].burst: must be a whole number in plain digits, got "010"`,
		`k:6:15: tenants[0].concurrent: must be a whole number in plain digits, got "5"`,
		`k:7:3: tenants[0].limit: unknown field; known here: name, requests_per_minute, burst, tokens_per_minute, concurrent, shadow, budget_usd, budget_period`,
		`k:9:11: keys[0].tenant: must be text; put it in quotes, got "5"`,
		`k:10:9: keys[0].name: must be a single value, got a list`,
		`k:11:13: keys[0].disabled: must be true or false, got "yes"`,
		`k:12:11: keys[0].models: must be a list, got text`,
		`k:13:23: keys[0].cidrs[1]: must be a prefix such as 203.0.113.0/24 or 2001:db8::/32, got "10.0.0.1"`,
		`k:14:12: keys[0].expires: must be a moment such as 2027-01-31T00:00:00Z (a duration would move with each run), got "720h"`,
		`k:15:15: keys[0].budget_usd: must be an amount of dollars such as "25" or "0.50", got "5 dollars"`,
		`k:16:3: keys[0].Tenant: unknown field; known here: tenant, name, id, models, cidrs, requests_per_minute, burst, tokens_per_minute, concurrent, `+
			`shadow, budget_usd, budget_period, expires, disabled, secret_sha256, last4`)
	f(`
tenants:
- {name: Acme, burst: 5}
- {name: acme}
- {name: acme}
keys:
- {tenant: acme, name: ci, requests_per_minute: -1, id: key_1}
- {tenant: acme, name: ci}
- {name: x, models: ["*", "a b"], cidrs: [10.0.0.1/8], budget_usd: 5, last4: x}
- {tenant: acme, name: y, secret_sha256: abc, last4: "12345"}
- {tenant: a, name: z, secret_sha256: `+strings.Repeat("ab", 32)+`}
- {tenant: b, name: z, secret_sha256: `+strings.Repeat("ab", 32)+`}
`,
		`k:3:16: tenants[0].burst: must come with requests_per_minute, whose bucket it sizes`,
		`k:3:4: tenants[0].name: must be 1 to 32 lower-case letters, digits and inner hyphens, got "Acme"`,
		`k:5:4: tenants[2].name: the same as tenants[1]`,
		`k:7:28: keys[0].requests_per_minute: must be 0 (none of its own) to 1000000000, got -1`,
		`k:7:53: keys[0].id: must be the id of a key, such as key_Xy12Zab34Cde, as tollgate keys list shows it; leave it out for a new key`,
		`k:8:18: keys[1].name: the same tenant and name as keys[0]: give both their ids, or one another name`,
		`k:9:3: keys[2].tenant: must be 1 to 32 lower-case letters, digits and inner hyphens, got ""`,
		`k:9:13: keys[2].models: each must be a model name or a prefix and "*", 1 to 128 letters, digits and . _ : / @ + -, got "a b"`,
		`k:9:35: keys[2].cidrs: each must be a prefix such as 203.0.113.0/24 or 2001:db8::/32, without bits behind its length, got "10.0.0.1/8"`,
		`k:9:3: keys[2].budget_period: must be day, month or total where budget_usd is given`,
		`k:9:71: keys[2].last4: must come with secret_sha256, the hash of the secret that it is the end of`,
		`k:10:27: keys[3].secret_sha256: must be the SHA-256 of the secret, 64 lower-case hexadecimal digits`,
		`k:10:47: keys[3].last4: must be at most the last four characters of the secret, visible ASCII`,
		`k:12:24: keys[5].secret_sha256: the same as keys[4]`)
	many := "keys:\n" + strings.Repeat("- {x: 1}\n", 60)
	if _, err := readKeysFile("k", []byte(many)); strings.Count(fmt.Sprint(err), "\n") != maxMistakes || !strings.HasSuffix(err.Error(), "\nk: these are the first 50 mistakes; there are more") {
		t.Errorf("got %v", err)
	}
}

// TestKeysFileHidesSecrets puts one wherever it does not belong: no mistake repeats it.
func TestKeysFileHidesSecrets(t *testing.T) {
	const canary = "tg_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	for _, text := range []string{
		"keys: [{tenant: acme, name: ci, secret: CANARY}]",
		"keys: [{tenant: acme, name: CANARY}]",
		"keys: [{tenant: CANARY, name: ci}]",
		"keys: [{tenant: acme, name: ci, id: CANARY}]",
		"keys: [{tenant: acme, name: ci, models: [CANARY]}]",
		"keys: [{tenant: acme, name: ci, cidrs: [CANARY]}]",
		"keys: [{tenant: acme, name: ci, burst: CANARY}]",
		"keys: [{tenant: acme, name: ci, disabled: CANARY}]",
		"keys: [{tenant: acme, name: ci, expires: CANARY}]",
		"keys: [{tenant: acme, name: ci, budget_usd: CANARY}]",
		"keys: [{tenant: acme, name: ci, secret_sha256: CANARY}]",
		"keys: [{tenant: acme, name: ci, last4: CANARY}]",
		"keys: [{CANARY}]", "CANARY", "CANARY: 1", "keys: CANARY", "keys: [CANARY]", "keys: [{CANARY: CANARY}]", "keys: 'CANARY", "keys: [{tenant: \"CANARY\\q\"}]",
	} {
		_, err := readKeysFile("k", []byte(strings.ReplaceAll(text, "CANARY", canary)))
		if err == nil || strings.Contains(err.Error(), canary[:12]) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzKeysFile: whatever the text, it is read or refused, and what is read is what the gateway would take.
func FuzzKeysFile(f *testing.F) {
	f.Add(applyExample)
	f.Add("keys: [{tenant: acme, name: a, burst: 1}]")
	f.Add(`{"tenants":[{"name":"acme"}],"keys":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := readKeysFile("k", []byte(text))
		if err != nil {
			return
		}
		for _, k := range file.keys {
			k.ExpiresAt = time.Time{}
			if err := k.Validate(time.Now()); err != nil {
				t.Errorf("a key was taken that is none: %v", err)
			}
		}
	})
}
