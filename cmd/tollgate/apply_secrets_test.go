package main

import (
	"os"
	"strings"
	"testing"
)

// TestApplySecretsFile refuses a file that others can read, and mends one that a crash has cut.
func TestApplySecretsFile(t *testing.T) {
	d := newDesk(t)
	const file = "keys: [{tenant: acme, name: ci}]"
	apply := func(path string) outcome { return d.run(file, "keys", "apply", "-f", "-", "--secrets", path) }
	path := d.file("secrets.jsonl", `{"id":"key_Xy12Zab34Cde","tenant":"acme","name":"old","secret":"tg_x"}`+"\n"+`{"id":""     `)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if got := apply(path); got.code != exitFailed || got.stderr != "tollgate: --secrets "+path+": others than you may read it (0640): chmod 600 it\n" || len(d.all()) != 0 {
		t.Errorf("%+v", got)
	}
	if got := apply(t.TempDir()); got.code != exitFailed || len(d.all()) != 0 {
		t.Errorf("%+v", got)
	}
	if got := apply(os.DevNull); got.code != exitFailed || got.stderr != "tollgate: --secrets /dev/null: it is no regular file\n" || len(d.all()) != 0 {
		t.Errorf("%+v", got)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := apply(path); got.code != exitDone || strings.Contains(got.stdout, "tg_") {
		t.Errorf("%+v", got)
	}
	text, err := os.ReadFile(path)
	lines := strings.Split(string(text), "\n")
	if err != nil || len(lines) != 4 || !strings.HasPrefix(lines[2], `{"id":"`+d.all()[0].ID+`","tenant":"acme","name":"ci","secret":"tg_`) || !strings.HasPrefix(lines[0], `{"id":"key_Xy12Zab34Cde",`) {
		t.Errorf("%v: %d lines", err, len(lines))
	}
}

// TestApplySecretsFileOfOneRun refuses a file that another run writes to, and one that is not there itself.
func TestApplySecretsFileOfOneRun(t *testing.T) {
	d := newDesk(t)
	path := d.file("secrets.jsonl", "")
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f := func(path, want string) {
		t.Helper()
		got := d.run("keys: [{tenant: acme, name: ci}]", "keys", "apply", "-f", "-", "--secrets", path)
		if got != (outcome{exitFailed, "", "tollgate: --secrets " + path + ": " + want + "\n"}) || len(d.all()) != 0 {
			t.Errorf("%d keys: %+v", len(d.all()), got)
		}
	}
	f(link, "it is a symbolic link: name the file itself")
	other, err := openSecrets(path)
	if err != nil {
		t.Fatal(err)
	}
	f(path, "another tollgate keys apply writes to it: run one at a time, or name another file")
	if err := other.close(); err != nil {
		t.Fatal(err)
	}
	if got := d.run("keys: [{tenant: acme, name: ci}]", "keys", "apply", "-f", "-", "--secrets", path); got.code != exitDone || len(d.secretsIn(path)) != 1 {
		t.Errorf("%+v", got)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(path, 4711, -1); err != nil {
		t.Fatal(err)
	}
	if got := d.run("keys: [{tenant: acme, name: two}]", "keys", "apply", "-f", "-", "--secrets", path); got.stderr != "tollgate: --secrets "+path+": it belongs to another user (4711): name a file of your own\n" {
		t.Errorf("%+v", got)
	}
}
