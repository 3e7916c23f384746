package upstream

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// needing is what a request needs that has these fields, with values that every range and every list of words holds.
func needing(params ...Param) Needs {
	return Needs{Params: Params(params...), Numbers: ones(), ReasoningEffort: "low", ResponseFormat: "json_object"}
}

func ones() (numbers [paramCount]float64) {
	for p := range numbers {
		numbers[p] = 1
	}
	return numbers
}

// with is what a request needs that has this number.
func with(p Param, v float64) Needs {
	n := needing(p)
	n.Numbers[p] = v
	return n
}

// lacking tells the field that stands in the way of n, for each contract.
func lacking(n Needs) string {
	var got []string
	for _, c := range Contracts() {
		param := "-"
		if lack, lacks := c.Lacks(&n); lacks {
			param = lack.Param.String()
		}
		got = append(got, param)
	}
	return strings.Join(got, " ")
}

// TestLacks asks who can serve what. The answers are, for StarMagic, TheTurbo,
// Evolink and OpenAI, the field that stands in the way.
func TestLacks(t *testing.T) {
	f := func(n Needs, want string) {
		t.Helper()
		if got := lacking(n); got != want {
			t.Errorf("%v %+v is lacking %q, want %q", n.Names(), n, got, want)
		}
	}
	f(Needs{}, "- - - -")
	f(needing(ParamModel, ParamMessages, ParamStream, ParamTemperature, ParamTopP, ParamMaxTokens), "- - - -")
	f(needing(ParamStreamOptions), "- - - -")
	f(needing(ParamN), "- - n -")
	f(needing(ParamTools, ParamToolChoice), "- - tools -")
	f(needing(ParamToolChoice), "- - tool_choice -")
	f(needing(ParamTopK), "top_k top_k - -")
	f(needing(ParamResponseFormat, ParamSeed), "- seed seed -")
	f(needing(ParamMaxCompletionTokens), "- - - -") // as max_tokens
	f(needing(ParamReasoningEffort), "- reasoning_effort reasoning_effort -")
	f(needing(ParamExtraBody), "- extra_body extra_body -")
	f(needing(ParamLogitBias, ParamTopK), "top_k top_k logit_bias -")
	f(Needs{Params: Params(ParamTools), OtherTools: true}, "tools tools tools -")
	f(Needs{Params: Params(ParamExtraBody), Extensions: ExtensionThinkingConfig}, "- extra_body extra_body -")
	f(Needs{Params: Params(ParamExtraBody), Extensions: ExtensionOther | ExtensionCachedContent}, "extra_body extra_body extra_body -")

	f(Needs{Params: Params(ParamStop), Stops: 1}, "- - stop -")
	f(Needs{Params: Params(ParamStop), Stops: 4}, "- - stop -")
	f(Needs{Params: Params(ParamStop), Stops: 5}, "- stop stop -")
}

func TestLacksOfMessages(t *testing.T) {
	f := func(n Needs, want string) {
		t.Helper()
		if got := lacking(n); got != want {
			t.Errorf("%v %+v is lacking %q, want %q", n.Names(), n, got, want)
		}
	}
	f(Needs{Media: MediaHTTP}, "- messages - -")
	f(Needs{Media: MediaData}, "- - - -")
	f(Needs{Media: MediaPlainData}, "messages messages messages -")
	f(Needs{Media: MediaInputAudio}, "messages messages messages -")
	f(Needs{Media: MediaOther}, "messages messages messages -")
	f(Needs{Media: MediaData | MediaOther}, "messages messages messages -")
	f(Needs{MediaTypes: []string{"image/png"}}, "- - - -")
	f(Needs{MediaTypes: []string{"image/png", "image/gif"}}, "- messages - -")
	f(Needs{MediaTypes: []string{"audio/wav"}}, "messages - messages -")
	f(Needs{MediaTypes: []string{"video/3gpp"}}, "messages - messages -")
	f(Needs{MediaTypes: []string{"application/pdf"}}, "messages messages messages -")
	f(Needs{MediaTypes: []string{""}}, "messages messages messages -")
	f(Needs{MediaTypes: []string{"image"}}, "messages messages messages -")
	f(Needs{MediaTypes: []string{"image/*"}}, "- messages - -")

	f(Needs{Roles: Roles(RoleSystem, RoleUser, RoleAssistant)}, "- - - -")
	f(Needs{Roles: Roles(RoleUser, RoleTool)}, "- messages messages -")
	f(Needs{Roles: Roles(RoleByName("developer"))}, "- - - -") // as system
	f(Needs{Roles: Roles(RoleFunction)}, "messages messages messages -")
	f(Needs{Roles: Roles(RoleByName("narrator"))}, "messages messages messages -")

	f(Needs{MessageFields: FieldToolCalls | FieldToolCallID}, "- messages messages -")
	f(Needs{MessageFields: FieldFunctionCall}, "messages messages messages -")
	f(Needs{MessageFields: FieldAudio}, "messages messages messages -")
	f(Needs{EmptyContent: true}, "- messages messages -")
}

