package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
)

const nothing = "nothing to change: tenants and keys are as standard input says\n"

// applies applies a file from standard input, which must succeed, and print this.
func (d *desk) applies(file, want string, args ...string) {
	d.Helper()
	got := d.run(file, append([]string{"keys", "apply", "-f", "-"}, args...)...)
	if want = strings.TrimPrefix(want, "\n"); got.code != exitDone || got.stderr != "" || steady(got.stdout) != want {
		d.Errorf("keys apply %s: exit code %d: %s\n%s\nwant\n%s", args, got.code, got.stderr, steady(got.stdout), want)
	}
}

// secretsIn are the lines of a file of secrets.
func (d *desk) secretsIn(path string) (lines []struct{ ID, Tenant, Name, Secret string }) {
	d.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		d.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var one struct{ ID, Tenant, Name, Secret string }
		if err := json.Unmarshal(line, &one); err != nil {
			d.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, one)
	}
	return lines
}

// TestApply walks the example of the help through its life: plan, creation, nothing, changes, nothing, prune.
func TestApply(t *testing.T) {
	d := newDesk(t)
	secrets := filepath.Join(t.TempDir(), "secrets.jsonl")
	d.applies(applyExample, `
RESULT   ACTION      TENANT  NAME    ID  CHANGES
planned  tenant.set  acme    -       -   requests_per_minute - -> 3000; budget_usd - -> 500; budget_period - -> month
planned  key.create  acme    batch   -   models - -> gemini-flash,gemini-2.*; cidrs - -> 203.0.113.0/24; requests_per_minute - -> 60; burst - -> 20; expires - -> 2026-01-02T00:00:00Z
planned  key.import  acme    legacy  -   -
dry run: 3 to change, 0 unchanged; nothing was done
`, "--dry-run", "--secrets", secrets)
	if _, err := os.Stat(secrets); err == nil || len(d.all()) != 0 || len(d.changes()) != 0 {
		t.Errorf("a dry run changed something: %d keys, %v", len(d.all()), err)
	}
	d.applies(applyExample, `
RESULT  ACTION      TENANT  NAME    ID                CHANGES
done    tenant.set  acme    -       -                 requests_per_minute - -> 3000; budget_usd - -> 500; budget_period - -> month
done    key.create  acme    batch   key_AAAAAAAAAAAA  models - -> gemini-flash,gemini-2.*; cidrs - -> 203.0.113.0/24; requests_per_minute - -> 60; burst - -> 20; expires - -> 2026-01-02T00:00:00Z
done    key.import  acme    legacy  key_AAAAAAAAAAAA  -
3 of 3 changed, 0 unchanged
`, "--secrets", secrets)
	kept := d.secretsIn(secrets)
	if len(kept) != 1 || !d.works(kept[0].Secret) || kept[0].ID != d.all()[0].ID || kept[0].Tenant != "acme" || kept[0].Name != "batch" {
		t.Errorf("kept %d secrets: %q of %q's %q", len(kept), kept[0].ID, kept[0].Tenant, kept[0].Name)
	}
	if info, err := os.Stat(secrets); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of secrets: %v, %v", info.Mode(), err)
	}
	if d.changes(); !d.works(kept[0].Secret) {
		t.Error("the new key does not work")
	}
	d.applies(applyExample, nothing, "--secrets", secrets)
	if changes := d.changes(); len(changes) != 0 {
		t.Errorf("the second run changed something: %s", changes)
	}

	changed := `
tenants: [{name: acme, shadow: true}]
keys:
- {tenant: acme, name: batch, models: [gemini-2.*], shadow: true, disabled: true, budget_usd: 12.50, budget_period: day}
`
	d.applies(changed, `
RESULT  ACTION      TENANT  NAME   ID                CHANGES
done    tenant.set  acme    -      -                 requests_per_minute 3000 -> -; shadow - -> true; budget_usd 500 -> -; budget_period month -> -
done    key.update  acme    batch  key_AAAAAAAAAAAA  models gemini-flash,gemini-2.* -> gemini-2.*; cidrs 203.0.113.0/24 -> -; requests_per_minute 60 -> -; burst 20 -> -; shadow - -> true; budget_usd - -> 12.5; budget_period - -> day; expires 2026-01-02T00:00:00Z -> -; disabled - -> true
2 of 2 changed, 0 unchanged
`)
	k := d.all()[0]
	if k.Burst != 0 || !k.Shadow || !d.directory.TenantLimits("acme").Shadow || !k.ExpiresAt.IsZero() || !k.Disabled || k.Budget.NanoUSD != 12_500_000_000 || len(d.secretsIn(secrets)) != 1 {
		t.Errorf("changed: %+v", k)
	}
	d.applies(changed, nothing)
	d.applies(changed, `
RESULT  ACTION      TENANT  NAME    ID                CHANGES
done    key.revoke  acme    legacy  key_AAAAAAAAAAAA  state active -> revoked
1 of 1 changed, 2 unchanged
`, "--prune")
	d.applies(changed, nothing, "--prune")
	d.applies(strings.ReplaceAll(changed, "shadow: true", "concurrent: 2"), `
RESULT  ACTION      TENANT  NAME   ID                CHANGES
done    tenant.set  acme    -      -                 concurrent - -> 2; shadow true -> -
done    key.update  acme    batch  key_AAAAAAAAAAAA  concurrent - -> 2; shadow true -> -
2 of 2 changed, 0 unchanged
`)
	d.applies("tenants: []\nkeys: []\n", nothing, "--prune")
}

