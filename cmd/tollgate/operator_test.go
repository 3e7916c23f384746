package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"tollgate/simulator"
)

// operated is the gateway of these tests: one provider, simulated, and one model.
func operated(t *testing.T) served {
	t.Helper()
	providers, err := simulator.New(simulator.Options{}).Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := providers.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return serveGateway(t, `
server: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
data_dir: DATA_DIR
providers:
  starmagic: {contract: starmagic, endpoints: [{url: "`+providers.URL()+`/starmagic/v1", api_keys: [simulated-credential-wxyz]}]}
models:
  gemini-2.5-flash-lite: {targets: [{provider: starmagic}]}
prices:
  - {model: gemini-2.5-flash-lite, from: 2026-01-01, input: "0.10", output: "0.40"}
costs:
  - {provider: starmagic, model: gemini-2.5-flash-lite, from: 2026-01-01, input: "0.08", output: "0.32"}
telemetry: {log_format: json}
`)
}

// TestOperatorsCommands walks through a key's life and its bill, and holds every
// table against its literal text.
func TestOperatorsCommands(t *testing.T) {
	g := operated(t)
	f := func(want string, args ...string) {
		t.Helper()
		got := tollgate(t, g.args(args...)...)
		if got.code != exitDone || got.stderr != "" {
			t.Fatalf("tollgate %s: exit code %d: %s", strings.Join(args, " "), got.code, got.stderr)
		}
		if want = strings.TrimPrefix(want, "\n"); steady(got.stdout) != want {
			t.Errorf("tollgate %s printed\n%s\nwant\n%s", strings.Join(args, " "), steady(got.stdout), want)
		}
	}
	f(`
ID  TENANT  NAME  STATE  SECRET  MODELS  NETWORKS  REQUESTS/MIN  SHADOW  BUDGET  CREATED  EXPIRES
`, "keys", "list")
	f(`
id            key_AAAAAAAAAAAA
secret        tg_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB   (shown this once: keep it now)
tenant        acme
name          batch jobs
state         active
ends in       ...BBBB
models        gemini-2.5-flash-lite,gemini-3*
networks      any
requests/min  60
burst         as requests/min
tokens/min    default
concurrent    default
shadow        no
budget        none
created       2026-01-02 03:04Z
expires       2026-01-02 03:04Z
`, "keys", "create", "--tenant", "acme", "--name", "batch jobs", "--models", "gemini-2.5-flash-lite,gemini-3*", "--requests-per-minute", "60", "--expires", "720h")

	var key struct{ ID, Secret string }
	issued := tollgate(t, g.args("keys", "create", "--tenant", "umbrella", "--name", "ci", "-o", "json")...)
	if err := json.Unmarshal([]byte(issued.stdout), &key); err != nil || issued.code != exitDone {
		t.Fatalf("%v: %+v", err, issued)
	}
	id := g.complete(t, key.Secret)
	g.complete(t, key.Secret)
	f(`
TENANT    MODEL                  REQUESTS  ESTIMATED  PROMPT  CACHED  COMPLETION  REASONING  CHARGE $   COST $
umbrella  gemini-2.5-flash-lite  2         0          6       0       48          0          0.0000198  0.00001584
`, "usage")
	f(`
DAY         KEY               PROVIDER   REQUESTS  ESTIMATED  PROMPT  CACHED  COMPLETION  REASONING  CHARGE $   COST $
2026-01-02  key_AAAAAAAAAAAA  starmagic  2         0          6       0       48          0          0.0000198  0.00001584
`, "usage", "--by", "key,provider,day", "--tenant", "umbrella")
	f(`
KIND    ATTEMPT  MODEL                  PROVIDER   END        SOURCE    PROMPT  COMPLETION  DELIVERED  CHARGE $   COST $
settle  0        gemini-2.5-flash-lite  starmagic  completed  upstream  3       24          all        0.0000099  0.00000792

ATTEMPT  PROVIDER   MODEL                  URL                                  CREDENTIAL  OUTCOME  STATUS  BEGAN  TOOK  DROPPED  ADAPTED
0        starmagic  gemini-2.5-flash-lite  http://127.0.0.1:40000/starmagic/v1  #1 ...BBBB  ok       200     after   time  -        -
`, "request", id)

	f(`
id            key_AAAAAAAAAAAA
tenant        umbrella
name          ci
state         revoked
ends in       ...BBBB
models        all
networks      any
requests/min  default
burst         as requests/min
tokens/min    default
concurrent    default
shadow        no
budget        none
created       2026-01-02 03:04Z
expires       never
changed       2026-01-02 03:04Z
revoked       2026-01-02 03:04Z
answers       those in progress come to their end, unless it was revoked with --now: that ends them at their next event
`, "keys", "revoke", key.ID)
	f(`
ID                TENANT    NAME        STATE    SECRET   MODELS                           NETWORKS  REQUESTS/MIN  SHADOW  BUDGET  CREATED            EXPIRES
key_AAAAAAAAAAAA  acme      batch jobs  active   ...BBBB  gemini-2.5-flash-lite,gemini-3*  any       60            no      none    2026-01-02 03:04Z  2026-01-02 03:04Z
key_AAAAAAAAAAAA  umbrella  ci          revoked  ...BBBB  all                              any       default       no      none    2026-01-02 03:04Z  never
`, "keys", "list")
}