// TestRanges tries each end of each range, and what lies beyond it.
func TestRanges(t *testing.T) {
	f := func(p Param, v float64, want string) {
		t.Helper()
		if got := lacking(with(p, v)); got != want {
			t.Errorf("%s of %v is lacking %q, want %q", p, v, got, want)
		}
	}
	const m, c = "max_tokens", "max_completion_tokens"
	f(ParamMaxTokens, 0, m+" "+m+" "+m+" -")
	f(ParamMaxTokens, 1, "- - - -")
	f(ParamMaxTokens, 1.5, m+" "+m+" "+m+" -")
	f(ParamMaxTokens, 1<<53, "- - - -")
	f(ParamMaxTokens, 1<<54, m+" "+m+" "+m+" -")
	f(ParamMaxCompletionTokens, 0, c+" "+c+" "+c+" -") // where it is sent as max_tokens, too
	f(ParamMaxCompletionTokens, 1, "- - - -")
	f(ParamTemperature, -0.1, "temperature temperature temperature -")
	f(ParamTemperature, 0, "- - - -")
	f(ParamTemperature, 2, "- - - -")
	f(ParamTemperature, 2.01, "- temperature temperature -")
	f(ParamTemperature, math.Inf(1), "temperature temperature temperature -")
	f(ParamTopP, -0.1, "top_p top_p top_p -")
	f(ParamTopP, 0, "- - - -")
	f(ParamTopP, 1, "- - - -")
	f(ParamTopP, 1.01, "top_p top_p top_p -")
	f(ParamTopK, 0, "top_k top_k top_k -")
	f(ParamTopK, 1, "top_k top_k - -")
	f(ParamTopK, 1.5, "top_k top_k top_k -")
	f(ParamN, 0, "n n n -")
	f(ParamN, 128, "- - n -")
	f(ParamN, 129, "n n n -")
	f(ParamFrequencyPenalty, -2.1, "frequency_penalty frequency_penalty frequency_penalty -")
	f(ParamFrequencyPenalty, -2, "- - frequency_penalty -")
	f(ParamFrequencyPenalty, 2, "- - frequency_penalty -")
	f(ParamFrequencyPenalty, 2.1, "frequency_penalty frequency_penalty frequency_penalty -")
	f(ParamPresencePenalty, -2.1, "presence_penalty presence_penalty presence_penalty -")
	f(ParamPresencePenalty, 2, "- - presence_penalty -")
	f(ParamPresencePenalty, 2.1, "presence_penalty presence_penalty presence_penalty -")
	f(ParamSeed, -12345, "- seed seed -")
	f(ParamSeed, math.MinInt64, "- seed seed -")
	f(ParamSeed, 1e19, "seed seed seed -")
	f(ParamSeed, 1.5, "seed seed seed -")
	f(ParamTopLogprobs, -1, "top_logprobs top_logprobs top_logprobs -")
	f(ParamTopLogprobs, 0, "- top_logprobs top_logprobs -")
	f(ParamTopLogprobs, 20, "- top_logprobs top_logprobs -")
	f(ParamTopLogprobs, 21, "top_logprobs top_logprobs top_logprobs -")

	both := needing(ParamMaxTokens, ParamMaxCompletionTokens)
	both.Numbers[ParamMaxCompletionTokens] = 0
	if got := lacking(both); got != c+" "+c+" "+c+" -" {
		t.Errorf("one good name beside a bad one is lacking %q", got)
	}
}

func TestWords(t *testing.T) {
	f := func(p Param, word, want string) {
		t.Helper()
		n := Needs{Params: Params(p), ReasoningEffort: "low", ResponseFormat: "text"}
		if p == ParamReasoningEffort {
			n.ReasoningEffort = word
		} else {
			n.ResponseFormat = word
		}
		if got := lacking(n); got != want {
			t.Errorf("%s %q is lacking %q, want %q", p, word, got, want)
		}
	}
	for _, word := range []string{"none", "low", "medium", "high"} {
		f(ParamReasoningEffort, word, "- reasoning_effort reasoning_effort -")
	}
	f(ParamReasoningEffort, "minimal", "reasoning_effort reasoning_effort reasoning_effort -")
	f(ParamReasoningEffort, "", "reasoning_effort reasoning_effort reasoning_effort -")
	for _, word := range []string{"text", "json_object", "json_schema"} {
		f(ParamResponseFormat, word, "- response_format response_format -")
	}
	f(ParamResponseFormat, "xml", "response_format response_format response_format -")
}

