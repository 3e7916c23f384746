package upstream

import (
	"math"
	"strings"
	"testing"
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
	f(Needs{NoContent: true}, "messages messages messages -")
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

// TestLacksEach names all that stands in the way, and comes to an end whatever that is.
func TestLacksEach(t *testing.T) {
	all := Needs{
		Params: 1<<paramCount - 1, OtherTools: true, Stops: 9, Extensions: ExtensionOther,
		Media: setOfAll[MediaSet](mediaNames()), MediaTypes: []string{"text/plain"}, Roles: 1<<(RoleOther+1) - 1,
		MessageFields: setOfAll[MessageFieldSet](messageFieldNames()), EmptyContent: true, NoContent: true,
	}
	got := (&Provider{Contract: evolink()}).lacksEach(&all)
	want := Params(ParamMessages, ParamN, ParamStop, ParamFrequencyPenalty, ParamPresencePenalty, ParamSeed, ParamLogprobs,
		ParamTopLogprobs, ParamResponseFormat, ParamTools, ParamToolChoice, ParamReasoningEffort, ParamExtraBody, ParamLogitBias,
		ParamFunctions, ParamFunctionCall, ParamAudio, ParamWebSearchOptions, ParamMaxTokens, ParamMaxCompletionTokens, ParamTopK)
	if got != want {
		t.Errorf("lacks %b, want %b", got, want)
	}
}
