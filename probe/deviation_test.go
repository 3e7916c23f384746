package probe

import (
	"strings"
	"testing"

	"tollgate/simulator"
	"tollgate/upstream"

	"github.com/goccy/go-yaml"
)

// TestDeviations seeds one deviation at a time. It must be found, with nothing
// else, and with the contract that fits it: pasted into the configuration, that
// contract is one that the provider does what it says.
func TestDeviations(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	f := func(p simulator.Provider, d simulator.Deviations, want, wantStanza string) {
		t.Helper()
		sim.Behave(simulator.Behaviour{Deviations: d, ReasoningTokens: 5})
		r := New(optionsFor(t, p, url)).Run(t.Context())
		stanza, err := r.Stanza()
		if err != nil || r.Stopped != "" || r.Conforms() {
			t.Fatalf("%s %+v: %v, stopped with %q", p, d, err, r.Stopped)
		}
		if got := deviating(r); got != want || stanza != "contract: "+wantStanza+"\n" {
			t.Errorf("%s %+v:\ngot  %s\nwant %s\ngot  %swant contract: %s", p, d, got, want, stanza, wantStanza)
		}
		if !strings.HasPrefix(wantStanza, "{") {
			return // no contract can say it
		}
		r = New(optionsUnder(t, pasted(t, stanza), p, url)).Run(t.Context())
		again, _ := r.Stanza()
		if !r.Conforms() && d.Figures == "" || again != stanza {
			t.Errorf("%s %+v: under %s\n%s\nbecomes %s", p, d, stanza, deviating(r), again)
		}
	}
	const s, tt, e = simulator.StarMagic, simulator.TheTurbo, simulator.Evolink
	type D = simulator.Deviations

	f(s, D{Refuses: []string{"seed"}}, "seed: refused", "{base: starmagic, deny: [seed]}")
	f(s, D{Refuses: []string{"tools"}}, "tools: refused", "{base: starmagic, deny: [tools]}")
	f(s, D{Refuses: []string{"tool_choice"}}, "tool_choice: refused", "{base: starmagic, deny: [tool_choice]}")
	f(s, D{Refuses: []string{"max_tokens"}}, "max_tokens: refused", "{base: starmagic, deny: [max_tokens]}")
	f(s, D{Refuses: []string{"stop"}}, "stop: refused", "{base: starmagic, deny: [stop]}")
	f(s, D{Refuses: []string{"temperature"}}, "temperature: refused", "{base: starmagic, deny: [temperature]}")
	f(s, D{Refuses: []string{"stream"}}, "stream: refused", "starmagic")
	f(s, D{Refuses: []string{"stream_options"}}, "stream_options.include_usage: refused", "{base: starmagic, deny: [stream_options]}")

	f(tt, D{Takes: []string{"seed"}}, "seed: taken", "{base: theturbo, allow: [seed]}")
	f(tt, D{Takes: []string{"stream_options"}}, "stream_options.include_usage: a chunk of its own", "{base: theturbo, stream_usage: inject}")
	f(tt, D{Takes: []string{"max_completion_tokens", "logprobs", "top_logprobs", "response_format", "functions", "extra_body"}},
		"max_completion_tokens: taken; logprobs: taken; top_logprobs: taken; response_format: taken; extra_body: taken; functions: taken",
		"{base: theturbo, allow: [max_completion_tokens, logprobs, top_logprobs, response_format, extra_body, functions], extensions: [google.thinking_config]}")
	f(e, D{Takes: []string{"n", "stop", "tools", "tool_choice"}},
		"n: taken; stop: taken; tools: taken; tool_choice: taken", `{base: evolink, allow: ["n", stop, tools, tool_choice]}`)

	f(s, D{Ignores: []string{"n"}}, "n: ignored", `{base: starmagic, deny: ["n"]}`)
	f(s, D{Ignores: []string{"stop"}}, "stop: ignored", "{base: starmagic, deny: [stop]}")
	f(s, D{Ignores: []string{"max_tokens"}}, "max_tokens: ignored", "starmagic")
	f(s, D{Ignores: []string{"response_format"}}, "response_format: ignored", "{base: starmagic, deny: [response_format]}")
	f(s, D{Ignores: []string{"tools"}}, "tools: ignored; tool_choice: ignored", "{base: starmagic, deny: [tools, tool_choice]}")
	f(s, D{Ignores: []string{"top_logprobs"}}, "top_logprobs: ignored", "{base: starmagic, deny: [top_logprobs]}")
	f(s, D{Ignores: []string{"stream"}}, "stream: ignored", "starmagic")
	f(s, D{Ignores: []string{"stream_options"}}, "stream_options.include_usage: ignored", "{base: starmagic, stream_usage: never}")

	f(tt, D{Ranges: map[string][2]float64{"temperature": {0, 1}}}, "temperature: taken from 0 to 1",
		"{base: theturbo, ranges: {temperature: {least: 0, most: 1}}}")
	f(tt, D{Ranges: map[string][2]float64{"presence_penalty": {-1, 1.5}}}, "presence_penalty: taken from -1 to 1.5",
		"{base: theturbo, ranges: {presence_penalty: {least: -1, most: 1.5}}}")
	f(e, D{Ranges: map[string][2]float64{"top_k": {20, 50}}}, "top_k: taken from 21", "{base: evolink, ranges: {top_k: {least: 21}}}")
	f(tt, D{NoStopArrays: true}, "stop: a string", "{base: theturbo, max_stops: 1}")
	f(s, D{NoStopArrays: true}, "stop: a string", "{base: starmagic, max_stops: 1, stop: string}")

	f(tt, D{RefusesRoles: []string{"system"}}, "role system: refused", "{base: theturbo, roles: [user, assistant]}")
	f(tt, D{TakesRoles: []string{"developer"}}, "role developer: taken", "{base: theturbo, roles: [system, developer, user, assistant]}")
	f(tt, D{TakesRoles: []string{"tool"}}, "role tool: taken",
		"{base: theturbo, roles: [system, user, assistant, tool], message_fields: [tool_calls, tool_call_id], empty_content: allow}")
	f(tt, D{Media: simulator.MediaWeb}, "image by http address: taken", "{base: theturbo, media: [http, data]}")
	f(s, D{Media: simulator.MediaData}, "image by http address: refused", "{base: starmagic, media: [data]}")
	f(s, D{Media: simulator.MediaNone}, "image by data: URL: refused; image by http address: refused", "{base: starmagic, media: [none]}")

	f(s, D{Model: "gemini-other"}, "model echo: gemini-other", "starmagic")
	const text, html = "400 without an error object", "404 without an error object"
	f(s, D{Errors: simulator.ErrorMessage}, "error: no messages: "+text+"; error: unknown model: "+html, "starmagic")
	f(s, D{Errors: simulator.ErrorText}, "error: no messages: "+text+"; error: unknown model: "+html, "starmagic")
	f(s, D{Errors: simulator.ErrorHTML}, "error: no messages: "+text+"; error: unknown model: "+html, "starmagic")
	f(s, D{NoDone: true}, "stream end: no [DONE]", "{base: starmagic, done: optional}")

	f(s, D{StreamUsage: simulator.UsageNever}, "stream_options.include_usage: ignored", "{base: starmagic, stream_usage: never}")
	f(s, D{StreamUsage: simulator.UsageAlways}, "stream usage: comes by itself", "{base: starmagic, stream_usage: pass}")
	f(s, D{StreamUsage: simulator.UsageEveryChunk}, "stream usage: comes by itself", "{base: starmagic, stream_usage: pass}")
	const wrong = "usage: wrong; stream_options.include_usage: wrong"
	f(s, D{Figures: simulator.FiguresTotalOff}, wrong, "{base: starmagic, stream_usage: never}")
	f(s, D{Figures: simulator.FiguresTwins}, wrong, "{base: starmagic, stream_usage: never}")
	f(s, D{Figures: simulator.FiguresReasoningApart}, wrong, "{base: starmagic, stream_usage: never}")
	f(s, D{Figures: simulator.FiguresAbsent}, "usage: none; stream_options.include_usage: ignored", "{base: starmagic, stream_usage: never}")
	f(tt, D{Figures: simulator.FiguresTotalOff}, "usage: wrong", "theturbo")
}

