package upstream

// theTurbo transcribes TheTurbo's reference page "Google Gemini",
// POST https://gateway.theturbo.ai/v1/chat/completions.
//
// The page takes media as base64 data: URLs only and refuses http addresses. It
// lists its roles and the media types one by one, so both lists are complete. Its
// messages have a role and content, nothing else, and its stop is a string that
// may name up to 4: one is sent as a string, several as an array.
func theTurbo() *Contract {
	return &Contract{
		Name: "theturbo",
		Page: Page{"Google Gemini", "https://gateway.theturbo.ai/v1/chat/completions"},
		Params: Params(
			ParamModel, ParamMessages, ParamStream,
			ParamMaxTokens,
			ParamTemperature, ParamTopP, ParamN, ParamStop,
			ParamFrequencyPenalty, ParamPresencePenalty,
			ParamTools, ParamToolChoice,
		),
		Ranges: []Range{
			between(ParamTemperature, 0, 2),
			between(ParamTopP, 0, 1),
			between(ParamPresencePenalty, -2, 2),
			between(ParamFrequencyPenalty, -2, 2),
			// The page calls these two numbers and states no range. Less than one token
			// or answer means nothing, and 128 answers are the most by OpenAI's reference.
			counting(ParamMaxTokens),
			between(ParamN, 1, 128),
		},
		MaxStops: 4,
		StopForm: StopString,
		Media:    MediaData,
		MediaTypes: []string{
			"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif",
			"audio/wav", "audio/mp3", "audio/aiff", "audio/aac", "audio/ogg", "audio/flac",
			"video/mp4", "video/mpeg", "video/mov", "video/avi", "video/x-flv", "video/mpg",
			"video/webm", "video/wmv", "video/3gpp",
		},
		Roles:       Roles(RoleSystem, RoleUser, RoleAssistant),
		StreamUsage: StreamUsageNever,
	}
}
