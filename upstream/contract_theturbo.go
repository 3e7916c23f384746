package upstream

// theTurbo transcribes TheTurbo's reference page "Google Gemini",
// POST https://gateway.theturbo.ai/v1/chat/completions.
//
// The page takes media as base64 data: URLs only and refuses http addresses. It
// lists its roles and the media types one by one, so both lists are complete.
func theTurbo() *Contract {
	return &Contract{
		Name: "theturbo",
		Params: Params(
			ParamModel, ParamMessages, ParamStream,
			ParamMaxTokens,
			ParamTemperature, ParamTopP, ParamN, ParamStop,
			ParamFrequencyPenalty, ParamPresencePenalty,
			ParamTools, ParamToolChoice,
		),
		StreamUsage: StreamUsageNever,
		MaxStops:    4,
		Media:       MediaData,
		StopForm:    StopString,
		MediaTypes: []string{
			"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif",
			"audio/wav", "audio/mp3", "audio/aiff", "audio/aac", "audio/ogg", "audio/flac",
			"video/mp4", "video/mpeg", "video/mov", "video/avi", "video/x-flv", "video/mpg",
			"video/webm", "video/wmv", "video/3gpp",
		},
		Roles: Roles(RoleSystem, RoleUser, RoleAssistant),
	}
}
