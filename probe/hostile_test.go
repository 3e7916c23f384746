package probe

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tollgate/simulator"
	"tollgate/upstream"
)

// TestRanges finds what is taken as tightly as a few requests tell: where the end alone
// is left out, where the range is half as wide, and where it ends anywhere.
func TestRanges(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	f := func(p simulator.Provider, field string, least, most float64, want string) {
		t.Helper()
		sim.Behave(simulator.Behaviour{Deviations: simulator.Deviations{Ranges: map[string][2]float64{field: {least, most}}}})
		r := New(optionsFor(t, p, url)).Run(t.Context())
		if stanza, _ := r.Stanza(); stanza != fmt.Sprintf("contract: {base: %s, ranges: {%s: {%s}}}\n", p, field, want) {
			t.Errorf("%g to %g: %s", least, most, stanza)
		}
	}
	f(simulator.TheTurbo, "top_p", 0.01, 1, "least: 0.01, most: 1")
	f(simulator.TheTurbo, "top_p", 0.3, 1, "least: 0.3, most: 1") // after 0.46, 0.24 and 0.35
	f(simulator.TheTurbo, "top_p", 0, 0.99, "least: 0, most: 0.99")
	f(simulator.TheTurbo, "top_p", 0.01, 0.99, "least: 0.01, most: 0.99")
	f(simulator.TheTurbo, "temperature", 0, 1.9, "least: 0, most: 1.87") // 1.93 is refused
	f(simulator.TheTurbo, "presence_penalty", -1.99, 1, "least: -1.99, most: 1")
	f(simulator.Evolink, "top_k", 2, 100, "least: 2")
	f(simulator.Evolink, "top_k", 39, 40, "least: 40")
}

// TestManyRanges looks closer at no more than a run has room for. The next one, under what
// was seen, finds the rest.
func TestManyRanges(t *testing.T) {
	_, url := simulated(t, simulator.Behaviour{Deviations: simulator.Deviations{Ranges: map[string][2]float64{
		"temperature": {0.1, 1}, "top_p": {0.3, 1}, "presence_penalty": {-2, 1}, "frequency_penalty": {-1, 1},
	}}})
	under := upstream.ContractConfig{Base: "theturbo"}
	f := func(want, wantStanza string) {
		t.Helper()
		r := New(optionsUnder(t, under, simulator.TheTurbo, url)).Run(t.Context())
		stanza, _ := r.Stanza()
		if got := deviating(r); r.Stopped != "" || got != want || stanza != "contract: "+wantStanza+"\n" || r.Spent.Requests > 60 {
			t.Errorf("stopped with %q after %d requests: %s\n%s", r.Stopped, r.Spent.Requests, got, stanza)
		}
		under = pasted(t, stanza)
	}
	f("temperature: taken from 0.11 to 1; top_p: taken from 0.3 to 1; frequency_penalty: ; presence_penalty: ",
		"{base: theturbo, ranges: {temperature: {least: 0.11, most: 1}, top_p: {least: 0.3, most: 1}}}")
	f("frequency_penalty: taken from -1 to 1; presence_penalty: taken from -2 to 1",
		"{base: theturbo, ranges: {frequency_penalty: {least: -1, most: 1}, presence_penalty: {least: -2, most: 1}, temperature: {least: 0.11, most: 1}, top_p: {least: 0.3, most: 1}}}")
	f("", "{base: theturbo, ranges: {frequency_penalty: {least: -1, most: 1}, presence_penalty: {least: -2, most: 1}, temperature: {least: 0.11, most: 1}, top_p: {least: 0.3, most: 1}}}")
}

