package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"tollgate/keys"
)

// TestKeyLife takes a key through its life, and holds each table against its literal text.
func TestKeyLife(t *testing.T) {
	d := newDesk(t)
	id, first := d.issued("keys", "create", "--tenant", "acme", "--name", "ci", "--models", "gemini-flash,gemini-2.*", "--cidrs", "203.0.113.0/24",
		"--requests-per-minute", "60", "--burst", "20", "--tokens-per-minute", "100000", "--concurrent", "5", "--shadow",
		"--budget-usd", "25.50", "--budget-period", "month", "--expires", "720h", "--disabled")
	if d.works(first) {
		t.Error("a disabled key works")
	}
	d.prints(`
id            key_AAAAAAAAAAAA
tenant        acme
name          ci
state         active
ends in       ...BBBB
models        gemini-flash,gemini-2.*
networks      203.0.113.0/24
requests/min  60
burst         20 requests at once
tokens/min    100000
concurrent    5 requests
shadow        yes: these limits are decided and counted, and not enforced
budget        $25.5/month (stored; not enforced yet)
created       2026-01-02 03:04Z
expires       2026-01-02 03:04Z
changed       2026-01-02 03:04Z
`, "keys", "update", id, "--enable")
	if !d.works(first) {
		t.Error("an enabled key does not work")
	}
	rotated := d.run("", "keys", "rotate", id, "--grace", "24h")
	second := strings.Fields(strings.Split(rotated.stdout, "\n")[1])[1]
	const want = `id            key_AAAAAAAAAAAA
secret        tg_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB   (shown this once: keep it now)
tenant        acme
name          ci
state         active
ends in       ...BBBB
models        gemini-flash,gemini-2.*
networks      203.0.113.0/24
requests/min  60
burst         20 requests at once
tokens/min    100000
concurrent    5 requests
shadow        yes: these limits are decided and counted, and not enforced
budget        $25.5/month (stored; not enforced yet)
created       2026-01-02 03:04Z
expires       2026-01-02 03:04Z
changed       2026-01-02 03:04Z
rotated       2026-01-02 03:04Z
old secrets   end 2026-01-02 03:04Z
`
	if steady(rotated.stdout) != want || !d.works(first) || !d.works(second) {
		t.Errorf("rotated: the old works %v, the new %v; printed\n%s", d.works(first), d.works(second), steady(rotated.stdout))
	}
	if _, third := d.issued("keys", "rotate", id); d.works(first) || d.works(second) || !d.works(third) {
		t.Errorf("rotated without grace: %v, %v and the new %v", d.works(first), d.works(second), d.works(third))
	}
	d.prints(`
id            key_AAAAAAAAAAAA
tenant        acme
name          nightly
state         active
ends in       ...BBBB
models        all
networks      any
requests/min  60
burst         20 requests at once
tokens/min    100000
concurrent    5 requests
shadow        no
budget        none
created       2026-01-02 03:04Z
expires       never
changed       2026-01-02 03:04Z
rotated       2026-01-02 03:04Z
`, "keys", "update", id, "--name", "nightly", "--models", "all", "--cidrs", "any", "--expires", "never", "--budget-usd", "0", "--shadow=false")
	watch := d.directory.Cuts().Watch(id)
	if got := d.run("", "keys", "revoke", id); got.code != exitDone || watch.Severed() || !strings.Contains(got.stdout, "answers       those in progress come to their end, unless it was revoked with --now") {
		t.Errorf("revoked, answers cut %v: %+v", watch.Severed(), got)
	}
	if got := d.run("", "keys", "revoke", id, "--now"); got.code != exitDone || !watch.Severed() || !strings.Contains(got.stdout, "answers       those in progress end at their next event\n") {
		t.Errorf("revoked now, answers cut %v: %+v", watch.Severed(), got)
	}
	d.refused("the key is revoked for good", "keys", "rotate", id)
	for range 2 {
		if got := d.run("", "keys", "delete", id); got.code != exitDone || !strings.Contains(got.stdout, "deleted       its name, limits and networks are gone; usage records") {
			t.Errorf("deleted: %+v", got)
		}
	}
	d.fails(exitFailed, "no key has this id: tollgate keys list shows them", "keys", "show", id)
}