// TestApplyIssuesWhatTheFileSays issues a key with a value in every field: the second run finds nothing to change.
func TestApplyIssuesWhatTheFileSays(t *testing.T) {
	d := newDesk(t)
	secrets := filepath.Join(t.TempDir(), "secrets.jsonl")
	const file = `
tenants:
- {name: acme, requests_per_minute: 10, burst: 11, tokens_per_minute: 12, concurrent: 13, shadow: true, budget_usd: 14, budget_period: total}
keys:
- {tenant: acme, name: ci, models: [a], cidrs: [10.0.0.0/8], requests_per_minute: 1, burst: 2, tokens_per_minute: 3, concurrent: 4, shadow: true,
   budget_usd: 5, budget_period: day, expires: 2035-01-31T00:00:00Z, disabled: true}
`
	d.applies(file, `
RESULT  ACTION      TENANT  NAME  ID                CHANGES
done    tenant.set  acme    -     -                 requests_per_minute - -> 10; burst - -> 11; tokens_per_minute - -> 12; concurrent - -> 13; shadow - -> true; budget_usd - -> 14; budget_period - -> total
done    key.create  acme    ci    key_AAAAAAAAAAAA  models - -> a; cidrs - -> 10.0.0.0/8; requests_per_minute - -> 1; burst - -> 2; tokens_per_minute - -> 3; concurrent - -> 4; shadow - -> true; budget_usd - -> 5; budget_period - -> day; expires - -> 2026-01-02T00:00:00Z; disabled - -> true
2 of 2 changed, 0 unchanged
`, "--secrets", secrets)
	d.applies(file, nothing, "--secrets", secrets)
}

// TestApplyPrunesWithinItsTenants leaves the keys of others alone, and with them what nobody asked to take away.
func TestApplyPrunesWithinItsTenants(t *testing.T) {
	d := newDesk(t)
	d.issued("keys", "create", "--tenant", "umbrella", "--name", "mine")
	d.issued("keys", "create", "--tenant", "acme", "--name", "stray")
	file := "tenants: [{name: acme}]\nkeys: []\n"
	d.applies(file, nothing)
	d.applies("keys: []\n", nothing, "--prune")
	d.applies(file, `
RESULT   ACTION      TENANT  NAME   ID                CHANGES
planned  key.revoke  acme    stray  key_AAAAAAAAAAAA  state active -> revoked
dry run: 1 to change, 1 unchanged; nothing was done
`, "--prune", "--dry-run")
	d.applies(file, `
RESULT  ACTION      TENANT  NAME   ID                CHANGES
done    key.revoke  acme    stray  key_AAAAAAAAAAAA  state active -> revoked
1 of 1 changed, 1 unchanged
`, "--prune")
	for _, k := range d.all() {
		if got := k.State(time.Now()); (got == keys.StateRevoked) != (k.Tenant == "acme") {
			t.Errorf("%s of %s is %s", k.Name, k.Tenant, got)
		}
	}
}

