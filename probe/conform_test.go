package probe

import (
	"errors"
	"strings"
	"testing"

	"tollgate/simulator"
	"tollgate/upstream"
)

// TestConforming asks each provider, played by its page: nothing deviates, nothing
// is left out, and the contract is the one that it was held to.
func TestConforming(t *testing.T) {
	_, url := simulated(t, simulator.Behaviour{})
	for _, p := range simulator.Providers() {
		r := New(optionsFor(t, p, url)).Run(t.Context())
		stanza, err := r.Stanza()
		if !r.Conforms() || r.Count(AsDocumented) != len(r.Findings) || err != nil || stanza != "contract: "+string(p)+"\n" {
			t.Errorf("%s: %v, stopped with %q, got %s%s", p, err, r.Stopped, stanza, table(r, Deviates, Undecided, NotTried))
		}
	}
}

// TestEveryField is tried, of every contract.
func TestEveryField(t *testing.T) {
	for _, base := range []string{"starmagic", "theturbo", "evolink", "openai"} {
		var names []string
		for _, c := range checks(Options{Candidate: candidateOf(t, upstream.ContractConfig{Base: base}, "m", "http://127.0.0.1:9/v1")}) {
			names = append(names, c.name)
		}
		all := "\n" + strings.Join(names, "\n") + "\n"
		for p := upstream.ParamModel; p.String() != "unknown"; p++ {
			switch p {
			case upstream.ParamModel, upstream.ParamMessages: // every request has them
			case upstream.ParamStreamOptions:
				if !strings.Contains(all, "\nstream_options.include_usage\n") {
					t.Errorf("%s: %s is not tried", base, p)
				}
			default:
				if !strings.Contains(all, "\n"+p.String()+"\n") {
					t.Errorf("%s: %s is not tried", base, p)
				}
			}
		}
	}
}

// TestThinkingModel spends all tokens on thinking: no text is no deviation then.
func TestThinkingModel(t *testing.T) {
	_, url := simulated(t, simulator.Behaviour{ReasoningTokens: 100})
	r := New(optionsFor(t, simulator.Evolink, url)).Run(t.Context())
	const want = "plain answer | JSON with text and finish_reason | finish_reason length | as documented | no text: the model has used all of its tokens for thinking\n"
	if !r.Conforms() || !strings.HasPrefix(table(r, AsDocumented), want) {
		t.Errorf("got\n%s", table(r, AsDocumented, Deviates, Undecided))
	}
	r = New(optionsFor(t, simulator.StarMagic, url)).Run(t.Context())
	if !r.Conforms() {
		t.Errorf("got\n%s", table(r, Deviates, Undecided))
	}
}

// TestSickStreams are seen for what they are.
func TestSickStreams(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	f := func(fault simulator.Fault, want string) {
		t.Helper()
		fault.Nth = 2 // of the requests that are answered: the first stream
		sim.ClearFaults()
		if err := sim.Inject(fault); err != nil {
			t.Fatal(err)
		}
		r := New(optionsFor(t, simulator.TheTurbo, url)).Run(t.Context())
		if got := deviating(r); got != want {
			t.Errorf("%s: got %q, want %q\n%s", fault.Kind, got, want, table(r, Deviates, Undecided))
		}
	}
	f(simulator.Fault{Kind: simulator.CutBetween, Events: 10}, "stream: no finish_reason; stream end: it breaks off")
	f(simulator.Fault{Kind: simulator.DoneWithoutFinish}, "stream: no finish_reason")
	f(simulator.Fault{Kind: simulator.EndEarly, Events: 10}, "stream: no finish_reason; stream end: no [DONE]")
	f(simulator.Fault{Kind: simulator.MalformedEvent, Events: 4}, "stream: invalid events")
	f(simulator.Fault{Kind: simulator.AfterDone}, "stream end: more behind [DONE]")
	f(simulator.Fault{Kind: simulator.HTML}, "stream: Content-Type text/html; charset=utf-8; stream end: no [DONE]")
}

// TestFreeText is not taken for a free one: a text has tokens.
func TestFreeText(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	if err := sim.Inject(simulator.Fault{Kind: simulator.WrongUsage, Nth: 1, Body: `{"prompt_tokens":13,"completion_tokens":0,"total_tokens":13}`}); err != nil {
		t.Fatal(err)
	}
	if got := deviating(New(optionsFor(t, simulator.TheTurbo, url)).Run(t.Context())); got != "usage: completion 0" {
		t.Errorf("got %q", got)
	}
}

// TestLongerName is an echo that tells more than was asked for.
func TestLongerName(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	f := func(echo, want string) {
		t.Helper()
		sim.Behave(simulator.Behaviour{Deviations: simulator.Deviations{Model: echo}})
		r := New(optionsFor(t, simulator.TheTurbo, url)).Run(t.Context())
		if got := deviating(r); got != want {
			t.Errorf("%s: got %q, want %q", echo, got, want)
		}
	}
	f("gemini-1.5-pro-002", "")
	f("models/gemini-1.5-pro", "")
	f("gemini-1.5-prox", "model echo: gemini-1.5-prox")
	f("gemini-1.5", "model echo: gemini-1.5")
}

// TestTwins holds figures under two names against each other.
func TestTwins(t *testing.T) {
	f := func(raw string, want error) {
		t.Helper()
		if _, err := figures([]byte(raw)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", raw, err, want)
		}
	}
	f(`{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18,"input_tokens":0,"output_tokens":0}`, nil)
	f(`{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18,"input_tokens":13,"output_tokens":5}`, nil)
	f(`{"input_tokens":13,"output_tokens":5,"total_tokens":18}`, nil)
	f(`{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18,"input_tokens":14,"output_tokens":5}`, errTwins)
	f(`{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18,"input_tokens":13,"output_tokens":6}`, errTwins)
}