// TestProviderLacks drops what is harmless, where the operator wants it.
func TestProviderLacks(t *testing.T) {
	f := func(u Unsupported, n Needs, want string) {
		t.Helper()
		p := &Provider{Contract: evolink(), Unsupported: u}
		got := "-"
		if lack, lacks := p.Lacks(&n); lacks {
			got = lack.Param.String()
		}
		if got != want {
			t.Errorf("%s: %v is lacking %q, want %q", u, n.Names(), got, want)
		}
	}
	f(UnsupportedSkip, needing(ParamSeed), "seed")
	f(UnsupportedDrop, needing(ParamSeed), "-")
	f(UnsupportedDrop, needing(ParamSeed, ParamFrequencyPenalty, ParamPresencePenalty), "-")
	f(UnsupportedDrop, needing(ParamSeed, ParamN), "n")
	f(UnsupportedDrop, needing(ParamStop), "stop")
	f(UnsupportedDrop, needing(ParamLogprobs), "logprobs")
	f(UnsupportedDrop, with(ParamTemperature, 3), "temperature") // known, and out of its range
	turbo := &Provider{Contract: theTurbo(), Unsupported: UnsupportedDrop}
	n := needing(ParamTopK, ParamTemperature, ParamTopP)
	if lack, lacks := turbo.Lacks(&n); lacks {
		t.Errorf("top_k is not dropped: lacking %s", lack.Param)
	}
}

func TestExplain(t *testing.T) {
	f := func(c *Contract, n Needs, want string) {
		t.Helper()
		got := "serves it"
		if lack, lacks := c.Lacks(&n); lacks {
			got = c.Explain(lack, &n)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %v\n%s", c.Name, n.Names(), diff)
		}
	}
	f(theTurbo(), needing(ParamSeed), `does not take "seed"`)
	f(theTurbo(), with(ParamTemperature, 2.5), `takes "temperature" from 0 to 2, not 2.5`)
	f(theTurbo(), with(ParamTemperature, 2.0000001), `takes "temperature" from 0 to 2, not 2.0000001`)
	f(theTurbo(), with(ParamPresencePenalty, -3), `takes "presence_penalty" from -2 to 2, not -3`)
	f(theTurbo(), with(ParamMaxTokens, 0), `takes "max_tokens" of at least 1, not 0`)
	f(theTurbo(), with(ParamMaxTokens, 1e300), `does not take "max_tokens" of 1e+300`)
	f(theTurbo(), with(ParamMaxCompletionTokens, 0), `takes "max_completion_tokens" of at least 1, not 0`)
	f(theTurbo(), with(ParamN, 2.5), `takes "n" in whole numbers, not 2.5`)
	f(starMagic(), with(ParamTemperature, -1), `takes "temperature" of at least 0, not -1`)
	f(starMagic(), with(ParamTemperature, math.Inf(1)), `does not take "temperature" of +Inf`)
	f(starMagic(), with(ParamSeed, -1e30), `does not take "seed" of -1e+30`)
	f(&Contract{Open: true, Ranges: []Range{{ParamN, math.Inf(-1), 4, true}}}, with(ParamN, 5), `takes "n" of at most 4, not 5`)

	effort := Needs{Params: Params(ParamReasoningEffort), ReasoningEffort: "minimal"}
	f(starMagic(), effort, `takes "reasoning_effort" of none, low, medium or high, not minimal`)
	effort.ReasoningEffort = "low, or else: my secret"
	f(starMagic(), effort, `takes "reasoning_effort" of none, low, medium or high, not another`)
	effort.ReasoningEffort = strings.Repeat("x", 65)
	f(starMagic(), effort, `takes "reasoning_effort" of none, low, medium or high, not another`)
	f(starMagic(), Needs{Params: Params(ParamResponseFormat), ResponseFormat: "xml"}, `takes "response_format" of text, json_object or json_schema, not xml`)
	f(starMagic(), Needs{Params: Params(ParamExtraBody), Extensions: ExtensionOther}, `does not take another member in "extra_body"`)
	f(&Contract{Params: Params(ParamExtraBody)}, Needs{Params: Params(ParamExtraBody), Extensions: ExtensionThinkingConfig}, `does not take "google.thinking_config" in "extra_body"`)
	f(theTurbo(), Needs{Params: Params(ParamTools), OtherTools: true}, `takes functions only in "tools"`)
	f(theTurbo(), Needs{Params: Params(ParamStop), Stops: 5}, `takes at most 4 stop sequences, not 5`)
	f(&Contract{Open: true, MaxStops: 1}, Needs{Stops: 2}, `takes at most 1 stop sequence, not 2`)
}