// TestKeysList lists what was asked for, a page at a time.
func TestKeysList(t *testing.T) {
	d := newDesk(t)
	for _, name := range []string{"one", "two"} {
		for _, tenant := range []string{"acme", "umbrella"} {
			d.issued("keys", "create", "--tenant", tenant, "--name", name, "--requests-per-minute", "60", "--budget-usd", "9", "--budget-period", "total",
				"--shadow="+strconv.FormatBool(name == "two"))
		}
	}
	d.prints(`
ID                TENANT    NAME  STATE   SECRET   MODELS  NETWORKS  REQUESTS/MIN  SHADOW  BUDGET       CREATED            EXPIRES
key_AAAAAAAAAAAA  umbrella  one   active  ...BBBB  all     any       60            no      $9 in total  2026-01-02 03:04Z  never
key_AAAAAAAAAAAA  umbrella  two   active  ...BBBB  all     any       60            yes     $9 in total  2026-01-02 03:04Z  never
`, "keys", "list", "--tenant", "umbrella")
	d.prints(`
ID                TENANT  NAME  STATE   SECRET   MODELS  NETWORKS  REQUESTS/MIN  SHADOW  BUDGET       CREATED            EXPIRES
key_AAAAAAAAAAAA  acme    one   active  ...BBBB  all     any       60            no      $9 in total  2026-01-02 03:04Z  never
`, "keys", "list", "--name", "one", "--limit", "1", "--state", "active")
	d.prints("{\n  \"keys\": []\n}\n", "keys", "list", "--state", "revoked", "-o", "json")
	d.fails(exitUsage, `--state: must be active, disabled, expired or revoked, got "sold"`, "keys", "list", "--state", "sold")
	if got := d.run("", "keys", "list", "-o", "json"); strings.Count(got.stdout, `"id":`) != 4 || strings.Contains(got.stdout, "secret") {
		t.Errorf("%+v", got)
	}
}

