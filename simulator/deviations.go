package simulator

// Deviations are what a provider does otherwise than its page says, as real
// resellers do. The zero value deviates in nothing. They change what healthy
// answers say and which requests get one; Faults strike beside them, and the
// truth log tells what was asked and what the answer truly cost.
//
// A field of the request is named as at the top of its body: "stream_options".
// Names that mean nothing to the provider change nothing. model and messages
// cannot be refused or ignored.
type Deviations struct {
	// Refuses are documented fields that are refused as unknown parameters.
	Refuses []string
	// Takes are undocumented fields that are taken. One that another provider's page documents is
	// checked and obeyed as there (stream_options at TheTurbo brings the usage chunk, max_completion_tokens
	// limits); any other is taken with any value and has no effect.
	Takes []string
	// Ignores are documented or taken fields that are checked and have no effect: n gives one choice, stream a plain answer.
	Ignores []string
	// Ranges are the least and the most of numeric fields, both included, instead of the documented ones. No
	// range gives an answer more than 128 choices, or a token more than 20 top_logprobs.
	Ranges map[string][2]float64
	// NoStopArrays refuses an array as stop, of any length; one string is taken.
	NoStopArrays bool

	// RefusesRoles are documented roles of messages that are refused: "system".
	RefusesRoles []string
	// TakesRoles are undocumented roles that are taken: "developer". "tool" brings the members of messages that
	// it needs, tool_calls and tool_call_id, as StarMagic's page has them.
	TakesRoles []string

	// Media is how images, sounds and films may come.
	Media Media
	// MediaTypes are the media types that data: URLs may have, instead of the documented ones: "image/png".
	MediaTypes []string

	// Model is the model that answers name, whichever was asked for; empty: the one asked for.
	Model string
	// Errors is how refusals are written. Their statuses stay, and the answers of faults stay as they are.
	Errors ErrorShape
	// Placeholders has StarMagic send tool_calls: [null] where no tool is called, as the example beside its page's list of
	// fields does.
	Placeholders bool
	// NoDone ends streams cleanly without [DONE].
	NoDone bool
	// StreamUsage is when a stream tells its usage.
	StreamUsage StreamUsage
	// Figures are what usage objects say.
	Figures Figures
}

// Media is how images, sounds and films may come to a provider. The zero value
// is what its page says.
type Media string

// The ways of media.
const (
	// MediaNone takes text only: parts of the form image_url are refused.
	MediaNone Media = "none"
	// MediaData takes data: URLs only.
	MediaData Media = "data"
	// MediaWeb takes http and https addresses besides data: URLs.
	MediaWeb Media = "web"
)

// ErrorShape is how a refusal is written. The zero value is OpenAI's error object.
type ErrorShape string

// The shapes of errors.
const (
	// ErrorOpenAI is {"error":{"message","type","param","code"}}.
	ErrorOpenAI ErrorShape = "openai"
	// ErrorMessage is {"message":"..."}.
	ErrorMessage ErrorShape = "message"
	// ErrorText is the message alone, as text/plain.
	ErrorText ErrorShape = "text"
	// ErrorHTML is a page with the status and its name, as a proxy before the provider writes one.
	ErrorHTML ErrorShape = "html"
)

// StreamUsage is when a stream tells its usage. The zero value is when it is
// asked to, by stream_options.include_usage.
type StreamUsage string

// The times of a stream's usage.
const (
	// UsageNever leaves it out, asked for or not.
	UsageNever StreamUsage = "never"
	// UsageAlways sends the chunk of usage alone, asked for or not.
	UsageAlways StreamUsage = "always"
	// UsageEveryChunk puts the usage up to then into every chunk, asked for or not: all reasoning tokens, and the
	// completion tokens sent so far. The chunk of usage alone comes when it is asked for.
	UsageEveryChunk StreamUsage = "every_chunk"
)

// Figures are what a usage object says. The zero value is the truth, as the
// page's example writes it.
type Figures string

// The figures of a usage object.
const (
	// FiguresAbsent leaves the object out, in plain answers and streams.
	FiguresAbsent Figures = "absent"
	// FiguresTotalOff has a total_tokens that is one more than the sum.
	FiguresTotalOff Figures = "total_off"
	// FiguresTwins has the truth in input_tokens and output_tokens, and prompt_tokens and completion_tokens of 0.
	FiguresTwins Figures = "twins"
	// FiguresReasoningApart leaves reasoning tokens out of completion_tokens; total_tokens counts them.
	FiguresReasoningApart Figures = "reasoning_apart"
)