func TestExplainMessages(t *testing.T) {
	f := func(c *Contract, n Needs, want string) {
		t.Helper()
		lack, lacks := c.Lacks(&n)
		if !lacks {
			t.Fatalf("%s serves %v", c.Name, n.Names())
		}
		if diff := cmp.Diff(want, c.Explain(lack, &n)); diff != "" {
			t.Error(diff)
		}
	}
	f(theTurbo(), Needs{Media: MediaHTTP | MediaInputAudio}, `takes no media by http or https address`)
	f(theTurbo(), Needs{Media: MediaPlainData}, `takes no media as data: URLs that are not base64`)
	f(theTurbo(), Needs{Media: MediaInputAudio}, `takes no media as input_audio`)
	f(theTurbo(), Needs{Media: MediaOther}, `takes no media in another form`)
	f(&Contract{Media: MediaHTTP}, Needs{Media: MediaData}, `takes no media as base64 data: URLs`)
	f(starMagic(), Needs{MediaTypes: []string{"image/png", "audio/wav"}}, `does not take media of type audio/wav`)
	f(starMagic(), Needs{MediaTypes: []string{""}}, `does not take media without a type`)
	f(starMagic(), Needs{MediaTypes: []string{"text/plain secret"}}, `does not take media of another type`)
	f(evolink(), Needs{Roles: Roles(RoleUser, RoleTool)}, `does not take messages of the role tool`)
	f(evolink(), Needs{Roles: Roles(RoleUser, RoleOther)}, `does not take messages of another role`)
	f(evolink(), Needs{MessageFields: FieldToolCalls}, `does not take "tool_calls" in messages`)
	f(evolink(), Needs{EmptyContent: true}, `does not take messages without content`)
}

// TestLacksEach names all that stands in the way, and comes to an end whatever that is.
func TestLacksEach(t *testing.T) {
	all := Needs{
		Params: 1<<paramCount - 1, OtherTools: true, Stops: 9, Extensions: ExtensionOther,
		Media: setOfAll[MediaSet](mediaNames()), MediaTypes: []string{"text/plain"}, Roles: 1<<(RoleOther+1) - 1,
		MessageFields: setOfAll[MessageFieldSet](messageFieldNames()), EmptyContent: true,
	}
	got := (&Provider{Contract: evolink()}).lacksEach(&all)
	want := Params(ParamMessages, ParamN, ParamStop, ParamFrequencyPenalty, ParamPresencePenalty, ParamSeed, ParamLogprobs,
		ParamTopLogprobs, ParamResponseFormat, ParamTools, ParamToolChoice, ParamReasoningEffort, ParamExtraBody, ParamLogitBias,
		ParamFunctions, ParamFunctionCall, ParamAudio, ParamWebSearchOptions, ParamMaxTokens, ParamMaxCompletionTokens, ParamTopK)
	if got != want {
		t.Errorf("lacks %b, want %b", got, want)
	}
}

func TestNeedsNames(t *testing.T) {
	f := func(n Needs, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, n.Names()); diff != "" {
			t.Error(diff)
		}
	}
	f(Needs{})
	f(Needs{Params: Params(ParamModel, ParamMessages, ParamStream), Roles: Roles(RoleUser)})
	n := needing(ParamTemperature, ParamN, ParamTools, ParamStop, ParamResponseFormat, ParamReasoningEffort, ParamExtraBody)
	n.Numbers[ParamTemperature], n.Numbers[ParamN] = 0.5, 2
	n.Stops, n.OtherTools, n.Extensions, n.ReasoningEffort = 5, true, ExtensionCachedContent|ExtensionOther, "a secret"
	f(n, "temperature=0.5", "n=2", "5 stop sequences", "response_format=json_object", "tools", "reasoning_effort=another",
		"extra_body", "google.cached_content", "tools that are not functions")
	f(Needs{
		Roles: Roles(RoleSystem, RoleUser, RoleTool, RoleOther), MessageFields: FieldToolCalls | FieldToolCallID, EmptyContent: true,
		Media: MediaHTTP | MediaData | MediaInputAudio, MediaTypes: []string{"image/png", "audio/wav", "image/png", "%"},
	}, "role system", "role tool", "another role", "tool_calls", "tool_call_id", "messages without content",
		"media by http or https address", "media as input_audio", "media of type image/png", "media of type audio/wav", "media of another type")
}