// TestOtherFields drops those fields that a provider refuses, of whom nothing is known.
func TestOtherFields(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	f := func(drop, takes []string, want, wantDrop string) {
		t.Helper()
		sim.Behave(simulator.Behaviour{Deviations: simulator.Deviations{Takes: takes}})
		r := New(optionsUnder(t, upstream.ContractConfig{Base: "openai", Drop: drop}, simulator.StarMagic, url)).Run(t.Context())
		_, got, _ := strings.Cut(deviating(r), "; user: ")
		strict, _, _ := strings.Cut(deviating(r), "; ")
		if strings.HasPrefix(strict, "a field") {
			got = strict + "; user: " + got
		}
		if got, _, _ = strings.Cut(got, "; role"); got != want {
			t.Errorf("%s takes %s: got %q, want %q", drop, takes, got, want)
		}
		if got := strings.Join(r.Observed.OtherFields, " "); got != wantDrop {
			t.Errorf("%s takes %s: drops %q, want %q", drop, takes, got, wantDrop)
		}
		for _, f := range r.NoOption() {
			t.Errorf("an option says that %s is %s", f.Name, f.Seen)
		}
	}
	const refused = "a field that does not exist: refused; user: refused; metadata: refused; store: refused; parallel_tool_calls: refused"
	f(nil, nil, refused, "user metadata store parallel_tool_calls")
	f([]string{"store", "user"}, []string{"user"}, "taken; metadata: refused; parallel_tool_calls: refused", "store metadata parallel_tool_calls")
	f([]string{"user"}, []string{"tollgate_probe", "user", "metadata", "store", "parallel_tool_calls"}, "", "user")
	if _, conforming := simulated(t, simulator.Behaviour{}); conforming != "" {
		for _, c := range checks(optionsFor(t, simulator.StarMagic, conforming)) {
			if c.name == "user" || c.name == "input_audio" {
				t.Errorf("%s is tried of a contract that never sends it", c.name)
			}
		}
	}
}

// careless is a provider that reads every role it does not know as system, and does not look at pictures.
type careless struct{ Asker }

func (c careless) Do(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
	for _, role := range []string{"developer", "tollgate_probe"} {
		r.Body = bytes.ReplaceAll(r.Body, []byte(`"role":"`+role), []byte(`"role":"system`))
	}
	for _, address := range []string{"https://pictures.example/one.png", "data:image/png;base64,!!!!"} {
		r.Body = bytes.ReplaceAll(r.Body, []byte(quoted(address)), []byte(quoted(pixel)))
	}
	return c.Asker.Do(ctx, r)
}

// TestNonsense proves nothing: where it is accepted, so is what the contract lacks.
func TestNonsense(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	o := optionsFor(t, simulator.TheTurbo, url)
	o.Asker = careless{o.Asker}
	r := New(o).Run(t.Context())
	stanza, _ := r.Stanza()
	const want = `role developer | not documented | accepted | as documented | so is one that does not exist
image by http address | not documented | accepted | as documented | so is one that is none
`
	if got := table(r, AsDocumented); !r.Conforms() || stanza != "contract: theturbo\n" || !strings.Contains(got, strings.SplitAfter(want, "\n")[0]) || !strings.Contains(got, strings.SplitAfter(want, "\n")[1]) {
		t.Errorf("got %s%s", stanza, table(r, AsDocumented, Deviates, Undecided))
	}
	// Of a provider that accepts any field, what is documented is no proof either.
	sim.Behave(simulator.Behaviour{Deviations: simulator.Deviations{Takes: []string{"tollgate_probe"}}})
	r = New(o).Run(t.Context())
	const system = "role system | taken | accepted | as documented | so is one that does not exist\n"
	if got := table(r, AsDocumented); !r.Conforms() || !strings.Contains(got, system) {
		t.Errorf("got %s", got)
	}
}

// TestMovedLimit meets a provider that has gone over to max_completion_tokens.
func TestMovedLimit(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{Deviations: simulator.Deviations{Refuses: []string{"max_tokens"}, Takes: []string{"max_completion_tokens"}}})
	r := New(optionsFor(t, simulator.TheTurbo, url)).Run(t.Context())
	stanza, _ := r.Stanza()
	if got := deviating(r); r.Stopped != "" || got != "max_tokens: refused; max_completion_tokens: taken" ||
		stanza != "contract: {base: theturbo, allow: [max_completion_tokens], deny: [max_tokens]}\n" {
		t.Errorf("stopped with %q: %s\n%s", r.Stopped, got, stanza)
	}
	// Where the contract takes neither, neither is sent.
	sim.Behave(simulator.Behaviour{Deviations: simulator.Deviations{Refuses: []string{"max_tokens"}}})
	r = New(optionsUnder(t, upstream.ContractConfig{Base: "theturbo", Deny: []string{"max_tokens"}}, simulator.TheTurbo, url)).Run(t.Context())
	if !r.Conforms() {
		t.Errorf("stopped with %q: %s", r.Stopped, deviating(r))
	}
}

