package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"tollgate/ratelimit"
)

// TestStanding shows where limits stand, below the one key and the one tenant that are asked for.
func TestStanding(t *testing.T) {
	d := newDesk(t)
	id, _ := d.issued("keys", "create", "--tenant", "acme", "--name", "ci")
	d.run("", "tenants", "set", "acme", "--concurrent", "1")
	ends := func(want string, args ...string) {
		t.Helper()
		if got := d.run("", args...); got.code != exitDone || !strings.HasSuffix(steady(got.stdout), want) {
			t.Errorf("tollgate %s: exit code %d: %s\n%s\nwant, in the end\n%s", strings.Join(args, " "), got.code, got.stderr, steady(got.stdout), want)
		}
	}
	ends("\nexpires       never\n", "keys", "show", id)
	ends("\nchanged       2026-01-02 03:04Z\n", "tenants", "show", "acme")
	d.standing = ratelimit.Answer{
		ratelimit.KeyRequests:      {Limit: 60, Remaining: 57, Reset: 2400 * time.Millisecond},
		ratelimit.TenantRequests:   {Limit: 3000, Remaining: 3000, Shadow: true},
		ratelimit.KeyTokens:        {Limit: 100_000, Remaining: 1, Reset: 59_999 * time.Millisecond},
		ratelimit.TenantConcurrent: {Limit: 1, Shadow: true},
	}
	const want = `
LIMIT                       PER      MAX            LEFT           RESETS IN
requests                    minute   60 requests    57 requests    2.4s
tenant_requests (shadow)    minute   3000 requests  3000 requests  0s
tokens                      minute   100000 tokens  1 token        1m0s
tenant_concurrent (shadow)  at once  1 request      0 requests     -
`
	ends("\nexpires       never\n"+want, "keys", "show", id)
	ends("\nchanged       2026-01-02 03:04Z\n"+want, "tenants", "show", "acme")

	d.standing = ratelimit.Answer{ratelimit.KeyTokens: {Limit: 100_000, Remaining: 7, Reset: 1500 * time.Millisecond, Shadow: true}}
	ends(`
  "standing": [
    {
      "limit": "tokens",
      "per": "minute",
      "max": 100000,
      "left": 7,
      "reset_ms": 1500,
      "shadow": true
    }
  ]
}
`, "keys", "show", id, "-o", "json")
	if got := d.run("", "keys", "list", "-o", "json"); got.code != exitDone || strings.Contains(got.stdout, "standing") {
		t.Errorf("a list has what only one key has: %+v", got)
	}
}

// TestStandingOfAGateway asks a gateway that has served a request: what the tenant has in shadow is gone, and refuses nobody.
func TestStandingOfAGateway(t *testing.T) {
	g := operated(t)
	run := func(args ...string) string {
		t.Helper()
		got := tollgate(t, g.args(args...)...)
		if got.code != exitDone || got.stderr != "" {
			t.Fatalf("tollgate %s: %+v", strings.Join(args, " "), got)
		}
		return got.stdout
	}
	run("tenants", "set", "acme", "--requests-per-minute", "1", "--shadow")
	var key struct{ ID, Secret string }
	issued := run("keys", "create", "--tenant", "acme", "--name", "ci", "--requests-per-minute", "1", "--burst", "3", "-o", "json")
	if err := json.Unmarshal([]byte(issued), &key); err != nil {
		t.Fatal(err)
	}
	g.complete(t, key.Secret)
	g.complete(t, key.Secret)
	f := func(want string, args ...string) {
		t.Helper()
		_, got, _ := strings.Cut(run(args...), "\n\n")
		got = regexp.MustCompile(`([0-9]m|)[0-9.]+s`).ReplaceAllString(got, "time")
		if want = strings.TrimPrefix(want, "\n"); got != want {
			t.Errorf("tollgate %s ends\n%s\nwant\n%s", strings.Join(args, " "), got, want)
		}
	}
	f(`
LIMIT                     PER     MAX        LEFT        RESETS IN
requests                  minute  1 request  1 request   time
tenant_requests (shadow)  minute  1 request  0 requests  time
`, "keys", "show", key.ID)
	f(`
LIMIT                     PER     MAX        LEFT        RESETS IN
tenant_requests (shadow)  minute  1 request  0 requests  time
`, "tenants", "show", "acme")
}
