package upstream

// starMagic transcribes StarMagic's reference page "Gemini 2.5 Flash Lite -
// OpenAI SDK - API Reference", POST https://api.starmagic.ai/v1/chat/completions.
//
// The page documents text and images, single and several, without saying which
// form their URLs have; both usual forms are taken. It names no roles.
func starMagic() *Contract {
	return &Contract{
		Name: "starmagic",
		Params: Params(
			ParamModel, ParamMessages, ParamStream, ParamStreamOptions,
			ParamMaxTokens, ParamMaxCompletionTokens,
			ParamTemperature, ParamTopP, ParamN, ParamStop,
			ParamFrequencyPenalty, ParamPresencePenalty,
			ParamSeed, ParamLogprobs, ParamTopLogprobs,
			ParamResponseFormat, ParamTools, ParamToolChoice,
			ParamReasoningEffort, ParamExtraBody,
		),
		StreamUsage:   StreamUsageInject,
		Extensions:    ExtensionCachedContent | ExtensionThinkingConfig,
		Roles:         Roles(RoleSystem, RoleUser, RoleAssistant, RoleTool),
		MessageFields: FieldToolCalls | FieldToolCallID,
		EmptyContent:  true,
		Media:         MediaHTTP | MediaData,
		MediaTypes:    []string{"image/*"},
	}
}
