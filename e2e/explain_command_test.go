package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tollgate/simulator"
)

// piped runs an operator's command with a text on its standard input.
func (g *gateway) piped(t *testing.T, stdin string, args ...string) (exitCode int, stdout, stderr string) {
	t.Helper()
	var out, complaints strings.Builder
	command := exec.CommandContext(within(t, patience), binary, append(args, "--admin", g.admin, "--data-dir", g.dataDir)...)
	command.Dir, command.Env = t.TempDir(), []string{"GORACE=atexit_sleep_ms=0"}
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &complaints
	_ = command.Run() // the exit code says how it went
	return command.ProcessState.ExitCode(), out.String(), complaints.String()
}

// columns is a table without what changes from run to run: its columns are two
// spaces apart, and addresses and times have names.
func (f *fleet) columns(text string) string {
	text = strings.ReplaceAll(text, f.env["SIMULATOR"], "http://simulator")
	text = regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
	return regexp.MustCompile(`\b[0-9.]+(ms|s)\b`).ReplaceAllString(text, "TIME")
}

const foretoldTable = `It would be sent to starmagic (gemini-2.5-flash-lite) first.

STAGE  RESULT  DETAIL
authenticate  passed  key KEY of tenant acme
read  passed  135 bytes, 6 fields
authorize  passed  the key may use gemini-flash
route  passed  1 of 3 candidates
admit  passed  600 of 600 requests per minute are left
attempt  passed  starmagic (gemini-2.5-flash-lite) first; at most 3 attempts within 15m0s

model  gemini-flash
stream  yes
body  135 bytes
prompt  about 1 token of text
answer  at most 100 tokens
needs  max_completion_tokens=100, seed=7

LIMIT  OF  LEFT  ALL BACK  ENOUGH
requests  600  600  now  yes

PROVIDER  MODEL  URL  CREDENTIAL  TIER  SHARE  STATE  DROPPED  ADAPTED  COST $  EXCLUDED BECAUSE
starmagic  gemini-2.5-flash-lite  http://simulator/starmagic/v1  #1 ...8035  1  100%  ready  user  -  0.00000008 to 0.00003208  -
theturbo  gemini-2.0-flash  http://simulator/theturbo/v1  #1 ...8035  1  -  ready  -  -  -  does not take "seed"
evolink  gemini-3-pro-preview  http://simulator/evolink/v1  #1 ...8035  2  -  ready  -  -  -  does not take "seed"

charge: $0.00000005 to $0.0000802, by gemini-flash@2026-01-01
`

// TestExplainCommand asks the way operators do, for readers and for scripts.
func TestExplainCommand(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key := f.issue(t)
	const body = `{"model":"gemini-flash","seed":7,"user":"ann","max_completion_tokens":100,"stream":true,"messages":[{"role":"user","content":"hello"}]}`
	path := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	table := f.operate(t, "explain", "-f", path, "--key", key.ID)
	if got := f.columns(strings.ReplaceAll(table, key.ID, "KEY")); got != foretoldTable {
		t.Errorf("got\n%s\nwant\n%s", got, foretoldTable)
	}
	code, stdout, stderr := f.piped(t, body, "explain", "-f", "-", "--key", key.ID)
	if code != 0 || stdout != table || stderr != "" {
		t.Errorf("from standard input: exit code %d, %s%s", code, stdout, stderr)
	}
	var e explained
	f.operateJSON(t, &e, "explain", "--file", path, "--key", key.ID)
	if got := e.outcome(); got != "starmagic -user" || len(e.Candidates) != 3 {
		t.Errorf("-o json: %s of %+v", got, e.Candidates)
	}

	// What would be refused is an explanation, too.
	code, stdout, stderr = f.piped(t, `{"model":"gpt-5"`, "explain", "-f", "-", "--key", key.ID)
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "It would be refused: 400 invalid_json: ") {
		t.Errorf("half a body: exit code %d, %s%s", code, stdout, stderr)
	}
	code, stdout, _ = f.piped(t, question("gpt-5", "hello"), "explain", "-f", "-", "--key", key.ID, "-o", "json")
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 0 || e.Sent || e.Refusal.Code != "model_not_found" {
		t.Errorf("an unknown model: exit code %d, %s", code, stdout)
	}
	if asked := f.providers.Truth(); len(asked) != 0 {
		t.Errorf("%d requests were sent upstream", len(asked))
	}
}