// TestOpenContract learns what a provider does not take of whom nothing is known.
func TestOpenContract(t *testing.T) {
	_, url := simulated(t, simulator.Behaviour{})
	f := func(p simulator.Provider, want string) {
		t.Helper()
		r := New(optionsUnder(t, upstream.ContractConfig{Base: "openai"}, p, url)).Run(t.Context())
		stanza, err := r.Stanza()
		if err != nil || stanza != "contract: "+want+"\n" {
			t.Errorf("%s: %v, got\n%swant\ncontract: %s\n%s", p, err, stanza, want, table(r, Deviates, Undecided, NotTried))
		}
		r = New(optionsUnder(t, pasted(t, stanza), p, url)).Run(t.Context())
		if again, _ := r.Stanza(); !r.Conforms() || again != stanza {
			t.Errorf("%s: under %s%s\nbecomes %s", p, stanza, table(r, Deviates, Undecided), again)
		}
	}
	f(simulator.StarMagic, "{base: openai, deny: [top_k, logit_bias, functions], drop: [user, metadata, store, parallel_tool_calls], "+
		"media: [http, data, plain_data, other], roles: [system, user, assistant, tool, function]}")
	f(simulator.TheTurbo, "{base: openai, deny: [stream_options, max_completion_tokens, top_k, seed, logprobs, top_logprobs, response_format, "+
		"reasoning_effort, extra_body, logit_bias, functions], drop: [user, metadata, store, parallel_tool_calls], media: [data, plain_data, other], roles: [system, user, assistant, function]}")
	f(simulator.Evolink, `{base: openai, deny: [stream_options, max_completion_tokens, "n", stop, frequency_penalty, presence_penalty, seed, `+
		"logprobs, top_logprobs, response_format, tools, reasoning_effort, extra_body, logit_bias, functions], drop: [user, metadata, store, parallel_tool_calls], media: [http, data, plain_data, other], roles: [system, user, assistant, function]}")
}

