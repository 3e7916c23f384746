package upstream

// evolink transcribes Evolink's reference page,
// POST https://api.evolink.ai/v1/chat/completions.
//
// The page says "multimodal" without an example, so every form of media is
// taken. The text under max_tokens speaks of image counts: a paste error, the
// field itself is documented as an integer of at least 1.
func evolink() *Contract {
	return &Contract{
		Name: "evolink",
		Params: Params(
			ParamModel, ParamMessages, ParamStream,
			ParamMaxTokens,
			ParamTemperature, ParamTopP, ParamTopK,
		),
		StreamUsage: StreamUsageNever,
		MediaTypes:  []string{"image/*"},
		Roles:       Roles(RoleSystem, RoleUser, RoleAssistant),
		Media:       MediaHTTP | MediaData,
	}
}
