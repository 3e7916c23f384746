package main

import (
	"net/http"
	"strings"
	"testing"

	"tollgate/keys"
)

// TestApplyAfterAnIncident lets nobody in again who was shut out by hand, or says so.
func TestApplyAfterAnIncident(t *testing.T) {
	d := newDesk(t)
	const file = "keys: [{tenant: acme, name: ci, burst: 2, requests_per_minute: 9}]"
	id, secret := d.issued("keys", "create", "--tenant", "acme", "--name", "ci")
	d.run("", "keys", "update", id, "--disable")
	d.applies(file, `
RESULT  ACTION      TENANT  NAME  ID                CHANGES
done    key.update  acme    ci    key_AAAAAAAAAAAA  requests_per_minute - -> 9; burst - -> 2
1 of 1 changed, 0 unchanged
`)
	if d.works(secret) {
		t.Error("a key that was disabled by hand works again")
	}
	d.applies(strings.Replace(file, "burst", "disabled: false, burst", 1), `
RESULT  ACTION      TENANT  NAME  ID                CHANGES
done    key.update  acme    ci    key_AAAAAAAAAAAA  disabled true -> -
1 of 1 changed, 0 unchanged
`)
	d.run("", "keys", "revoke", id)
	d.applies(file, `
RESULT   ACTION      TENANT  NAME  ID  CHANGES
planned  key.create  acme    ci    -   requests_per_minute - -> 9; burst - -> 2; the last one, key_AAAAAAAAAAAA, is revoked
dry run: 1 to change, 0 unchanged; nothing was done
`, "--dry-run")

	imported := "tenants: [{name: acme, burst: 1, requests_per_minute: 1}]\nkeys: [{tenant: acme, name: legacy, last4: x7Qz, secret_sha256: " + strings.Repeat("ab", 32) + "}]"
	d.run("keys:"+strings.SplitN(imported, "keys:", 2)[1], "keys", "apply", "-f", "-")
	legacy := d.all()[1].ID
	d.run("", "keys", "revoke", legacy)
	d.changes()
	got := d.run(imported, "keys", "apply", "-f", "-")
	want := "tollgate: standard input:2:50: keys[0].secret_sha256: " + legacy + ", whose secret ends the same, is revoked: take it out, or give another hash, with its last4\n"
	if got != (outcome{exitFailed, "", want}) || len(d.changes()) != 0 {
		t.Errorf("%+v\nwant %s", got, want)
	}
}

// TestApplyTwiceAtOnce has another run issue the same key after this one has made its plan.
func TestApplyTwiceAtOnce(t *testing.T) {
	d := newDesk(t)
	lists := 0
	d.intercept(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if api.ServeHTTP(w, r); r.URL.Path != "/admin/v1/keys" {
			return
		}
		if lists++; lists == 1 {
			if _, _, err := d.directory.By("other").Create(r.Context(), keys.Spec{Tenant: "acme", Name: "ci"}); err != nil {
				t.Error(err)
			}
		}
	})
	got := d.run("keys: [{tenant: acme, name: ci}]", "keys", "apply", "-f", "-", "-o", "json")
	if len(d.all()) != 1 {
		t.Fatalf("%d keys: %+v", len(d.all()), got)
	}
	want := "failed: " + d.all()[0].ID + " was issued by somebody else in the meantime: run one apply at a time. Once that is mended, apply the file again"
	if got.code != exitFailed || !strings.Contains(got.stderr, want) || strings.Contains(got.stdout, "tg_") {
		t.Errorf("%+v", got)
	}
	d.applies("keys: [{tenant: acme, name: ci}]", nothing)
}