// TestLenientProvider accepts fields that nobody knows. That it accepts one whose
// effect cannot be seen says nothing, so that none is added to the contract.
func TestLenientProvider(t *testing.T) {
	_, url := simulated(t, simulator.Behaviour{Deviations: simulator.Deviations{Takes: []string{"tollgate_probe", "seed", "audio", "functions"}}})
	r := New(optionsFor(t, simulator.TheTurbo, url)).Run(t.Context())
	stanza, _ := r.Stanza()
	const want = "seed | not documented | accepted | as documented | so is a field that does not exist\n"
	if !r.Conforms() || stanza != "contract: theturbo\n" || !strings.Contains(table(r, AsDocumented), want) {
		t.Errorf("got %s%s", stanza, table(r, AsDocumented, Deviates, Undecided))
	}
}

// TestUnaskedUsage needs no change where usage was not to be asked for anyway.
func TestUnaskedUsage(t *testing.T) {
	_, url := simulated(t, simulator.Behaviour{Deviations: simulator.Deviations{StreamUsage: simulator.UsageAlways}})
	r := New(optionsFor(t, simulator.Evolink, url)).Run(t.Context())
	stanza, _ := r.Stanza()
	const want = "stream usage | not documented | comes by itself | as documented | there is no need to ask for it\n"
	if !r.Conforms() || stanza != "contract: evolink\n" || !strings.Contains(table(r, AsDocumented), want) {
		t.Errorf("got %s%s", stanza, table(r, AsDocumented, Deviates, Undecided))
	}
}

func deviating(r Report) string {
	var all []string
	for _, f := range r.Findings {
		if f.Verdict != AsDocumented && f.Verdict != NotTried {
			all = append(all, f.Name+": "+f.Seen)
		}
	}
	return strings.Join(all, "; ")
}

// pasted reads a stanza as the configuration does.
func pasted(t *testing.T, stanza string) upstream.ContractConfig {
	t.Helper()
	var provider struct {
		Contract upstream.ContractConfig `yaml:"contract"`
	}
	if err := yaml.Unmarshal([]byte(stanza), &provider); err != nil {
		t.Fatalf("%s: %v", stanza, err)
	}
	return provider.Contract
}
