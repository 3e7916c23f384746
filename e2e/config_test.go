package e2e

import (
	"strings"
	"testing"
)

// TestConfigErrorsHoldNoSecret checks files with mistakes beside secrets, and
// with secrets that are mistakes. The complaint names each, and shows none.
func TestConfigErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	const (
		canary  = "canary+5e1d/77f0"
		escaped = "canary%2B5e1d%2F77f0" // as a URL holds it
	)
	env := environment{"CANARY": canary, "REDIS_URL": "redis://:" + escaped + "@redis:6379"}
	f := func(file, complaint string) {
		t.Helper()
		for _, args := range [][]string{{"config", "check"}, {"serve"}} {
			p := launch(t, env, append(args, "-c", writeConfig(t, file))...)
			if code := p.exit(t, patience); code != 2 || !strings.Contains(p.stderr.String(), complaint) {
				t.Errorf("%v: exit code %d: %s\nwant 2 and %q", args, code, p.stderr.String(), complaint)
			}
			search(t, map[string]string{"the complaint": p.stdout.String() + p.stderr.String()}, map[string]string{"the secret": canary})
		}
	}
	f(`admin: {token: "canary+5e1d/77f0", listn: here}`, `admin.listn: unknown option`)
	f(`admin: {tokne: "canary+5e1d/77f0"}`, `admin.tokne: unknown option`)
	f(`admin: {token: [canary+5e1d/77f0]}`, `admin.token: must be a single value`)
	f(`admin: {token: "canary+5e1d/77f0}`, `not valid YAML`)
	f(`keys: {pepper: canary+5e1d/77f0, cache_ttl: soon}`, `keys.cache_ttl: `)
	f(`providers: {p: {contract: openai, endpoints: [{url: "https://p.example/v1", api_keys: "canary+5e1d/77f0"}]}}`, `api_keys: must be a list`)
	f(`providers: {p: {contract: openai, endpoints: [{url: "https://p.example/v1", api_kyes: ["canary+5e1d/77f0"]}]}}`, `api_kyes: unknown option`)
	f(`providers: {p: {contract: openai, endpoints: [{url: "https://me:canary%2B5e1d%2F77f0@p.example/v1", api_keys: [x]}]}}`, `endpoints[0].url: must not contain a user name or password`)
	f(`store: {redis: {password: "${CANARY}", addresses: ["${NOBODY}"]}}`, `store.redis.addresses[0]: `)
	f(`store: {redis: {addresses: ["redis://:canary%2B5e1d%2F77f0@redis:6379"]}}`, `store.redis.addresses[0]: must be host:port`)
	f(`store: {redis: {addresses: ["${REDIS_URL}"]}}`, `store.redis.addresses[0]: must be host:port`)
	f(`telemetry: {otlp: {endpoint: "https://me:canary%2B5e1d%2F77f0@collector:4318"}}`, `telemetry.otlp.endpoint: must be`)
}