// TestThoughtful gives a model more room that has spent its tokens on thinking, and says
// where an effect could not be seen all the same.
func TestThoughtful(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	f := func(reasoning int, want string) {
		t.Helper()
		sim.Behave(simulator.Behaviour{ReasoningTokens: reasoning})
		r := New(optionsFor(t, simulator.StarMagic, url)).Run(t.Context())
		var unseen []string
		for _, f := range r.Findings {
			if f.Remark == "its effect could not be seen" {
				unseen = append(unseen, f.Name)
			}
		}
		if got := strings.Join(unseen, " "); !r.Conforms() || got != want {
			t.Errorf("thinking for %d tokens: of %q no effect is seen, want %q\n%s", reasoning, got, want, table(r, Deviates, Undecided))
		}
	}
	f(0, "")
	f(100, "stop")
	f(1000, "logprobs top_logprobs response_format stop tools tool_choice")
}

// TestThoughtfulAndBounded asks for shorter answers again where the longer ones cost too much.
func TestThoughtfulAndBounded(t *testing.T) {
	_, url := simulated(t, simulator.Behaviour{ReasoningTokens: 1000})
	o := optionsFor(t, simulator.StarMagic, url)
	o.Prices, o.MaxCost = prices(t, simulator.StarMagic, "1"), 7_000_000 // 0.7 cents: enough for some of the longer answers
	r := New(o).Run(t.Context())
	if !r.Conforms() || r.Spent.Completion < 50*usualLimit || r.Spent.Cost > o.MaxCost {
		t.Errorf("stopped with %q after %+v", r.Stopped, r.Spent)
	}
}

// TestNoOption names what no contract can say.
func TestNoOption(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	f := func(d simulator.Deviations, want string) {
		t.Helper()
		sim.Behave(simulator.Behaviour{Deviations: d})
		var names []string
		for _, f := range New(optionsFor(t, simulator.TheTurbo, url)).Run(t.Context()).NoOption() {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("%+v: got %q, want %q", d, got, want)
		}
	}
	f(simulator.Deviations{}, "")
	f(simulator.Deviations{Takes: []string{"seed"}, NoDone: true}, "")
	f(simulator.Deviations{Takes: []string{"seed"}, Model: "m", Figures: simulator.FiguresAbsent}, "usage, model echo")
	f(simulator.Deviations{Ignores: []string{"max_tokens"}}, "max_tokens")
	f(simulator.Deviations{Refuses: []string{"stream"}, Errors: simulator.ErrorHTML}, "stream, error: no messages, error: unknown model")
}

// TestFirstAnswer says what is wrong with it, with its status.
func TestFirstAnswer(t *testing.T) {
	f := func(status int, body, want string) {
		t.Helper()
		r, _, _ := bubbled(t, Options{Pause: -1}, func(_ context.Context, n int) (*upstream.Response, error) { return respond(status, body, 0) })
		if r.Stopped != want || r.Learned {
			t.Errorf("%d: stopped with %q, learned %t, want %q", status, r.Stopped, r.Learned, want)
		}
	}
	f(http.StatusTemporaryRedirect, "", "it does not answer a plain request: status 307")
	f(http.StatusTemporaryRedirect, "moved", "it does not answer a plain request: status 307: moved")
	f(http.StatusBadGateway, `{"error":{"message":"too busy"}}`, "it does not answer a plain request: status 502: too busy")
	f(http.StatusBadRequest, `{"error":{"message":"no"}}`, "it refuses a plain request: status 400: no")
	f(http.StatusNotFound, "404 page not found", "it refuses a plain request: status 404: 404 page not found (look at the endpoint's url and --model)")
	f(http.StatusNotFound, "", "it refuses a plain request: status 404: (look at the endpoint's url and --model)")
	f(http.StatusOK, "hello", "it does not answer a plain request: status 200, but the body is not an answer in JSON")
	f(http.StatusOK, strings.Repeat(" ", mostHeard+1), "it does not answer a plain request: status 200: the answer is longer than 8388608 bytes")
}