// TestExplainMisused makes mistakes on the command line: each is told, and by
// its exit code from what only did not succeed.
func TestExplainMisused(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key := f.issue(t)
	fail := func(want int, complaint string, args ...string) {
		t.Helper()
		code, stdout, stderr := f.piped(t, question("gemini-flash", "hello"), append([]string{"explain"}, args...)...)
		if code != want || stdout != "" || !strings.HasPrefix(stderr, "tollgate: "+complaint) || strings.Contains(stderr, key.Secret) {
			t.Errorf("%v: exit code %d, %s%s\nwant %d, %s", args, code, stdout, stderr, want, complaint)
		}
	}
	fail(2, "--file: name the file with the request's body, or - for standard input", "--key", key.ID)
	fail(2, "--key: name the key that the request would come with by its id: tollgate keys list shows it", "-f", "-")
	fail(2, "--key: this is a key's secret, which others on this machine can see in a command line: revoke that key, and name keys by their ids, as tollgate keys list shows them", "-f", "-", "--key", key.Secret)
	fail(2, "--file: open nowhere.json: no such file or directory", "-f", "nowhere.json", "--key", key.ID)
	fail(2, "unknown flag: --provider", "-f", "-", "--key", key.ID, "--provider", "evolink")
	fail(2, `unknown command "request.json" for "tollgate explain"`, "request.json", "--key", key.ID)
	fail(1, "no key has this id: tollgate keys list shows them", "-f", "-", "--key", "key_000000000000")
}

// withTrail adds a model to the configuration of whom each is asked when the one before fails.
func withTrail() string {
	return strings.Replace(configuration, "models:\n", `models:
  trail:
    targets:
      - {provider: theturbo,  model: gemini-2.0-flash}
      - {provider: starmagic, model: gemini-2.5-flash-lite, tier: 2}
      - {provider: evolink,   model: gemini-3-pro-preview,  tier: 3}
`, 1)
}

const trailTable = `ATTEMPT  PROVIDER  MODEL  URL  CREDENTIAL  OUTCOME  STATUS  BEGAN  TOOK  DROPPED  ADAPTED
0  theturbo  gemini-2.0-flash  http://simulator/theturbo/v1  #1 ...8035  server_error  503  after TIME  TIME  user  max_completion_tokens as max_tokens
1  starmagic  gemini-2.5-flash-lite  http://simulator/starmagic/v1  #1 ...8035  ok  200  after TIME  TIME  user  -

passed over: evolink: does not take "n"
`

// TestTrail fails over, and shows on which way the request was answered.
func TestTrail(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil).with(t, withTrail(), nil)
	key := f.issue(t)
	f.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 503, Provider: simulator.TheTurbo, Times: 1})
	const body = `{"model":"trail","max_completion_tokens":100,"n":2,"user":"ann","messages":[{"role":"user","content":"Which way?"}]}`
	r := f.bare(t).send(t.Context(), wish{secret: key.Secret, body: body})
	if got := providersOf(f.attempts(t, "Which way?")); r.status != 200 || !slices.Equal(got, []string{"starmagic", "theturbo"}) {
		t.Fatalf("%v were asked: %s", got, r)
	}
	id := r.header.Get("X-Request-Id")
	_, got, _ := strings.Cut(f.columns(f.operate(t, "request", id)), "\n\n")
	if got != trailTable {
		t.Errorf("got\n%s\nwant\n%s", got, trailTable)
	}
	var list struct {
		Records []struct {
			Trail struct {
				Attempts []struct{ Provider, Outcome string }
				Excluded []exclusion
			}
		}
	}
	f.operateJSON(t, &list, "request", id)
	way := list.Records[len(list.Records)-1].Trail // the bill comes last
	if len(way.Attempts) != 2 || way.Attempts[0].Outcome != "server_error" || way.Attempts[1].Provider != "starmagic" ||
		!slices.Equal(way.Excluded, []exclusion{{Provider: "evolink", Param: "n", Why: `does not take "n"`}}) {
		t.Errorf("-o json: %+v", way)
	}
}
