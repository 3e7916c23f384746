package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsAreShownOnce issues secrets in every way there is: they stand on standard output, or in the file that
// was named, and nowhere else: not in a request, an error, the gateway's store or the audit.
func TestSecretsAreShownOnce(t *testing.T) {
	d := newDesk(t)
	kept := filepath.Join(t.TempDir(), "secrets.jsonl")
	id, created := d.issued("keys", "create", "--tenant", "acme", "--name", "ci")
	_, rotated := d.issued("keys", "rotate", id, "--grace", "1h")
	const imported = "sk-canary-0123456789"
	complaints := d.run(imported, "keys", "import", "--tenant", "acme", "--name", "legacy", "--secret-stdin").stderr
	const file = "keys: [{tenant: acme, name: new}, {tenant: acme, name: broken, burst: 5, requests_per_minute: 5}]"
	d.intercept(func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.ContentLength > 0 && r.Method == http.MethodPost && strings.Contains(d.last(), "broken") {
			panic(http.ErrAbortHandler)
		}
		api.ServeHTTP(w, r)
	})
	applied := d.run(file, "keys", "apply", "-f", "-", "--secrets", kept, "--wait", "1s")
	d.intercept(nil)
	complaints += applied.stderr + applied.stdout
	complaints += d.run("", "keys", "rotate", "key_000000000000").stderr
	complaints += d.run("", "keys", "list", "-o", "json").stdout + d.run("", "keys", "show", id).stdout + d.run("", "audit", "-o", "json").stdout

	secrets := []string{created, rotated, imported}
	for _, line := range d.secretsIn(kept) {
		secrets = append(secrets, line.Secret)
	}
	if len(secrets) != 5 || applied.code != exitFailed {
		t.Fatalf("%d secrets; %+v", len(secrets), applied)
	}
	var stored []byte
	files, err := filepath.Glob(filepath.Join(d.operate[3], "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, text...)
	}
	if !bytes.Contains(stored, []byte(id)) {
		t.Error("the store was not read")
	}
	for _, secret := range secrets {
		for _, part := range []string{secret, secret[3:15]} {
			if strings.Contains(complaints, part) || strings.Contains(strings.Join(d.requests, "\n"), part) || bytes.Contains(stored, []byte(part)) {
				t.Errorf("a secret, or a part of it, is where it must not be: %s", part)
			}
		}
	}
}

// TestNoFlagTakesASecret: the arguments of a process are seen by others on its machine.
func TestNoFlagTakesASecret(t *testing.T) {
	root, _ := newRoot(&bytes.Buffer{}, &bytes.Buffer{})
	for _, c := range commands(root) {
		for _, name := range []string{"secret", "token", "password", "admin-token"} {
			if c.Flags().Lookup(name) != nil {
				t.Errorf("%s has --%s", c.CommandPath(), name)
			}
		}
	}
}