// complete asks for one plain answer and returns its request id.
func (s served) complete(t *testing.T, secret string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/chat/completions",
		strings.NewReader(`{"model":"gemini-2.5-flash-lite","messages":[{"role":"user","content":"Please introduce yourself"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s (%v)", response.StatusCode, body, err)
	}
	return response.Header.Get("X-Request-Id")
}

// TestOperatorsJSON prints the same as JSON, with the names that scripts rely on.
func TestOperatorsJSON(t *testing.T) {
	g := operated(t)
	f := func(names []string, args ...string) {
		t.Helper()
		got := tollgate(t, g.args(append(args, "-o", "json")...)...)
		if got.code != exitDone || !json.Valid([]byte(got.stdout)) {
			t.Fatalf("tollgate %s: %+v", strings.Join(args, " "), got)
		}
		for _, name := range names {
			if !strings.Contains(got.stdout, `"`+name+`":`) {
				t.Errorf("tollgate %s printed no %q:\n%s", strings.Join(args, " "), name, got.stdout)
			}
		}
	}
	f([]string{"keys"}, "keys", "list")
	f([]string{"rows"}, "usage")
	f([]string{"id", "secret", "tenant", "name", "models", "requests_per_minute", "created_at"}, "keys", "create", "--tenant", "acme", "--name", "ci")
	f([]string{"keys", "id", "last4", "state"}, "keys", "list")
	if list := tollgate(t, g.args("keys", "list", "-o", "json")...); strings.Contains(list.stdout, "secret") {
		t.Errorf("the list shows a secret:\n%s", list.stdout)
	}
}

// TestOperatorsMistakes asks the gateway for what it cannot do: exit code 1, and
// the gateway's own words.
func TestOperatorsMistakes(t *testing.T) {
	g := operated(t)
	f := func(want string, args ...string) {
		t.Helper()
		got := tollgate(t, g.args(args...)...)
		if got.code != exitFailed || got.stdout != "" || got.stderr != "tollgate: "+want+"\n" {
			t.Errorf("tollgate %s: exit code %d, printed %q and complained\n%swant\ntollgate: %s", strings.Join(args, " "), got.code, got.stdout, got.stderr, want)
		}
	}
	f("no key has this id: tollgate keys list shows them", "keys", "show", "key_AAAAAAAAAAAA")
	f("no usage record has this request id: it is the x-request-id of an answer, and a request that was refused here has none: "+
		"tollgate explain (POST /admin/v1/explain) says what would become of one, and why",
		"request", "019a2b3c-4d5e-7f60-8123-456789abcdef")
	f("no tenant of this name has limits: tollgate tenants list shows those that have", "tenants", "show", "acme")
}
