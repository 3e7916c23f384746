package main

import (
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
