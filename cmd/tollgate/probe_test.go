package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/telemetry"
	"tollgate/upstream"
)

const probeKey = "sk-secret-of-the-operator-wxyz"

// probeable starts the providers, and returns a configuration of TheTurbo.
func probeable(t *testing.T, b simulator.Behaviour) (sim *simulator.Simulator, path string) {
	t.Helper()
	sim = simulator.New(simulator.Options{Behaviour: b})
	providers, err := sim.Start("127.0.0.1:0")
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
	return sim, writeFile(t, `
providers:
  theturbo:
    contract: theturbo
    endpoints:
      - {url: "`+providers.URL()+`/nowhere/v1", api_keys: [""]}
      - {url: "`+providers.URL()+`/theturbo/v1", api_keys: ["", `+probeKey+`]}
  idle: {contract: evolink, endpoints: [{url: "https://idle.example/v1", api_keys: [""]}]}
models:
  pro: {targets: [{provider: theturbo, model: gemini-1.5-pro}]}
costs:
  - {provider: theturbo, model: gemini-1.5-pro, input: "0.10", output: "0.40"}
`)
}

// runProbe runs the command with these flags, without its pauses. typed is what is
// typed on its terminal.
func runProbe(t *testing.T, p probing, typed string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return runProbeUntil(ctx, p, strings.NewReader(typed))
}