// TestApplyFindsKeys by their ids, and by their names where that is enough.
func TestApplyFindsKeys(t *testing.T) {
	d := newDesk(t)
	a, _ := d.issued("keys", "create", "--tenant", "acme", "--name", "ci")
	d.applies("keys: [{id: "+a+", tenant: acme, name: nightly}, {tenant: acme, name: nightly2, disabled: true, secret_sha256: "+strings.Repeat("ab", 32)+"}]", `
RESULT  ACTION      TENANT  NAME      ID                CHANGES
done    key.update  acme    nightly   key_AAAAAAAAAAAA  name ci -> nightly
done    key.import  acme    nightly2  key_AAAAAAAAAAAA  disabled - -> true
2 of 2 changed, 0 unchanged
`)
	b, _ := d.issued("keys", "create", "--tenant", "acme", "--name", "nightly")
	f := func(file, want string) {
		t.Helper()
		got := d.run(file, "keys", "apply", "-f", "-", "-o", "json")
		want = "tollgate: standard input:" + want + "\n"
		if got.code != exitFailed || got.stdout != "" || got.stderr != want {
			t.Errorf("%s: exit code %d\n%s%s\nwant\n%s", file, got.code, got.stdout, got.stderr, want)
		}
	}
	d.changes()
	f("keys: [{tenant: acme, name: nightly}]", "1:23: keys[0].name: 2 keys of acme have this name, "+a+" and "+b+": say which one with id, or revoke all but one")
	f("keys: [{id: key_000000000000, tenant: acme, name: x}]", "1:9: keys[0].id: no key has this id: leave it out for a new key")
	f("keys: [{id: "+a+", tenant: umbrella, name: x}]", "1:31: keys[0].tenant: cannot change: "+a+" is acme's; leave the id out for a new key of umbrella")
	f("keys: [{tenant: acme, name: new, expires: 2020-01-01T00:00:00Z}]", "1:34: keys[0].expires: must be in the future, got 2020-01-01T00:00:00Z")
	if changes := d.changes(); len(changes) != 0 {
		t.Errorf("something was changed: %s", changes)
	}
	// With one of them named, the other is found by what is left.
	d.applies("keys: [{id: "+a+", tenant: acme, name: nightly}, {id: "+b+", tenant: acme, name: nightly}]", nothing)
	d.run("", "keys", "revoke", b)
	f("keys: [{id: "+b+", tenant: acme, name: nightly}]", "1:9: keys[0].id: this key is revoked for good: take it out of the file, or leave the id out for a new key")
	d.applies("keys: [{tenant: acme, name: nightly}]", nothing)
}