// TestFinishReasons deviate that clients do not know; they are named where they are words.
func TestFinishReasons(t *testing.T) {
	f := func(reason, want, wantStream string) {
		t.Helper()
		r, _, _ := bubbled(t, Options{Pause: -1}, func(_ context.Context, n int) (*upstream.Response, error) {
			switch n {
			case 1:
				return respond(200, `{"model":"`+simulator.StarMagic.Models()[0]+`","choices":[{"message":{"content":"1 2 3"},"finish_reason":"`+reason+`"}],`+
					`"usage":{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18}}`, 0)
			case 2:
				answer, err := respond(200, `data: {"choices":[{"index":0,"delta":{"content":"1"},"finish_reason":"`+reason+`"}]}`+"\n\ndata: [DONE]\n\n", 0)
				answer.ContentType = "text/event-stream"
				return answer, err
			}
			return nil, nil
		})
		if r.Findings[0].Seen != want || r.Findings[3].Seen != wantStream {
			t.Errorf("%q: seen %q and %q, want %q and %q", reason, r.Findings[0].Seen, r.Findings[3].Seen, want, wantStream)
		}
	}
	f("stop", "text, finish_reason stop", "text, finish_reason stop")
	f("STOP", "finish_reason STOP", "an unknown finish_reason")
	f("end_turn", "finish_reason end_turn", "an unknown finish_reason")
	f("<b>9", "an unknown finish_reason", "an unknown finish_reason")
	f(strings.Repeat("a", 33), "an unknown finish_reason", "an unknown finish_reason")
	f("", "no finish_reason", "no finish_reason")
}

// TestStreamFigures judges those of a stream like those of a plain answer, and where they come.
func TestStreamFigures(t *testing.T) {
	f := func(events, want string) {
		t.Helper()
		r, _, _ := bubbled(t, Options{Pause: -1}, func(_ context.Context, n int) (*upstream.Response, error) {
			if n != 3 {
				return nil, nil
			}
			answer, err := respond(200, events, 0)
			answer.ContentType = "text/event-stream"
			return answer, err
		})
		if got := r.Findings[6]; got.Name != "stream_options.include_usage" || got.Seen+": "+got.Remark != want {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
	const text = `data: {"choices":[{"index":0,"delta":{"content":"1 2"},"finish_reason":"stop"}]}` + "\n\n"
	const done = "data: [DONE]\n\n"
	const truth = `data: {"choices":[],"usage":{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18}}` + "\n\n"
	const zero = `data: {"choices":[],"usage":{"prompt_tokens":13,"completion_tokens":0,"total_tokens":13}}` + "\n\n"
	f(text+truth+done, "a chunk of its own: ")
	f(text+done+truth, "behind [DONE]: where nobody looks for it any more")
	f(text+zero+done, "completion 0: there is a text: its tokens will be counted by the gateway")
}

// TestPiecesOfTheCredential are hidden like the whole of it, however they are escaped.
func TestPiecesOfTheCredential(t *testing.T) {
	s := &session{Prober: New(Options{Candidate: candidateOf(t, upstream.ContractConfig{Base: "starmagic"}, "m", "http://127.0.0.1:9/v1"), Credential: credential})}
	f := func(text, want string) {
		t.Helper()
		if got := s.quote(text); got != want {
			t.Errorf("%q is quoted as %q, want %q", text, got, want)
		}
	}
	escaped := ""
	for _, r := range credential {
		escaped += fmt.Sprintf(`\u%04x`, r)
	}
	f("bad key "+credential, hiddenText)
	f("bad key "+credential[:12]+"...", hiddenText)
	f("bad key ..."+credential[len(credential)-12:], hiddenText)
	f("bad key "+credential[5:17], hiddenText)
	f("bad key "+escaped, hiddenText)
	f(`bad key sk\u002dsecret\u002Dof-the`, hiddenText)
	f("bad key "+credential[:11]+"...", "bad key "+credential[:11]+"...")
	f(`a\b\u00zz\u12`, `a\b\u00zz\u12`)
	f(`\`, `\`)
	f("", "")
}

// TestLongStream is cut, and says so.
func TestLongStream(t *testing.T) {
	r, _, _ := bubbled(t, Options{Pause: -1}, func(_ context.Context, n int) (*upstream.Response, error) {
		if n != 2 {
			return nil, nil
		}
		answer, err := respond(200, strings.Repeat(`data: {"choices":[{"index":0,"delta":{"content":"1 2"}}]}`+"\n\n", mostHeard/40), 0)
		answer.ContentType = "text/event-stream"
		return answer, err
	})
	if got := table(r, Deviates); !strings.Contains(got, "stream end | [DONE], then a clean end | it breaks off | deviates | the answer is longer than 8388608 bytes\n") {
		t.Errorf("got\n%s", got)
	}
}
