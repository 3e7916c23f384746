package upstream

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
	effort.ReasoningEffort = "very/high"
	f(starMagic(), effort, `takes "reasoning_effort" of none, low, medium or high, not another`)
	effort.ReasoningEffort = "-.max_2"
	f(starMagic(), effort, `takes "reasoning_effort" of none, low, medium or high, not -.max_2`)
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
	f(starMagic(), Needs{EmptyContent: true, NoContent: true}, `takes no message without content`)
	denied := openAI()
	denied.EmptyContent = false
	f(denied, Needs{NoContent: true}, `takes no message without content`)
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
		Roles: Roles(RoleSystem, RoleUser, RoleTool, RoleOther), MessageFields: FieldToolCalls | FieldToolCallID, EmptyContent: true, NoContent: true,
		Media: MediaHTTP | MediaData | MediaInputAudio, MediaTypes: []string{"image/png", "audio/wav", "image/png", "%"},
	}, "role system", "role tool", "another role", "tool_calls", "tool_call_id", "messages without content", "messages without content or tool_calls",
		"media by http or https address", "media as input_audio", "media of type image/png", "media of type audio/wav", "media of another type")
}