// TestStreamGrows lines up what comes late with what came before, as far as it can.
func TestStreamGrows(t *testing.T) {
	var out strings.Builder
	s := (&operator{stdout: &out}).newStream("A", "B")
	for i := range chunk {
		s.row(fmt.Sprint(i), "ä")
	}
	if lines := strings.Count(out.String(), "\n"); lines != chunk {
		t.Errorf("%d lines were written while rows came, want %d", lines, chunk)
	}
	s.row("", "short")
	s.row("longer", "")
	if err := s.end(nil); err != nil || !strings.HasPrefix(out.String(), "A    B\n0    ä\n") || !strings.HasSuffix(out.String(), "498  ä\n499     ä\n-       short\nlonger  -\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestTenantsCommands(t *testing.T) {
	d := newDesk(t)
	d.prints("TENANT  REQUESTS/MIN  BURST  TOKENS/MIN  CONCURRENT  SHADOW  BUDGET  CHANGED\n", "tenants", "list")
	d.prints(`
tenant        acme
requests/min  3000
burst         200 requests at once
tokens/min    no limit
concurrent    no limit
shadow        no
budget        none
changed       2026-01-02 03:04Z
`, "tenants", "set", "acme", "--requests-per-minute", "3000", "--burst", "200")
	d.prints(`
tenant        acme
requests/min  3000
burst         200 requests at once
tokens/min    no limit
concurrent    no limit
shadow        yes: these limits are decided and counted, and not enforced
budget        $500/month (stored; not enforced yet)
changed       2026-01-02 03:04Z
`, "tenants", "set", "acme", "--budget-usd", "500", "--budget-period", "month", "--shadow")
	d.prints(`
tenant        umbrella
requests/min  60
burst         1 request at once
tokens/min    no limit
concurrent    1 request
shadow        no
budget        none
changed       2026-01-02 03:04Z
`, "tenants", "set", "umbrella", "--requests-per-minute", "60", "--burst", "1", "--concurrent", "1")
	d.prints(`
tenant        umbrella
requests/min  no limit
burst         as requests/min
tokens/min    no limit
concurrent    1 request
shadow        no
budget        none
changed       2026-01-02 03:04Z
`, "tenants", "set", "umbrella", "--requests-per-minute", "0")
	d.run("", "tenants", "delete", "umbrella")
	if got := d.directory.TenantLimits("acme"); got != (keys.Limits{RequestsPerMinute: 3000, Burst: 200, Shadow: true}) {
		t.Errorf("acme may use %+v", got)
	}
	d.prints(`
TENANT  REQUESTS/MIN  BURST  TOKENS/MIN  CONCURRENT  SHADOW  BUDGET      CHANGED
acme    3000          200    no limit    no limit    yes     $500/month  2026-01-02 03:04Z
`, "tenants", "list")
	d.prints("tenant   acme\ndeleted  its keys stay, bounded by their own limits alone\n", "tenants", "delete", "acme")
	d.fails(exitFailed, "no tenant of this name has limits: tollgate tenants list shows those that have", "tenants", "show", "acme")
	d.prints("{\n  \"tenants\": []\n}\n", "tenants", "list", "-o", "json")
	d.fails(exitUsage, `--burst: must come with requests_per_minute, whose bucket it sizes`, "tenants", "set", "acme", "--burst", "5")
}

func TestAuditCommand(t *testing.T) {
	d := newDesk(t)
	id, secret := d.issued("keys", "create", "--tenant", "acme", "--name", "ci", "--requests-per-minute", "60")
	d.issued("keys", "create", "--tenant", "umbrella", "--name", "other")
	d.run("", "keys", "update", id, "--requests-per-minute", "0", "--models", "a,b*", "--shadow")
	d.run("", "tenants", "set", "acme", "--requests-per-minute", "600")
	clock := func(text string) string {
		var lines []string
		for line := range strings.Lines(steady(text)) {
			if strings.HasPrefix(line, "2026-01-02 ") {
				line = line[:11] + "00:00:00Z" + line[20:]
			}
			lines = append(lines, strings.ReplaceAll(line, last4(secret), "BBBB"))
		}
		return strings.Join(lines, "")
	}
	const want = `AT                    BY     ACTION      TENANT  KEY               CHANGES
2026-01-02 00:00:00Z  admin  tenant.set  acme    -                 requests_per_minute - -> 600
2026-01-02 00:00:00Z  admin  key.update  acme    key_AAAAAAAAAAAA  models - -> a,b*; requests_per_minute 60 -> -; shadow - -> true
2026-01-02 00:00:00Z  admin  key.create  acme    key_AAAAAAAAAAAA  name - -> ci; last4 - -> BBBB; requests_per_minute - -> 60
`
	if got := d.run("", "audit", "--tenant", "acme", "--by", "admin"); clock(got.stdout) != want {
		t.Errorf("%+v\n%s", got, clock(got.stdout))
	}
	if got := d.run("", "audit", "--key", id, "--limit", "1"); strings.Count(got.stdout, "\n") != 2 || !strings.Contains(got.stdout, "key.update") {
		t.Errorf("%+v", got)
	}
	var page struct {
		Changes []struct {
			Version    uint64
			By, Action string
			Key        string `json:"key_id"`
		}
	}
	got := d.run("", "audit", "-o", "json")
	if err := json.Unmarshal([]byte(got.stdout), &page); err != nil || len(page.Changes) != 4 || page.Changes[0].By != "admin" || page.Changes[1].Key != id || page.Changes[0].Version == 0 {
		t.Errorf("%v: %+v", err, got)
	}
	if strings.Contains(got.stdout, secret) {
		t.Error("a secret is in the audit")
	}
}

func last4(secret string) string { return secret[len(secret)-4:] }

// TestKeysImport imports a secret by its hash, and from standard input.
func TestKeysImport(t *testing.T) {
	d := newDesk(t)
	const secret = "sk-somebody-elses-0123456789"
	sum := sha256.Sum256([]byte(secret))
	hash := hex.EncodeToString(sum[:])
	const want = `
id            key_AAAAAAAAAAAA
tenant        acme
name          legacy
state         active
ends in       ...BBBB
models        all
networks      any
requests/min  default
burst         as requests/min
tokens/min    default
concurrent    default
shadow        yes: these limits are decided and counted, and not enforced
budget        none
created       2026-01-02 03:04Z
expires       never
`
	args := []string{"keys", "import", "--tenant", "acme", "--name", "legacy", "--shadow"}
	d.prints(want, append(args, "--secret-sha256", hash, "--last4", "6789")...)
	for _, stdin := range []string{secret, secret + "\n", secret + "\r\n"} { // the same key each time
		if got := d.run(stdin, append(args, "--secret-stdin")...); got.code != exitDone || steady(got.stdout) != strings.TrimPrefix(want, "\n") || len(d.all()) != 1 {
			t.Errorf("%q: %d keys: %+v", stdin, len(d.all()), got)
		}
	}
	if !d.works(secret) {
		t.Error("an imported secret does not work")
	}
	d.refused("", "keys", "import", "--tenant", "acme", "--name", "other", "--secret-sha256", hash, "--last4", "6789")
	const either = "give either --secret-sha256 or --secret-stdin: a key is imported by the hash of its secret"
	d.fails(exitUsage, either, args...)
	d.fails(exitUsage, either, append(args, "--secret-sha256", hash, "--secret-stdin")...)
	d.fails(exitUsage, "--last4: comes with --secret-sha256; of --secret-stdin it is known", append(args, "--secret-stdin", "--last4", "6789")...)
	d.fails(exitUsage, "--secret-sha256: must be the SHA-256 of the secret, 64 hexadecimal digits", append(args, "--secret-sha256", "12")...)
	for _, stdin := range []string{"", "short", "two words and more words", secret + "\n\n", "tg_0123456789abcdef", strings.Repeat("x", 257), "sekret-mit-\u00fcmlaut-0123456789"} {
		got := d.run(stdin, append(args, "--secret-stdin")...)
		if got.code != exitUsage || got.stdout != "" || stdin != "" && strings.Contains(got.stderr, strings.TrimSpace(stdin)) {
			t.Errorf("%q: %+v", stdin, got)
		}
	}
}
