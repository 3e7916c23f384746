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
