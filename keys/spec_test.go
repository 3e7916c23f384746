package keys

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCreateRefusesBadSpecs(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	f := func(change func(*Spec), want ...string) {
		t.Helper()
		spec := Spec{Tenant: "acme", Name: "ci"}
		change(&spec)
		key, secret, err := d.By("test").Create(t.Context(), spec)
		if len(want) == 0 {
			if err != nil {
				t.Errorf("got %v", err)
			}
			return
		}
		if key != nil || secret != "" {
			t.Error("a refused spec gave a key")
		}
		if err == nil || err.Error() != strings.Join(want, "\n") {
			t.Errorf("got  %v\nwant %s", err, strings.Join(want, "\n"))
		}
	}
	tenant := func(v string) func(*Spec) { return func(s *Spec) { s.Tenant = v } }
	name := func(v string) func(*Spec) { return func(s *Spec) { s.Name = v } }
	models := func(v ...string) func(*Spec) { return func(s *Spec) { s.Models = v } }
	rate := func(v int) func(*Spec) { return func(s *Spec) { s.RequestsPerMinute = v } }
	expires := func(v time.Time) func(*Spec) { return func(s *Spec) { s.ExpiresAt = v } }

	const badTenant = "tenant: must be 1 to 32 lower-case letters, digits and inner hyphens, got "
	f(tenant("a"))
	f(tenant("0"))
	f(tenant("acme-emea--2"))
	f(tenant(strings.Repeat("a", 32)))
	f(tenant(""), badTenant+`""`)
	f(tenant(strings.Repeat("a", 33)), badTenant+`"`+strings.Repeat("a", 33)+`"`)
	f(tenant("Acme"), badTenant+`"Acme"`)
	f(tenant("-acme"), badTenant+`"-acme"`)
	f(tenant("acme-"), badTenant+`"acme-"`)
	f(tenant("a:b"), badTenant+`"a:b"`)
	f(tenant("{a}"), badTenant+`"{a}"`)
	f(tenant("a\nb"), badTenant+`"a\nb"`)
	f(tenant("é"), badTenant+`"\u00e9"`)
	f(tenant(strings.Repeat("A", 1000)), badTenant+`"`+strings.Repeat("A", 80)+`..."`)

	const badName = "name: must be 1 to 64 printable characters without a space at either end, got "
	f(name("née <ci> 東京"))
	f(name(strings.Repeat("é", 64)))
	f(name(""), badName+`""`)
	f(name(strings.Repeat("é", 65)), badName+`"`+strings.Repeat(`\u00e9`, 40)+`..."`)
	f(name(" ci"), badName+`" ci"`)
	f(name("a\tb"), badName+`"a\tb"`)
	f(name("\x1b[31m"), badName+`"\x1b[31m"`)
	f(name("a\u2028b"), badName+`"a\u2028b"`)
	f(name("a\u202eb"), badName+`"a\u202eb"`)
	f(name("\xff"), badName+`"\xff"`)

	const badModel = `models: each must be a model name or a prefix and "*", 1 to 128 letters, digits and . _ : / @ + -, got `
	f(models("gpt-4.1", "anthropic/claude:v2@x+y_z", "gemini-*", "*"))
	f(models(strings.Repeat("m", 128)))
	f(models("ok", ""), badModel+`""`)
	f(models("a*b"), badModel+`"a*b"`)
	f(models("a**"), badModel+`"a**"`)
	f(models("a b"), badModel+`"a b"`)
	f(models(strings.Repeat("m", 129)), badModel+`"`+strings.Repeat("m", 80)+`..."`)
	f(models(strings.Split(strings.Repeat("m,", 64)+"m", ",")...), "models: must be at most 64 entries, got 65")

	const held = "must not hold a secret: rotate the key whose it is"
	secret := NewSecret().Reveal()
	f(name(secret), "name: "+held)
	f(name("old: "+secret[:33]+"?"), "name: "+held)
	f(name(secret+"\n"+strings.Repeat("x", 64)), "name: "+held)
	f(name("tg_" + strings.Repeat("0", 29)))
	f(models("a", "x/"+secret+"*"), "models: "+held)
	f(tenant(secret), badTenant+`"[redacted]"`)
	f(tenant(strings.Repeat("A", 70)+secret), badTenant+`"`+strings.Repeat("A", 70)+`[redacted]"`)

	const badRate = "requests_per_minute: must be 0 (none of its own) to 1000000000, got "
	f(rate(1_000_000_000))
	f(rate(-1), badRate+"-1")
	f(rate(1_000_000_001), badRate+"1000000001")

	f(expires(clock.at.Add(time.Second)))
	f(expires(clock.at.Add(-time.Second)), "expires: must be in the future, got 2026-03-01T11:59:59Z")
	f(expires(time.Unix(0, 0)), "expires: must be in the future, got 1970-01-01T00:00:00Z")

	f(func(s *Spec) { *s = Spec{Limits: Limits{RequestsPerMinute: -1}} }, badTenant+`""`, badName+`""`, badRate+"-1")
}

func TestFieldErrors(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", Spec{Name: "ci", Limits: Limits{RequestsPerMinute: -1}}.Validate(time.Now()))
	fields := []string{}
	for _, e := range FieldErrors(err) {
		fields = append(fields, e.Field)
	}
	if diff := cmp.Diff([]string{"tenant", "requests_per_minute"}, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if got := FieldErrors(errors.New("another")); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestMayUse(t *testing.T) {
	f := func(allowed, model string, want bool) {
		t.Helper()
		key := &Key{}
		if allowed != "" {
			key.Models = strings.Split(allowed, ",")
		}
		if got := key.MayUse(model); got != want {
			t.Errorf("%q may use %q: got %v, want %v", allowed, model, got, want)
		}
	}
	f("", "anything", true)
	f("a", "a", true)
	f("a", "ab", false)
	f("a", "A", false)
	f("ab", "a", false)
	f("a*", "a", true)
	f("a*", "abc", true)
	f("a*", "ba", false)
	f("*", "anything", true)
	f("x,a*", "abc", true)
	f("x,y", "", false)
	f("a*", "a*", true)
	f("a", "a*", false)
}

func TestConfig(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		if err := c.Validate(); fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	with := func(change func(*Config)) Config {
		c := DefaultConfig()
		change(&c)
		return c
	}
	f(DefaultConfig(), "<nil>")
	f(with(func(c *Config) { c.Pepper = "0123456789abcdef" }), "<nil>")
	f(with(func(c *Config) { c.Pepper = "short-canary" }), "keys.pepper: must be empty or at least 16 characters, got 12")
	f(with(func(c *Config) { c.Pepper = "0123456789abcdef\n" }), "keys.pepper: must not hold control characters; does its file end with a line break?")
	f(with(func(c *Config) { c.CacheTTL = time.Hour }), "keys.cache_ttl: must be between 10ms and 10m0s, got 1h0m0s")
	f(with(func(c *Config) { c.CacheTTL = 0 }), "keys.cache_ttl: must be between 10ms and 10m0s, got 0s")
	f(with(func(c *Config) { c.CacheSize = 0 }), "keys.cache_size: must be between 1 and 10000000, got 0")
	f(with(func(c *Config) { c.OutageGrace = -1 }), "keys.outage_grace: must be between 0s and 24h0m0s, got -1ns")
}
