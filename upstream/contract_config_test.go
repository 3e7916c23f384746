package upstream

import (
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// contractOf reads the contract that a provider has with this option.
func contractOf(t *testing.T, option string) *Contract {
	t.Helper()
	c := parse(t, "providers: {p: {contract: "+option+", endpoints: [{url: 'https://h/v1'}]}}")
	if err := c.Validate(); err != nil {
		t.Fatalf("%s: %v", option, err)
	}
	return c.Providers["p"].Contract.contract()
}

// TestExtendedContracts asks what an option changes: exactly what the function does.
func TestExtendedContracts(t *testing.T) {
	f := func(option string, base *Contract, change func(c *Contract)) {
		t.Helper()
		change(base)
		if diff := cmp.Diff(base, contractOf(t, option)); diff != "" {
			t.Errorf("%s:\n%s", option, diff)
		}
	}
	f("theturbo", theTurbo(), func(*Contract) {})
	f("{base: evolink}", evolink(), func(*Contract) {})
	f("{base: theturbo, allow: [seed], stream_usage: pass}", theTurbo(), func(c *Contract) {
		c.Params, c.StreamUsage = c.Params.With(ParamSeed).With(ParamStreamOptions), StreamUsagePass
	})
	f("{base: evolink, allow: [stream_options]}", evolink(), func(c *Contract) {
		c.Params, c.StreamUsage = c.Params.With(ParamStreamOptions), StreamUsagePass
	})
	f("{base: theturbo, allow: [stream_options], stream_usage: never}", theTurbo(), func(c *Contract) {
		c.Params = c.Params.With(ParamStreamOptions)
	})
	f("{base: starmagic, allow: [stream_options]}", starMagic(), func(*Contract) {})
	f("{base: theturbo, deny: [tools, tool_choice], forward: [user, metadata]}", theTurbo(), func(c *Contract) {
		c.Params, c.OtherFields = c.Params.Without(ParamTools).Without(ParamToolChoice), []string{"user", "metadata"}
	})
	f("{base: openai, allow: [top_k], deny: [n], drop: [store]}", openAI(), func(c *Contract) {
		c.Params, c.Denied, c.OtherFields = c.Params.With(ParamTopK).Without(ParamN), Params(ParamN), []string{"store"}
	})
	f("{base: openai, deny: [stream_options]}", openAI(), func(c *Contract) {
		c.Params, c.Denied, c.StreamUsage = c.Params.Without(ParamStreamOptions), Params(ParamStreamOptions), StreamUsageNever
	})
	f("{base: starmagic, done: optional}", starMagic(), func(c *Contract) { c.DoneOptional = true })
	f("{base: starmagic, stream_usage: never}", starMagic(), func(c *Contract) { c.StreamUsage = StreamUsageNever })
	f("{base: evolink, ranges: {temperature: {least: 0, most: 1}, top_p: {}, max_tokens: {least: 16}}}", evolink(), func(c *Contract) {
		c.Ranges = []Range{
			{ParamTopK, 1, math.Inf(1), true},
			{ParamMaxTokens, 16, math.Inf(1), true},
			{ParamTemperature, 0, 1, false},
		}
	})
	f("{base: starmagic, words: {reasoning_effort: [minimal, none], response_format: []}}", starMagic(), func(c *Contract) {
		c.Words = []Words{{ParamReasoningEffort, []string{"minimal", "none"}}}
	})
	f("{base: theturbo, max_stops: -1, stop: array}", theTurbo(), func(c *Contract) { c.MaxStops, c.StopForm = 0, StopArray })
	f("{base: openai, max_stops: 4, stop: string}", openAI(), func(c *Contract) { c.MaxStops, c.StopForm = 4, StopString })
	f("{base: theturbo, allow: [extra_body]}", theTurbo(), func(c *Contract) {
		c.Params, c.Extensions = c.Params.With(ParamExtraBody), ExtensionCachedContent|ExtensionThinkingConfig|ExtensionOther
	})
	f("{base: starmagic, extensions: [google.thinking_config]}", starMagic(), func(c *Contract) { c.Extensions = ExtensionThinkingConfig })
	f("{base: starmagic, extensions: [none], other_tools: allow}", starMagic(), func(c *Contract) { c.Extensions, c.OtherTools = 0, true })
	f("{base: theturbo, media: [http, data, plain_data], media_types: [any]}", theTurbo(), func(c *Contract) {
		c.Media, c.MediaTypes = MediaHTTP|MediaData|MediaPlainData, nil
	})
	f("{base: openai, media: [none]}", openAI(), func(c *Contract) { c.Media = 0 })
	f("{base: evolink, media: [any], media_types: [image/*, audio/wav]}", evolink(), func(c *Contract) {
		c.Media, c.MediaTypes = MediaHTTP|MediaData|MediaPlainData|MediaInputAudio|MediaOther, []string{"image/*", "audio/wav"}
	})
	f("{base: evolink, roles: [system, user, assistant, tool], message_fields: [tool_calls, tool_call_id], empty_content: allow}", evolink(), func(c *Contract) {
		c.Roles, c.MessageFields, c.EmptyContent = c.Roles.With(RoleTool), FieldToolCalls|FieldToolCallID, true
	})
	f("{base: evolink, roles: [any], message_fields: [any]}", evolink(), func(c *Contract) {
		c.Roles, c.MessageFields = 0, FieldToolCalls|FieldToolCallID|FieldFunctionCall|FieldAudio
	})
	f("{base: openai, message_fields: [none], empty_content: deny, other_tools: deny}", openAI(), func(c *Contract) {
		c.MessageFields, c.EmptyContent, c.OtherTools = 0, false, false
	})
	f("{base: starmagic, allow: [], media: [], roles: [], stop: '', max_stops: 0}", starMagic(), func(*Contract) {})
}

func TestPasses(t *testing.T) {
	f := func(option, field string, want bool) {
		t.Helper()
		if got := contractOf(t, option).Passes(field); got != want {
			t.Errorf("%s passes %s: %t", option, field, got)
		}
	}
	f("theturbo", "user", false)
	f("{base: theturbo, forward: [user]}", "user", true)
	f("{base: theturbo, forward: [user]}", "metadata", false)
	f("openai", "user", true)
	f("{base: openai, drop: [store]}", "store", false)
	f("{base: openai, drop: [store]}", "user", true)
}

func TestContractMistakes(t *testing.T) {
	f := func(options string, want ...string) {
		t.Helper()
		got := "no error"
		text := "providers: {p: {" + options + ", endpoints: [{url: 'https://h/v1'}]}}"
		if err := parse(t, text).Validate(); err != nil {
			got = strings.ReplaceAll(err.Error(), "providers.p.", "")
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
			t.Errorf("%s\n%s", options, diff)
		}
		if _, err := NewTable(parse(t, text), TableOptions{}); err == nil {
			t.Errorf("NewTable takes %s", text)
		}
	}
	const fields = "stream_options, max_tokens, max_completion_tokens, temperature, top_p, top_k, n, stop, frequency_penalty, " +
		"presence_penalty, seed, logprobs, top_logprobs, response_format, tools, tool_choice, reasoning_effort, extra_body, " +
		"logit_bias, functions, function_call, audio, web_search_options"
	const numbers = "max_tokens, max_completion_tokens, temperature, top_p, top_k, n, frequency_penalty, presence_penalty, seed, top_logprobs"
	f(`contract: {base: gemini}`, `contract: must be starmagic, theturbo, evolink or openai, got "gemini"`)
	f(`contract: {allow: [seed]}`, `contract.base: must be starmagic, theturbo, evolink or openai, got ""`)
	f(`contract: {base: theturbo, allow: [sed], deny: [sead, model, messages, stream]}`,
		`contract.allow[0]: "sed" is none of `+fields+`; other fields go into forward`,
		`contract.deny[0]: "sead" is none of `+fields+`; other fields go into drop`,
		`contract.deny[1]: must not be "model", which every request has`,
		`contract.deny[2]: must not be "messages", which every request has`,
		`contract.deny[3]: must not be "stream", which every request has`)
	f(`contract: {base: theturbo, allow: [seed], deny: [seed]}`,
		`contract.deny[0]: "seed" is in allow as well; leave it out of one of them`)
	f(`contract: {base: theturbo, forward: [user, seed, "a b"], drop: [store]}`,
		`contract.drop: must be empty: with the base theturbo every field that no provider documents is dropped`,
		`contract.forward[1]: "seed" is a documented field; it goes into allow`,
		`contract.forward[2]: must be the name of a field such as "user", got "a b"`)
	f(`contract: {base: openai, forward: [user], drop: [n]}`,
		`contract.forward: must be empty: with the base openai every field is forwarded`,
		`contract.drop[0]: "n" is a documented field; it goes into deny`)
	f(`contract: {base: evolink, ranges: {temperature: {least: 2, most: 1}, tools: {}, heat: {most: 1}}}`,
		`contract.ranges: "heat" is none of `+numbers,
		`contract.ranges.temperature: least must not be above most, got 2 and 1`,
		`contract.ranges: "tools" is none of `+numbers)
	f(`contract: {base: evolink, words: {reasoning_effort: [low, "very high", ""], tools: [x]}}`,
		`contract.words.reasoning_effort[1]: must be a word such as "low", of 1 to 64 letters, digits and any of . _ -, got "very high"`,
		`contract.words.reasoning_effort[2]: must be a word such as "low", of 1 to 64 letters, digits and any of . _ -, got ""`,
		`contract.words: "tools" is none of reasoning_effort, response_format`)
	f(`contract: {base: evolink, max_stops: -2, stop: list, other_tools: true_, empty_content: perhaps}`,
		`contract.max_stops: must be between 1 and 1000000, or -1 for any number, got -2`,
		`contract.stop: must be as_is, string or array, got "list"`,
		`contract.other_tools: must be allow or deny, got "true_"`,
		`contract.empty_content: must be allow or deny, got "perhaps"`)
	f(`contract: {base: evolink, extensions: [google], media: [any, http, ftp], message_fields: [name], roles: [none, narrator]}`,
		`contract.extensions[0]: must be google.cached_content, google.thinking_config, other, any or none, got "google"`,
		`contract.media[0]: "any" must stand alone`,
		`contract.media[2]: must be http, data, plain_data, input_audio, other, any or none, got "ftp"`,
		`contract.message_fields[0]: must be tool_calls, tool_call_id, function_call, audio, any or none, got "name"`,
		`contract.roles[0]: must be system, developer, user, assistant, tool, function or any, got "none"`,
		`contract.roles[1]: must be system, developer, user, assistant, tool, function or any, got "narrator"`)
	f(`contract: {base: evolink, media_types: [image, image/PNG, any, image/*]}`,
		`contract.media_types[0]: must be a MIME type in lower case such as image/png or image/*, or any alone, got "image"`,
		`contract.media_types[1]: must be a MIME type in lower case such as image/png or image/*, or any alone, got "image/PNG"`,
		`contract.media_types[2]: "any" must stand alone`)
}

func TestContractYAML(t *testing.T) {
	f := func(c ContractConfig, want string) {
		t.Helper()
		if diff := cmp.Diff(want, c.YAML()); diff != "" {
			t.Error(diff)
		}
	}
	f(ContractConfig{Base: "theturbo"}, "theturbo")
	f(ContractConfig{Base: "theturbo", Allow: []string{"seed"}, StreamUsage: "pass"}, "{base: theturbo, allow: [seed], stream_usage: pass}")
	f(ContractConfig{
		Base: "openai", Deny: []string{"n"}, Drop: []string{"null", "store"},
		Ranges:   map[string]RangeConfig{"top_p": {}, "temperature": {Least: "0", Most: "1.5"}, "seed": {Most: "1e+20"}},
		Words:    map[string][]string{"reasoning_effort": {"low", "true"}},
		MaxStops: -1, MediaTypes: []string{"image/*"},
	}, `{base: openai, deny: ["n"], drop: ["null", store], ranges: {seed: {most: 1e+20}, temperature: {least: 0, most: 1.5}, top_p: {}}, `+
		`words: {reasoning_effort: [low, "true"]}, max_stops: -1, media_types: [image/*]}`)
}

// TestExampleFile: config.yaml shows every option, at values that change nothing.
func TestExampleFile(t *testing.T) {
	text, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	for name, p := range c.Providers {
		base, _ := ContractByName(p.Contract.Base)
		if got := Differences(base, p.Contract.contract()).YAML(); got != p.Contract.Base {
			t.Errorf("%s: the contract is %s, want it unchanged", name, got)
		}
	}
	if c.Providers["theturbo"].Contract.short() {
		t.Error("the long form is not shown")
	}
}

// TestDocumentedContracts reads what docs/providers.md shows as a contract.
func TestDocumentedContracts(t *testing.T) {
	text, err := os.ReadFile("../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^ +contract: (.+)$`).FindAllStringSubmatch(string(text), -1)
	if len(shown) != 2 {
		t.Fatalf("the page shows %d contracts, want two", len(shown))
	}
	for _, m := range shown {
		c := contractOf(t, m[1])
		base, _ := ContractByName(c.Name)
		if got := Differences(base, c).YAML(); strings.ReplaceAll(got, `"`, "") != m[1] {
			t.Errorf("the page shows %s, which is %s", m[1], got)
		}
	}
}
