package probe

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/upstream"
)

// TestUnderreported charges what a provider may charge, whatever it reports.
func TestUnderreported(t *testing.T) {
	f := func(usage, text string, stream bool, wantPrompt, wantCompletion int64) {
		t.Helper()
		o := Options{Candidate: candidateOf(t, upstream.ContractConfig{Base: "starmagic"}, "m", "http://127.0.0.1:9/v1")}
		s := New(o).begin(t.Context())
		r := request{stream: stream}
		body := `{"choices":[{"message":{"content":"` + text + `"},"finish_reason":"stop"}],"usage":` + usage + `}`
		response, _ := respond(200, body, 0)
		if stream {
			response, _ = respond(200, `data: {"choices":[{"index":0,"delta":{"content":"`+text+`"},"finish_reason":"stop"}],"usage":`+usage+"}\n\ndata: [DONE]\n\n", 0)
		}
		s.pay(s.hear(response, r, time.Now()), r)
		if s.spent.Prompt != wantPrompt || s.spent.Completion != wantCompletion {
			t.Errorf("%s beside %d bytes: %d and %d tokens are counted, want %d and %d",
				usage, len(text), s.spent.Prompt, s.spent.Completion, wantPrompt, wantCompletion)
		}
	}
	for _, stream := range []bool{false, true} {
		f(`{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18}`, "1 2 3", stream, 13, 5)
		f(`{"prompt_tokens":13,"completion_tokens":300,"total_tokens":313}`, "1 2 3", stream, 13, 300)
		f(`null`, "1 2 3", stream, 100, 64)
		f(`null`, strings.Repeat("1234", 500), stream, 100, 500)
		f(`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`, "1 2 3", stream, 100, 64)
		f(`{"prompt_tokens":0,"completion_tokens":0,"input_tokens":200,"output_tokens":3000}`, "1 2 3", stream, 200, 3000)
		f(`{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18,"output_tokens":3000}`, "1 2 3", stream, 100, 3000)
		f(`{"prompt_tokens":13,"completion_tokens":5,"total_tokens":918}`, "1 2 3", stream, 100, 905)
		f(`{"prompt_tokens":"13","completion_tokens":[],"output_tokens":1e3}`, "1 2 3", stream, 100, 1000)
		f(`{"prompt_tokens":-13,"completion_tokens":9e99}`, "1 2 3", stream, 100, 1<<31-1)
	}
}

// TestEndlessModel answers with 3000 tokens, whatever the limit. The run ends with
// the answer that goes beyond its bound, whether its usage tells it or not.
func TestEndlessModel(t *testing.T) {
	f := func(usage string) {
		t.Helper()
		// A request is expected to cost 1.6 cents, and costs 30.
		o := Options{Pause: -1, Prices: prices(t, simulator.StarMagic, "100"), MaxCost: 400_000_000}
		r, asked, _ := bubbled(t, o, func(context.Context, int) (*upstream.Response, error) {
			return respond(200, `{"choices":[{"message":{"content":"1 2 3"},"finish_reason":"length"}],"usage":`+usage+`}`, 0)
		})
		if asked != 1 || !strings.Contains(r.Stopped, "the next request might go beyond the $0.40 of --max-cost") {
			t.Errorf("%s: asked %d times for $%s and stopped with %q", usage, asked, r.Spent.Cost, r.Stopped)
		}
	}
	f(`{"prompt_tokens":13,"completion_tokens":3000,"total_tokens":3013}`)
	f(`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"input_tokens":13,"output_tokens":3000}`)
}

// TestLongestSoFar counts a request that had no answer like the longest before, and each of its choices.
func TestLongestSoFar(t *testing.T) {
	s := New(Options{Candidate: candidateOf(t, upstream.ContractConfig{Base: "starmagic"}, "m", "http://127.0.0.1:9/v1")}).begin(t.Context())
	long := &answer{Usage: []byte(`{"prompt_tokens":900,"completion_tokens":` + strconv.Itoa(2*200) + `}`)}
	s.pay(reply{answer: long}, request{choices: 2})
	s.spent = Spent{}
	s.pay(reply{}, request{choices: 3})
	if s.spent.Prompt != 900 || s.spent.Completion != 600 {
		t.Errorf("a request without an answer counts as %+v", s.spent)
	}
}
