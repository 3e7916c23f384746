package main

import (
	"strings"
	"testing"
)

// TestSecretsInArguments puts a secret wherever an argument is taken: nothing is sent, and nothing of it is printed.
func TestSecretsInArguments(t *testing.T) {
	d := newDesk(t)
	const secret = "tg_0123456789abcdefghijABCDEFGHIJ01234567"
	for _, line := range []string{
		"usage --key SECRET", "usage --tenant SECRET", "usage --from SECRET", "usage --by SECRET", "request SECRET", "audit --by SECRET",
		"keys create --tenant acme --name ci --expires SECRET", "keys create --tenant acme --name SECRET", "keys create --tenant acme --name ci --burst SECRET",
		"keys update key_Xy12Zab34Cde --models a,SECRET", "keys rotate key_Xy12Zab34Cde --grace SECRET", "keys list -o SECRET", "keys list --state SECRET",
		"keys SECRET", "keys show SECRET", "keys list SECRET", "keys list --SECRET", "keys list -xSECRET", "tenants set SECRET --burst 3", "upstreams SECRET",
		"keys apply -f SECRET", "explain -f - --key SECRET", "SECRET",
	} {
		got := d.run("", strings.Fields(strings.ReplaceAll(line, "SECRET", secret))...)
		if got.code == exitDone || strings.Contains(got.stdout+got.stderr, secret[:9]) || len(d.requests) != 0 {
			t.Errorf("%s: %d requests: %+v", line, len(d.requests), got)
		}
	}
	if got := d.run("", "keys", "create", "--tenant", "acme", "--name", "stg_backend"); got.code != exitDone {
		t.Errorf("a name that holds tg_: %+v", got)
	}
}

// TestRefusalsNameFlags says of each value that the gateway refuses in which flag it stands.
func TestRefusalsNameFlags(t *testing.T) {
	d := newDesk(t)
	d.fails(exitUsage, `--tenant: must be 1 to 32 lower-case letters, digits and inner hyphens, got "A C M E"; --requests-per-minute: must be 0 (none of its own) to 1000000000, got -1`,
		"keys", "create", "--tenant", "A C M E", "--name", "ci", "--requests-per-minute", "-1")
	d.fails(exitFailed, "no key has this id: tollgate keys list shows them", "keys", "rotate", "key_Xy12Zab34Cde")
	if len(d.all()) != 0 {
		t.Error("a key was issued")
	}
}