func runProbeUntil(ctx context.Context, p probing, stdin io.Reader) outcome {
	var stdout, stderr bytes.Buffer
	p.stdin, p.stdout, p.stderr, p.pause = stdin, &stdout, &stderr, -1
	p.provider = fallback(p.provider, "theturbo")
	p.maxCost = fallback(p.maxCost, "0.05")
	if p.timeout == 0 {
		p.timeout = time.Minute
	}
	code := exitCode(p.run(ctx), &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// asSteady makes what a clock and a system choose the same, at the same width.
func asSteady(text string) string {
	text = regexp.MustCompile(`min \S+ of one stream +`).ReplaceAllString(text, "min 1ms of one stream     ")
	return steady(text)
}

// TestProbeTable holds the whole output against its text, of a provider that does
// what its page says but for two things.
func TestProbeTable(t *testing.T) {
	_, path := probeable(t, simulator.Behaviour{Deviations: simulator.Deviations{
		Takes: []string{"seed"}, Ranges: map[string][2]float64{"temperature": {0, 1}},
	}})
	got := runProbe(t, probing{config: path}, "y\n")
	const want = `CHECK                         EXPECTED                           SEEN                      VERDICT        REMARK
plain answer                  JSON with text and finish_reason   text, finish_reason stop  as documented  -
usage                         figures that add up                prompt 13, completion 24  as documented  -
model echo                    gemini-1.5-pro                     gemini-1.5-pro            as documented  -
stream                        valid events, text, finish_reason  text, finish_reason stop  as documented  -
stream end                    [DONE], then a clean end           [DONE], then a clean end  as documented  -
stream usage                  not documented                     none                      as documented  -
stream_options.include_usage  not documented                     refused                   as documented  Unknown parameter: 'stream_options'.
error: no messages            4xx with an error object           400 with an error object  as documented  -
error: unknown model          4xx with an error object           404 with an error object  as documented  -
a field that does not exist   not documented                     refused                   as documented  -
max_tokens                    taken                              taken                     as documented  -
max_completion_tokens         not documented                     refused                   as documented  -
temperature                   taken from 0 to 2                  taken from 0 to 1         deviates       Invalid value for 'temperature': 2 is not between 0 and 1.
top_p                         taken from 0 to 1                  taken from 0 to 1         as documented  -
top_k                         not documented                     refused                   as documented  -
n                             taken                              taken                     as documented  -
frequency_penalty             taken from -2 to 2                 taken from -2 to 2        as documented  -
presence_penalty              taken from -2 to 2                 taken from -2 to 2        as documented  -
seed                          not documented                     taken                     deviates       -
logprobs                      not documented                     refused                   as documented  -
top_logprobs                  not documented                     refused                   as documented  -
response_format               not documented                     refused                   as documented  -
reasoning_effort              not documented                     refused                   as documented  -
extra_body                    not documented                     refused                   as documented  -
logit_bias                    not documented                     refused                   as documented  -
audio                         not documented                     refused                   as documented  -
web_search_options            not documented                     refused                   as documented  -
stop                          a string, an array of 4            a string, an array of 4   as documented  -
tools                         taken                              taken                     as documented  -
tool_choice                   taken                              taken                     as documented  -
functions                     not documented                     refused                   as documented  -
function_call                 not documented                     refused                   as documented  -
role system                   taken                              taken                     as documented  -
role developer                not documented                     refused                   as documented  -
role assistant                taken                              taken                     as documented  -
role tool                     not documented                     refused                   as documented  -
image by data: URL            taken                              taken                     as documented  -
image by http address         not documented                     -                         not tried      give --image-url
first token                   not documented                     min 1ms of one stream     as documented  -

theturbo, gemini-1.5-pro: 36 as documented, 2 deviate, 0 undecided, 1 not tried; 43 requests, 1084 tokens, for $0.0002566

What was seen, to paste under providers.theturbo in place of its contract:

contract: {base: theturbo, allow: [seed], ranges: {temperature: {least: 0, most: 1}}}
`
	if got.code != exitFailed || asSteady(got.stdout) != want {
		t.Errorf("exit code %d, printed\n%s\nwant\n%s", got.code, asSteady(got.stdout), want)
	}
	const complaint = `theturbo at http://127.0.0.1:40000/theturbo/v1 key #2 ...BBBB with the model gemini-1.5-pro:
at most 69 requests, 10200 prompt tokens, 8960 completion tokens
at most $0.004604 by costs of the configuration, if it keeps to max_tokens; else at most --max-cost, $0.05, and one answer more
Go on? [y/N] as documented  plain answer
as documented  usage
as documented  model echo
as documented  stream
as documented  stream end
as documented  stream usage
as documented  stream_options.include_usage
as documented  error: no messages
as documented  error: unknown model
as documented  a field that does not exist
as documented  max_tokens
as documented  max_completion_tokens
deviates       temperature
as documented  top_p
as documented  top_k
as documented  n
as documented  frequency_penalty
as documented  presence_penalty
deviates       seed
as documented  logprobs
as documented  top_logprobs
as documented  response_format
as documented  reasoning_effort
as documented  extra_body
as documented  logit_bias
as documented  audio
as documented  web_search_options
as documented  stop
as documented  tools
as documented  tool_choice
as documented  functions
as documented  function_call
as documented  role system
as documented  role developer
as documented  role assistant
as documented  role tool
as documented  image by data: URL
not tried      image by http address
as documented  first token
tollgate: theturbo does not do what its contract says: 2 of 39 checks deviate, 0 are undecided
`
	if asSteady(got.stderr) != complaint {
		t.Errorf("said\n%s\nwant\n%s", asSteady(got.stderr), complaint)
	}
	if strings.Contains(got.stdout+got.stderr, probeKey) {
		t.Error("the credential is shown")
	}
}

// TestProbeConforming ends with 0, in either form of output.
func TestProbeConforming(t *testing.T) {
	sim, path := probeable(t, simulator.Behaviour{})
	got := runProbe(t, probing{config: path, yes: true}, "")
	if got.code != exitDone || !strings.Contains(got.stdout, "\n\nWhat was seen, to paste under providers.theturbo in place of its contract:\n\ncontract: theturbo\n") {
		t.Errorf("%+v", got)
	}
	got = runProbe(t, probing{config: path, yes: true, output: outputJSON, imageURL: "http://pictures.example/1.png", endpoint: "#2"}, "")
	var answer struct {
		Provider, Model, Stanza string
		Conforms                bool
		Requests                int
		CostUSD                 string `json:"cost_usd"`
		Checks                  []struct{ Name, Expected, Seen, Verdict, Remark string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != exitDone {
		t.Fatalf("%v in %+v", err, got)
	}
	if answer.Provider != "theturbo" || answer.Model != "gemini-1.5-pro" || answer.Stanza != "contract: theturbo\n" || !answer.Conforms ||
		answer.Requests < 30 || !strings.HasPrefix(answer.CostUSD, "0.000") || len(answer.Checks) < 35 {
		t.Errorf("got %+v", answer)
	}
	for _, e := range sim.Truth() {
		if !strings.HasSuffix(e.Path, "/theturbo/v1/chat/completions") {
			t.Errorf("asked %s", e.Path)
		}
	}
}

// TestProbeNoOption says below the contract what no contract can say.
func TestProbeNoOption(t *testing.T) {
	_, path := probeable(t, simulator.Behaviour{Deviations: simulator.Deviations{
		Takes: []string{"seed"}, Refuses: []string{"stream"}, Model: "gemini-other", Figures: simulator.FiguresAbsent,
	}})
	got := runProbe(t, probing{config: path, yes: true}, "")
	const want = `
contract: {base: theturbo, allow: [seed]}

no option says: usage (none), model echo (gemini-other), stream (refused)
`
	if got.code != exitFailed || !strings.HasSuffix(got.stdout, want) {
		t.Errorf("%+v", got)
	}
}

// TestProbeHidesPieces of the credential, which a provider says in its refusals.
func TestProbeHidesPieces(t *testing.T) {
	piece := probeKey[4:20]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"the key `+piece+`... is for another model","type":"t"}}`)
	}))
	defer server.Close()
	path := writeFile(t, `
providers: {theturbo: {contract: theturbo, endpoints: [{url: "`+server.URL+`", api_keys: ["", `+probeKey+`]}]}}
models: {pro: {targets: [{provider: theturbo}]}}
`)
	got := runProbe(t, probing{config: path, yes: true}, "")
	if !strings.Contains(got.stderr, "it refuses a plain request: status 400: (not shown: it holds the credential)\n") || strings.Contains(got.stdout+got.stderr, piece) {
		t.Errorf("%+v", got)
	}
}

// TestProbeStreamUsage prints the provider's own option too, where the file has it:
// it stands above the contract's.
func TestProbeStreamUsage(t *testing.T) {
	_, path := probeable(t, simulator.Behaviour{Deviations: simulator.Deviations{Takes: []string{"stream_options"}}})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = writeFile(t, strings.Replace(string(text), "contract: theturbo\n", "contract: theturbo\n    stream_usage: never\n", 1))
	got := runProbe(t, probing{config: path, yes: true}, "")
	if !strings.HasSuffix(got.stdout, "\ncontract: {base: theturbo, stream_usage: inject}\nstream_usage: inject\n") {
		t.Errorf("%+v", got)
	}
}

// TestProbeAsksFirst asks nothing of the provider before somebody has agreed.
func TestProbeAsksFirst(t *testing.T) {
	sim, path := probeable(t, simulator.Behaviour{})
	f := func(typed, want string, code int) {
		t.Helper()
		got := runProbe(t, probing{config: path}, typed)
		if got.code != code || got.stdout != "" || !strings.HasSuffix(got.stderr, "Go on? [y/N] "+want+"\n") {
			t.Errorf("after %q: %+v", typed, got)
		}
	}
	const unattended = "nobody can be asked, because standard input is no terminal: give --yes to spend this without being asked"
	f("n\n", "tollgate: nothing was asked: answer y to go on", exitFailed)
	f("\n", "tollgate: nothing was asked: answer y to go on", exitFailed)
	f("yay\n", "tollgate: nothing was asked: answer y to go on", exitFailed)
	f("", "\ntollgate: no answer came, and nothing was asked: answer y to go on, or give --yes to spend this without being asked", exitUsage)

	file, err := os.Open(path) // no terminal, whatever is in it
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := runProbeUntil(t.Context(), probing{config: path}, file); got.code != exitUsage || !strings.HasSuffix(got.stderr, "tollgate: "+unattended+"\n") {
		t.Errorf("from a file: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, typing := io.Pipe()
	if got := runProbeUntil(ctx, probing{config: path}, silent); got.code != exitFailed || !strings.HasSuffix(got.stderr, "tollgate: nothing was asked: answer y to go on\n") {
		t.Errorf("interrupted while asking: %+v", got)
	}
	_ = typing.Close()
	if asked := sim.Truth(); len(asked) != 0 {
		t.Errorf("%d requests were made all the same", len(asked))
	}
}

// TestProbeAnnounces says what a run may cost, as far as it is known.
func TestProbeAnnounces(t *testing.T) {
	_, path := probeable(t, simulator.Behaviour{})
	f := func(p probing, want string) {
		t.Helper()
		p.config = path
		got := runProbe(t, p, "n\n")
		got.stderr = regexp.MustCompile(`\d+ requests, \d+ prompt tokens, \d+ completion`).ReplaceAllString(steady(got.stderr), "N requests, N prompt tokens, N completion")
		if before, _, _ := strings.Cut(got.stderr, "Go on?"); before != want {
			t.Errorf("said\n%s\nwant\n%s", before, want)
		}
	}
	const head = "theturbo at http://127.0.0.1:40000/theturbo/v1 key #2 ...BBBB with the model "
	const most = ":\nat most N requests, N prompt tokens, N completion tokens\n"
	f(probing{maxCost: "0.001"}, head+"gemini-1.5-pro"+most+
		"at most $0.001 by costs of the configuration, if it keeps to max_tokens; else at most --max-cost, $0.001, and one answer more\n")
	f(probing{model: "gemini-2.0-flash"}, head+"gemini-2.0-flash"+most+
		"costs of the configuration have no price for theturbo/gemini-2.0-flash: what this costs is not known, and --max-cost bounds nothing\n")
}

// TestProbeUsage mistypes, and names what is not there.
func TestProbeUsage(t *testing.T) {
	_, path := probeable(t, simulator.Behaviour{})
	f := func(p probing, want string) {
		t.Helper()
		p.config, p.yes = path, true
		if got := runProbe(t, p, ""); got.code != exitUsage || got.stdout != "" || steady(got.stderr) != "tollgate: "+strings.ReplaceAll(want, "PATH", path)+"\n" {
			t.Errorf("%+v\nwant %s", got, want)
		}
	}
	f(probing{provider: "fast"}, `provider "fast" is not in PATH, which has idle, theturbo`)
	f(probing{provider: "idle"}, "no target in PATH is one of idle: give --model")
	f(probing{provider: "idle", model: "m"}, "providers.idle.endpoints: none has a credential: set api_keys of one")
	f(probing{endpoint: "#1"}, "providers.theturbo.endpoints[0] has no credential: set one of its api_keys")
	f(probing{endpoint: "#3"}, `--endpoint: must be #1 to #2, or the url of one of the provider's endpoints, got "#3"`)
	f(probing{model: "a b"}, `--model: models: "a b" is not a model name: use 1 to 128 letters, digits and any of . _ - : / @ +, beginning with a letter or a digit`)
	f(probing{maxCost: "free"}, `--max-cost: must be at least 0.000000001 dollars, such as 0.05, got "free"`)
	f(probing{maxCost: "0"}, `--max-cost: must be at least 0.000000001 dollars, such as 0.05, got "0"`)
	f(probing{timeout: time.Millisecond}, "--timeout: must be at least 1s, got 1ms")
	f(probing{imageURL: "one.png"}, "--image-url: must be an address such as https://example.com/one.png")

	got := tollgate(t, "probe")
	if got != (outcome{exitUsage, "", "tollgate: accepts 1 arg(s), received 0\n"}) {
		t.Errorf("%+v", got)
	}
}

// TestProbeEnds early: what was found until then is printed, and why there is no more.
func TestProbeEnds(t *testing.T) {
	sim, path := probeable(t, simulator.Behaviour{Keys: []string{"another"}})
	got := runProbe(t, probing{config: path, yes: true}, "")
	if got.code != exitFailed || !strings.HasSuffix(got.stderr, "tollgate: theturbo was not probed to the end: it refuses the credential (401): look after the endpoint's api_keys\n") {
		t.Errorf("401: %+v", got)
	}
	if strings.Contains(got.stdout, "contract:") || strings.Contains(got.stdout, "to paste") {
		t.Errorf("nothing was answered, and yet there is something to paste:\n%s", got.stdout)
	}
	if got := runProbe(t, probing{config: path, yes: true, output: outputJSON}, ""); !strings.Contains(got.stdout, "\n  \"stanza\": \"\"\n") {
		t.Errorf("401: %+v", got)
	}

	sim.Behave(simulator.Behaviour{})
	if err := sim.Inject(simulator.Fault{Kind: simulator.HangBeforeHeaders, Nth: 3}); err != nil {
		t.Fatal(err)
	}
	sim.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // Ctrl-C, when the third answer does not come
		_, _ = sim.Await(ctx, func(all []simulator.Entry) bool {
			return len(all) > 0 && all[len(all)-1].Fault != ""
		})
		cancel()
	}()
	got = runProbeUntil(ctx, probing{config: path, yes: true}, strings.NewReader(""))
	if got.code != exitFailed || !strings.HasSuffix(got.stderr, "tollgate: theturbo was not probed to the end: interrupted\n") ||
		!strings.Contains(got.stdout, "\nplain answer ") || !strings.Contains(got.stdout, "not tried      interrupted\n") ||
		!strings.HasSuffix(got.stdout, "\nWhat was seen so far, to paste under providers.theturbo in place of its contract:\n\ncontract: theturbo\n") || strings.Contains(got.stderr, "temperature") {
		t.Errorf("interrupted: %+v", got)
	}
}

// TestProbeEndpoint chooses by number, by address, or the first that has a credential.
func TestProbeEndpoint(t *testing.T) {
	c := upstream.Config{
		Providers: map[string]upstream.ProviderConfig{"a": {Contract: upstream.ContractConfig{Base: "openai"}, Endpoints: []upstream.EndpointConfig{
			{URL: "https://one.example/v1"},
			{URL: "https://two.example/v1/", APIKeys: []telemetry.Secret{"", "k2"}},
			{URL: "https://three.example/v1", APIKeys: []telemetry.Secret{"k3"}},
		}}},
		Models: map[string]upstream.ModelConfig{"z": {Targets: []upstream.TargetConfig{{Provider: "a", Model: "own"}}}, "y": {Targets: []upstream.TargetConfig{{Provider: "a"}}}},
	}
	f := func(endpoint, model, want string) {
		t.Helper()
		got, err := (&probing{provider: "a", endpoint: endpoint, model: model}).candidate(c)
		if err != nil || got.Endpoint.String()+" "+got.Model != want {
			t.Errorf("%q is %v, %v", endpoint, got, err)
		}
	}
	f("", "", "https://two.example/v1 key #2 y")
	f("#3", "", "https://three.example/v1 key #1 y")
	f("https://two.example/v1", "x", "https://two.example/v1 key #2 x")
	f("https://three.example/v1/", "own", "https://three.example/v1 key #1 own")
}
