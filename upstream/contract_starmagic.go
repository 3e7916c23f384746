package upstream

import "math"

// starMagic transcribes StarMagic's reference page "Gemini 2.5 Flash Lite -
// OpenAI SDK - API Reference", POST https://api.starmagic.ai/v1/chat/completions.
//
// The page documents text and images, single and several, without saying which
// form their URLs have; both usual forms are taken. Its example of a message has
// tool_call_id and null as its content, its answers have tool_calls, and it speaks
// of system prompts and of several turns: hence the roles and the messages' fields.
func starMagic() *Contract {
	return &Contract{
		Name: "starmagic",
		Page: Page{"Gemini 2.5 Flash Lite - OpenAI SDK - API Reference", "https://api.starmagic.ai/v1/chat/completions"},
		Params: Params(
			ParamModel, ParamMessages, ParamStream, ParamStreamOptions,
			ParamMaxTokens, ParamMaxCompletionTokens,
			ParamTemperature, ParamTopP, ParamN, ParamStop,
			ParamFrequencyPenalty, ParamPresencePenalty,
			ParamSeed, ParamLogprobs, ParamTopLogprobs,
			ParamResponseFormat, ParamTools, ParamToolChoice,
			ParamReasoningEffort, ParamExtraBody,
		),
		Ranges: []Range{
			between(ParamFrequencyPenalty, -2, 2),
			between(ParamPresencePenalty, -2, 2),
			// The page states no other range. Of the rest, what means nothing is not
			// asked for: the ends are those of OpenAI's reference, but for temperature,
			// of which the page says only that it may be high.
			counting(ParamMaxTokens),
			counting(ParamMaxCompletionTokens),
			between(ParamTemperature, 0, math.Inf(1)),
			between(ParamTopP, 0, 1),
			between(ParamN, 1, 128),
			between(ParamSeed, math.MinInt64, math.MaxInt64),
			between(ParamTopLogprobs, 0, 20),
		},
		Words: []Words{
			{ParamReasoningEffort, []string{"none", "low", "medium", "high"}},
			// "JSON mode and JSON Schema"; text says in OpenAI's format that neither is wanted.
			{ParamResponseFormat, []string{"text", "json_object", "json_schema"}},
		},
		Extensions:    ExtensionCachedContent | ExtensionThinkingConfig,
		Media:         MediaHTTP | MediaData,
		MediaTypes:    []string{"image/*"},
		Roles:         Roles(RoleSystem, RoleUser, RoleAssistant, RoleTool),
		MessageFields: FieldToolCalls | FieldToolCallID,
		EmptyContent:  true,
		StreamUsage:   StreamUsageInject,
	}
}