// TestApplyShowsSecrets where somebody sees them, and refuses to make what nobody would.
func TestApplyShowsSecrets(t *testing.T) {
	d := newDesk(t)
	const file = "keys: [{tenant: acme, name: ci}]"
	got := d.run(file, "keys", "apply", "-f", "-")
	const want = "tollgate: nobody would see the secrets of 1 new key: name a file for them with --secrets, or take them from -o json\n"
	if got != (outcome{exitUsage, "", want}) || len(d.all()) != 0 {
		t.Errorf("%d keys, and %+v", len(d.all()), got)
	}
	var answer struct {
		DryRun    bool `json:"dry_run"`
		Unchanged int
		Changes   []struct{ Action, Result, Tenant, Name, ID, Secret string }
	}
	read := func(args ...string) {
		t.Helper()
		answer.Changes = nil
		got := d.run(file, append([]string{"keys", "apply", "-f", "-", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != exitDone || answer.Changes == nil {
			t.Fatalf("%v: %+v", err, got)
		}
	}
	if read("--dry-run"); !answer.DryRun || len(answer.Changes) != 1 || answer.Changes[0].Secret != "" || answer.Changes[0].Result != "planned" {
		t.Errorf("planned: %d changes", len(answer.Changes))
	}
	if read(); answer.DryRun || len(answer.Changes) != 1 || !d.works(answer.Changes[0].Secret) || answer.Changes[0].ID != d.all()[0].ID {
		t.Errorf("done: %d changes", len(answer.Changes))
	}
	if read(); len(answer.Changes) != 0 || answer.Unchanged != 1 {
		t.Errorf("again: %d changes, %d unchanged", len(answer.Changes), answer.Unchanged)
	}

	// On a terminal they are in the table.
	var stdout bytes.Buffer
	a := &applying{operator: &operator{stdout: &stdout, address: d.operate[1], dataDir: d.operate[3]}, terminal: func() bool { return true }}
	client, err := a.client()
	if err != nil {
		t.Fatal(err)
	}
	f, err := readKeysFile("keys.yaml", []byte("keys: [{tenant: acme, name: new}, {tenant: acme, name: ci, burst: 3, requests_per_minute: 4}]"))
	if err == nil {
		err = a.run(t.Context(), client, f)
	}
	const table = `RESULT  ACTION      TENANT  NAME  ID                SECRET (SHOWN THIS ONCE)                   CHANGES
done    key.create  acme    new   key_AAAAAAAAAAAA  tg_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB  -
done    key.update  acme    ci    key_AAAAAAAAAAAA  -                                          requests_per_minute - -> 4; burst - -> 3
2 of 2 changed, 0 unchanged
`
	if err != nil || steady(stdout.String()) != table {
		t.Errorf("%v\n%s", err, steady(stdout.String()))
	}
}

// TestApplyStopsInTheMiddle says what was done and what was not, and goes on from there the next time.
func TestApplyStopsInTheMiddle(t *testing.T) {
	d := newDesk(t)
	const file = "tenants: [{name: acme, requests_per_minute: 5}]\nkeys: [{tenant: acme, name: a}, {tenant: acme, name: b}, {tenant: acme, name: c}]"
	secrets := filepath.Join(t.TempDir(), "secrets.jsonl")
	apply := func() outcome { return d.run(file, "keys", "apply", "-f", "-", "--secrets", secrets, "--wait", "0s") }
	stop := func(at string, how func(w http.ResponseWriter, r *http.Request, api http.Handler)) {
		d.intercept(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
			body := new(bytes.Buffer)
			_, _ = body.ReadFrom(r.Body)
			if r.Body = http.NoBody; body.Len() > 0 {
				r.Body = reader{body}
			}
			if strings.Contains(body.String(), `"name":"`+at+`"`) {
				how(w, r, api)
				return
			}
			api.ServeHTTP(w, r)
		})
	}
	stop("b", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error":{"message":"no room","type":"invalid_request_error","param":null,"code":"full"}}`))
	})
	got := apply()
	const want = `RESULT    ACTION      TENANT  NAME  ID                CHANGES
done      tenant.set  acme    -     -                 requests_per_minute - -> 5
done      key.create  acme    a     key_AAAAAAAAAAAA  -
failed    key.create  acme    b     -                 -
not done  key.create  acme    c     -                 -
2 of 4 changed, 0 unchanged
`
	const complaint = "tollgate: 2 of 4 changes were made; key.create of acme's \"b\" failed: no room. Once that is mended, apply the file again: what was done stays done\n"
	if got.code != exitFailed || steady(got.stdout) != want || got.stderr != complaint {
		t.Errorf("%+v\n%s", got, steady(got.stdout))
	}
	// The process dies after the key was issued, before it could write down its id.
	stop("b", func(_ http.ResponseWriter, r *http.Request, api http.Handler) {
		api.ServeHTTP(discarded{}, r)
		panic(http.ErrAbortHandler)
	})
	if got := apply(); got.code != exitFailed || !strings.Contains(got.stdout, "unknown   key.create  acme    b") {
		t.Errorf("%+v", got)
	}
	// It dies before.
	stop("c", func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
	if got := apply(); got.code != exitFailed {
		t.Errorf("%+v", got)
	}
	d.intercept(nil)
	if got := apply(); got.code != exitDone || len(d.all()) != 3 {
		t.Errorf("%d keys: %+v", len(d.all()), got)
	}
	// Whatever happened: each key has one secret in the file that works, under its id or none.
	for _, k := range d.all() {
		working := 0
		for _, line := range d.secretsIn(secrets) {
			if line.Name == k.Name && d.works(line.Secret) {
				working++
				if line.ID != k.ID {
					t.Errorf("the secret of %s stands under the id %q, want %s", k.Name, line.ID, k.ID)
				}
			}
		}
		if working != 1 {
			t.Errorf("%d secrets of %s work", working, k.Name)
		}
	}
}

type reader struct{ *bytes.Buffer }

func (reader) Close() error { return nil }

// discarded is an answer that nobody reads.
type discarded struct{}

func (discarded) Header() http.Header         { return http.Header{} }
func (discarded) Write(p []byte) (int, error) { return len(p), nil }
func (discarded) WriteHeader(int)             {}
