package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/admin"
	"tollgate/keys"
	"tollgate/proxy"
	"tollgate/store"
	"tollgate/usage"

	"github.com/google/go-cmp/cmp"
)

// oracle is an Explainer that remembers what it was asked, and gives a fixed
// answer; as a ledger, it knows one request.
type oracle struct {
	key    string
	body   string
	answer proxy.Explanation
	failed []usage.Record // attempts of the same request
	record usage.Record
	behind uint64 // records that the ledger does not have
}

func (o *oracle) Behind() uint64 { return o.behind }

func (o *oracle) Explain(_ context.Context, key *keys.Key, body []byte) proxy.Explanation {
	o.key, o.body = key.ID, string(body)
	return o.answer
}

func (o *oracle) ByRequest(context.Context, string) ([]usage.Record, error) {
	return append(o.failed, o.record), nil
}

func (o *oracle) Sum(context.Context, usage.Query) ([]usage.Row, error) { return nil, nil }

// consulted runs an operators' API that asks o, and returns a key's id and how to ask it.
func consulted(t *testing.T, o *oracle) (key string, g served) {
	t.Helper()
	data := t.TempDir()
	db, err := store.OpenBolt(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	keyStore, err := keys.NewBoltStore(db)
	if err != nil {
		t.Fatal(err)
	}
	directory := keys.New(keyStore, keys.Config{})
	issued, _, err := directory.By("test").Create(t.Context(), keys.Spec{Tenant: "acme", Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := admin.LoadTokens(admin.Config{}, data)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := admin.New(admin.Options{Keys: directory, Usage: o, Explainer: o, Tokens: tokens, MaxRequestBody: 1 << 20})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return issued.ID, served{operate: []string{"--admin", "http://" + ln.Addr().String(), "--data-dir", data}}
}

func amount(n usage.NanoUSD) *usage.NanoUSD { return &n }

// foreseen is an answer with everything that one may hold.
func foreseen() proxy.Explanation {
	return proxy.Explanation{
		Sent: true,
		Stages: []proxy.Stage{
			{Name: "authenticate", Result: "passed", Detail: "key_Xy12Zab34Cde of acme"},
			{Name: "route", Result: "passed", Detail: "2 of 4"},
			{Name: "attempt", Result: "not_reached"},
		},
		Request: &proxy.RequestSummary{
			Model: "gemini-flash", Stream: true, Bytes: 1234, PromptTokens: 13, MaxCompletionTokens: 500, ReservedTokens: 513, Needs: []string{"tools", "role developer"},
		},
		Limits: []proxy.LimitLeft{
			{Name: "requests", Limit: 60, Remaining: 59, ResetMS: 1000},
			{Name: "tenant_requests", Limit: 9, Remaining: 9},
			{Name: "tokens", Limit: 600, Remaining: 512, ResetMS: 8800, Refuses: true, Shadow: true},
			{Name: "tenant_concurrent", Limit: 5, Remaining: 1},
		},
		Candidates: []proxy.CandidateOutlook{
			{
				Provider: "starmagic", Model: "gemini-2.5-flash-lite", URL: "https://api.starmagic.ai/v1", Credential: "#1 ...wxyz", Weight: 3, State: "ready", Share: 0.744,
				Dropped: []string{"user", "seed"}, Adapted: []string{"max_completion_tokens as max_tokens"},
				Cost: &proxy.CostRange{Least: 9_000, Most: amount(336_000), Price: "starmagic/gemini-2.5-flash-lite@2026-01-01"},
			},
			{
				Provider: "starmagic", Model: "gemini-2.5-flash-lite", URL: "https://api.starmagic.ai/v1", Credential: "#2 ...abcd", State: "half_open", Share: 0.25,
				Cost: &proxy.CostRange{Least: 9_000, Price: "starmagic/gemini-2.5-flash-lite@2026-01-01"},
			},
			{
				Provider: "evolink", Model: "gemini-3", URL: "https://api.evolink.ai/v1", Credential: "#1 ...efgh", State: "ready", Share: 0.005,
				Cost: &proxy.CostRange{Least: 5_000, Most: amount(5_000)},
			},
			{Provider: "theturbo", Model: "turbo-2", URL: "https://theturbo.example/v1", Credential: "#1 ...ijkl", Tier: 1, State: "ready"},
			{
				Provider: "theturbo", Model: "turbo", URL: "https://theturbo.example/v1", Credential: "#1 ...ijkl", Tier: 1, State: "ready",
				Excluded: &proxy.Exclusion{Param: "seed", Why: `does not take "seed"`},
			},
		},
		Charge: &proxy.CostRange{Least: 12_000, Most: amount(420_000), Price: "gemini-flash@2026-01-01"},
	}
}

const foreseenTable = `
It would be sent to starmagic (gemini-2.5-flash-lite) or evolink (gemini-3) first.

STAGE         RESULT       DETAIL
authenticate  passed       key_Xy12Zab34Cde of acme
route         passed       2 of 4
attempt       not reached  -

model    gemini-flash
stream   yes
body     1234 bytes
prompt   about 13 tokens of text
answer   at most 500 tokens
reserve  513 tokens of each limit of tokens
needs    tools, role developer

LIMIT              OF   LEFT  ALL BACK  ENOUGH
requests           60   59    in 1s     yes
tenant_requests    9    9     now       yes
tokens (shadow)    600  512   in 8.8s   no
tenant_concurrent  5    1     -         yes

PROVIDER   MODEL                  URL                          CREDENTIAL  TIER  SHARE  STATE      DROPPED     ADAPTED                              COST $                EXCLUDED BECAUSE
starmagic  gemini-2.5-flash-lite  https://api.starmagic.ai/v1  #1 ...wxyz  0     74%    ready      user, seed  max_completion_tokens as max_tokens  0.000009 to 0.000336  -
starmagic  gemini-2.5-flash-lite  https://api.starmagic.ai/v1  #2 ...abcd  0     25%    half_open  -           -                                    0.000009 or more      -
evolink    gemini-3               https://api.evolink.ai/v1    #1 ...efgh  0     <1%    ready      -           -                                    0.000005              -
theturbo   turbo-2                https://theturbo.example/v1  #1 ...ijkl  1     -      ready      -           -                                    -                     -
theturbo   turbo                  https://theturbo.example/v1  #1 ...ijkl  1     -      ready      -           -                                    -                     does not take "seed"

charge: $0.000012 to $0.00042, by gemini-flash@2026-01-01
`

// TestExplainCommand asks an API, with the file's bytes as they are.
func TestExplainCommand(t *testing.T) {
	o := &oracle{answer: foreseen()}
	key, g := consulted(t, o)
	path := filepath.Join(t.TempDir(), "request.json")
	for _, body := range []string{`{"model":"gemini-flash"}`, "", "{\n\xff", strings.Repeat("a", 1<<20)} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, foreseenTable[1:], g.args("explain", "-f", path, "--key", key)...)
		if o.key != key || o.body != body {
			t.Errorf("the gateway was asked about %s and %d bytes, want %s and %d", o.key, len(o.body), key, len(body))
		}
	}
	printed := tollgate(t, g.args("explain", "--file", path, "--key", key, "-o", "json")...)
	var got proxy.Explanation
	if err := json.Unmarshal([]byte(printed.stdout), &got); err != nil || printed.code != exitDone {
		t.Fatalf("%v: %+v", err, printed)
	}
	if diff := cmp.Diff(foreseen(), got); diff != "" {
		t.Errorf("-o json (-want +got):\n%s", diff)
	}

	// A refusal is an explanation, too.
	o.answer = proxy.Explanation{Refusal: &proxy.Refusal{Status: 404, Code: "model_not_found", Message: "no"}}
	wantOutput(t, "It would be refused: 404 model_not_found: no\n\nSTAGE  RESULT  DETAIL\n", g.args("explain", "-f", path, "--key", key)...)

	f := func(want, key string) {
		t.Helper()
		got := tollgate(t, g.args("explain", "-f", path, "--key", key)...)
		if got != (outcome{exitFailed, "", "tollgate: " + want + "\n"}) {
			t.Errorf("got %+v", got)
		}
	}
	f("no key has this id: tollgate keys list shows them", "key_000000000000")
	if err := os.WriteFile(path, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	const tooLarge = "the request body must be at most 1MiB: server.max_request_body holds for clients, too"
	wantOutput(t, "It would be refused: 413 request_too_large: "+tooLarge+"\n\nSTAGE  RESULT   DETAIL\nread   refused  "+tooLarge+"\n",
		g.args("explain", "-f", path, "--key", key)...)
	printed = tollgate(t, g.args("explain", "-f", path, "--key", key, "-o", "json")...)
	if err := json.Unmarshal([]byte(printed.stdout), &got); err != nil || printed.code != exitDone || got.Sent || got.Refusal == nil || got.Refusal.Status != 413 {
		t.Errorf("%v: %+v", err, printed)
	}
}

// TestSecretsStayHere refuses the secret of a key where an id belongs, before it is sent
// anywhere: here, nobody could be asked.
func TestSecretsStayHere(t *testing.T) {
	const secret = "tg_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	path := writeFile(t, "{}")
	f := func(want string, args ...string) {
		t.Helper()
		if got := tollgate(t, append(args, "--admin", "http://127.0.0.1:1", "--data-dir", t.TempDir())...); got != (outcome{exitUsage, "", "tollgate: " + want + "\n"}) {
			t.Errorf("%q: %+v", args, got)
		}
	}
	const stern = "this is a key's secret, which others on this machine can see in a command line: " +
		"revoke that key, and name keys by their ids, as tollgate keys list shows them"
	for _, text := range []string{secret, " " + secret, "Bearer " + secret, "\t'" + secret + "'", "tg_mistyped"} {
		inKey, inID := "--key: "+stern, stern
		if text == "tg_mistyped" {
			inKey = "--key: this is a key's secret: name its id, as tollgate keys list shows it"
			inID = "ID: this holds a key's secret: name the request by the x-request-id of its answer"
		}
		f(inKey, "explain", "-f", path, "--key", text)
		f(inKey, "usage", "--key", text)
		for _, command := range []string{"show", "revoke", "update", "rotate", "delete"} {
			f("ID: this is a key's secret: name its id, as tollgate keys list shows it", "keys", command, text)
		}
		f(inKey, "audit", "--key", text)
		f("NAME: this is a key's secret: name the tenant, as tollgate keys list shows it", "tenants", "show", text)
		f(inID, "request", text)
	}
	f("--tenant: "+stern, "keys", "list", "--tenant", secret)
	f("--name: "+stern, "keys", "list", "--name", "my "+secret)
	f("--name: "+stern, "keys", "create", "--tenant", "acme", "--name", secret)
	f("--models: "+stern, "keys", "update", "key_Xy12Zab34Cde", "--models", "a,"+secret)
	f("--last4: "+stern, "keys", "import", "--tenant", "acme", "--last4", secret)
	f("--secret-sha256: "+stern, "keys", "import", "--tenant", "acme", "--secret-sha256", secret)
	f("--by: "+stern, "audit", "--by", secret)
	f("ID: name the request by the x-request-id of its answer", "request", "")
	for _, name := range []string{"stg_frontend", "team tg_1"} {
		if isSecret(name) {
			t.Errorf("%s is no secret", name)
		}
	}
	for _, id := range []string{"key_Xy12Zab34Cde", "tg_1", "0199-a"} {
		if holdsSecret(id) {
			t.Errorf("%s is no secret", id)
		}
	}
}

func TestExplainReadsStandardInput(t *testing.T) {
	o := &oracle{}
	key, g := consulted(t, o)
	t.Setenv("TOLLGATE_ADMIN_TOKEN", "")
	var stdout bytes.Buffer
	root, _ := newRoot(&stdout, io.Discard)
	root.SetIn(strings.NewReader("{\"model\":\"piped\"}\n"))
	root.SetArgs(g.args("explain", "-f", "-", "--key", key))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "It would not be sent.\n\nSTAGE  RESULT  DETAIL\n"; stdout.String() != want || o.body != "{\"model\":\"piped\"}\n" {
		t.Errorf("asked about %q and printed\n%swant\n%s", o.body, stdout.String(), want)
	}
}

// TestExplainBoundsItsInput is given a file without an end, and one that is just short enough.
func TestExplainBoundsItsInput(t *testing.T) {
	_, err := readAtMost(endless{}, 1<<10)
	if want := "it is longer than 1KiB, the most that is sent"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	body, err := readAtMost(io.LimitReader(endless{}, 1<<10), 1<<10)
	if err != nil || len(body) != 1<<10 {
		t.Errorf("got %d bytes, %v", len(body), err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestExplanationSentences holds the two sentences that people look for: the first and the last.
func TestExplanationSentences(t *testing.T) {
	f := func(e proxy.Explanation, first, last string) {
		t.Helper()
		var stdout bytes.Buffer
		if err := (&operator{stdout: &stdout}).print(e, func(w io.Writer) { explanation(w, e) }); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
		if lines[0] != first || lines[len(lines)-1] != last {
			t.Errorf("got\n%s\n%s\nwant\n%s\n%s", lines[0], lines[len(lines)-1], first, last)
		}
	}
	const stages, unpriced = "STAGE  RESULT  DETAIL", "charge: not known: the model has no price at present"
	refused := func(r proxy.Refusal) proxy.Explanation { return proxy.Explanation{Refusal: &r} }
	f(refused(proxy.Refusal{Status: 400, Code: "unsupported_parameter", Param: "seed", Message: `no provider takes "seed"`}),
		`It would be refused: 400 unsupported_parameter: no provider takes "seed"`, stages)
	f(refused(proxy.Refusal{Status: 429, Code: "rate_limit_exceeded", Message: "wait", RetryAfterMS: 1500}),
		"It would be refused: 429 rate_limit_exceeded: wait (again in 1.5s)", stages)
	f(refused(proxy.Refusal{Status: 404, Code: "model_not_found", Message: "no model \x1b[2J\n\t\u202e"}),
		"It would be refused: 404 model_not_found: no model \ufffd[2J\ufffd\ufffd\ufffd", stages)

	one := foreseen().Candidates[3:4] // without a share
	f(proxy.Explanation{Sent: true, Candidates: one, Charge: &proxy.CostRange{Least: 12_000, Price: "gemini-flash@2026-01-01"}},
		"It would be sent to theturbo (turbo-2) first.",
		"charge: at least $0.000012, no upper bound: the request names no max_tokens; by gemini-flash@2026-01-01")
	c := charge(proxy.CostRange{Least: 12_000, Price: "p"}, &proxy.RequestSummary{MaxCompletionTokens: 5})
	if want := "charge: at least $0.000012, no upper bound: nobody counts its media beforehand; by p"; c != want {
		t.Errorf("got %s, want %s", c, want)
	}
	f(proxy.Explanation{Sent: true, Charge: &proxy.CostRange{Least: 12_000, Most: amount(12_000), Price: "p"}},
		"It would be sent to a provider first.", "charge: $0.000012, by p")
	f(proxy.Explanation{Sent: true, Candidates: foreseen().Candidates[4:], Charge: &proxy.CostRange{Least: 1, Price: "p"}},
		"It would be sent to a provider first.", "charge: at least $0.000000001, no upper bound: the request names no max_tokens; by p")
	f(proxy.Explanation{Sent: true}, "It would be sent to a provider first.", unpriced)
	f(proxy.Explanation{Stages: []proxy.Stage{{Name: "read", Result: "refused", Detail: "a\tb\x1b"}}},
		"It would not be sent.", "read   refused  a\ufffdb\ufffd")
	f(proxy.Explanation{Request: &proxy.RequestSummary{Model: "a\nb", Needs: []string{"x\r"}}}, "It would not be sent.", "needs   x\ufffd")
}
