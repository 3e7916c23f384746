package upstream

// evolink transcribes Evolink's reference page,
// POST https://api.evolink.ai/v1/chat/completions.
//
// The text under max_tokens speaks of image counts: a paste error, the field
// itself is documented as an integer of at least 1. The page promises multimodal
// input and conversations of several turns without an example: images are taken in
// both usual forms, and the roles are those of such a conversation.
func evolink() *Contract {
	return &Contract{
		Name: "evolink",
		Page: Page{"POST /v1/chat/completions", "https://api.evolink.ai/v1/chat/completions"},
		Params: Params(
			ParamModel, ParamMessages, ParamStream,
			ParamMaxTokens,
			ParamTemperature, ParamTopP, ParamTopK,
		),
		Ranges: []Range{
			counting(ParamMaxTokens),
			between(ParamTemperature, 0, 2),
			between(ParamTopP, 0, 1),
			counting(ParamTopK),
		},
		Media:       MediaHTTP | MediaData,
		MediaTypes:  []string{"image/*"},
		Roles:       Roles(RoleSystem, RoleUser, RoleAssistant),
		StreamUsage: StreamUsageNever,
	}
}
