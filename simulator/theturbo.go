package simulator

import (
	"mime"
	"net/http"
	"strings"
)

// theTurbo is TheTurbo's page "Google Gemini".
//
// The page calls stop a string and says that at most 4 strings may be named: a
// string, or an array of at most 4. It calls n and max_tokens numbers; a part
// of an answer or of a token means nothing, so they are integers. A message has
// role and content and nothing else.
func theTurbo(d Deviations) *contract {
	models := []string{
		"gemini-1.5-pro", "gemini-1.5-pro-001", "gemini-1.5-pro-002",
		"gemini-1.5-flash-001", "gemini-1.5-flash-002", "gemini-1.5-flash-8b",
		"gemini-1.5-pro-latest",
		"gemini-exp-1114", "gemini-exp-1121", "gemini-exp-1206",
		"gemini-2.0-flash-exp",
		"gemini-2.0-flash-thinking-exp-1219", "gemini-2.0-flash-thinking-exp-01-21",
		"gemini-2.0-flash", "gemini-2.0-flash-lite-preview-02-05", "gemini-2.0-pro-exp-02-05",
	}
	return &contract{
		provider: TheTurbo,
		models:   models,
		id:       "chatcmpl-1234567890",
		headers:  theTurboHeaders,
		fields:   d.fields(theTurboFields(models, d)),
		plain:    theTurboPlain,
		event:    theTurboEvent,
		usage:    theTurboFigures,
	}
}

func theTurboFields(models []string, d Deviations) []field {
	return []field{
		required("model", model(models...)),
		required("messages", list(1, message(d.roles("system", "user", "assistant"), d.media(mediaTerms{types: theTurboMedia()})))),
		ranged("temperature", number, 0, 2),
		ranged("top_p", number, 0, 1),
		ranged("n", integer, 1, maxChoices),
		optional("stream", boolean),
		optional("stop", stops(4)),
		ranged("max_tokens", integer, 1, maxInteger),
		ranged("presence_penalty", number, -2, 2),
		ranged("frequency_penalty", number, -2, 2),
		optional("tools", tools()),
		optional("tool_choice", toolChoice()),
	}
}

func theTurboMedia() []string {
	return []string{
		"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif",
		"audio/wav", "audio/mp3", "audio/aiff", "audio/aac", "audio/ogg", "audio/flac",
		"video/mp4", "video/mpeg", "video/mov", "video/avi", "video/x-flv", "video/mpg",
		"video/webm", "video/wmv", "video/3gpp",
	}
}

// theTurboHeaders demands what the page's table of headers lists. The page wants
// Accept "unified as application/json" and makes no exception for streams, so
// application/json must be named there, alone or beside other types
// ("application/json, text/event-stream"); a wildcard does not name it.
func theTurboHeaders(h http.Header) *Refusal {
	if !namesJSON(h.Get("Content-Type")) {
		return badRequest("", "invalid_content_type", "The header Content-Type must be application/json.")
	}
	for accepted := range strings.SplitSeq(strings.Join(h.Values("Accept"), ","), ",") {
		if namesJSON(accepted) {
			return nil
		}
	}
	return badRequest("", "invalid_accept", "The header Accept must name application/json.")
}

func namesJSON(mediaType string) bool {
	name, _, err := mime.ParseMediaType(mediaType)
	return err == nil && name == "application/json"
}

type theTurboEnvelope struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices any    `json:"choices"`
	Usage   any    `json:"usage,omitempty"`
}

// theTurboChoice has no index: the page's example has none. Logprobs come only
// from a provider that deviates.
type theTurboChoice struct {
	Message      theTurboAnswer `json:"message"`
	Logprobs     *logprobs      `json:"logprobs,omitempty"`
	FinishReason *string        `json:"finish_reason"`
}

type theTurboAnswer struct {
	Role      string      `json:"role"`
	Content   *string     `json:"content"`
	ToolCalls []*toolCall `json:"tool_calls,omitempty"`
}

type theTurboUsage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
	// The page knows no such twins.
	InputTokens  int64 `json:"input_tokens,omitempty"`
	OutputTokens int64 `json:"output_tokens,omitempty"`
}

func theTurboFigures(_ Usage, told figures) any {
	return theTurboUsage{told.prompt, told.completion, told.total, told.input, told.output}
}

func theTurboPlain(a *answer) any {
	choices := make([]theTurboChoice, len(a.choices))
	for i := range a.choices {
		c := &a.choices[i]
		choices[i] = theTurboChoice{Message: theTurboAnswer{Role: "assistant", Content: c.content()}, Logprobs: a.logprobs(c, 0, len(c.pieces)), FinishReason: a.finish(i)}
		if call := c.toolCall(); call != nil {
			choices[i].Message.ToolCalls = []*toolCall{call}
		}
	}
	return theTurboEnvelope{a.id, "chat.completion", a.created, a.model, choices, a.report(a.usage)}
}

func theTurboEvent(a *answer, choices []chunkChoice, usage any) any {
	return theTurboEnvelope{a.id, "chat.completion.chunk", a.created, a.model, choices, usage}
}
