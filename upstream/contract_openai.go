package upstream

// openAI is the contract of every other service that speaks the chat completion
// format of OpenAI's API reference (https://platform.openai.com/docs/api-reference/chat/create).
//
// Such services differ in what they add and leave out, so the contract is open:
// everything may be sent, and the service itself refuses what it does not take.
func openAI() *Contract {
	return &Contract{
		Name: "openai",
		Page: Page{"Create chat completion", "https://api.openai.com/v1/chat/completions"},
		Params: Params(
			ParamModel, ParamMessages, ParamStream, ParamStreamOptions,
			ParamMaxTokens, ParamMaxCompletionTokens,
			ParamTemperature, ParamTopP, ParamN, ParamStop,
			ParamFrequencyPenalty, ParamPresencePenalty,
			ParamSeed, ParamLogprobs, ParamTopLogprobs, ParamLogitBias,
			ParamResponseFormat, ParamTools, ParamToolChoice, ParamFunctions, ParamFunctionCall,
			ParamReasoningEffort, ParamAudio, ParamWebSearchOptions,
		),
		Open:          true,
		OtherTools:    true,
		Extensions:    ExtensionCachedContent | ExtensionThinkingConfig | ExtensionOther,
		Media:         MediaHTTP | MediaData | MediaPlainData | MediaInputAudio | MediaOther,
		MessageFields: FieldToolCalls | FieldToolCallID | FieldFunctionCall | FieldAudio,
		EmptyContent:  true,
		StreamUsage:   StreamUsageInject,
	}
}
