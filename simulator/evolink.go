package simulator

// evolink is Evolink's reference of POST /v1/chat/completions.
//
// The text under max_tokens speaks of images, from 1 to 15, while its range is
// "x >= 1" and its example 2000: the range and the example are played. The page
// shows a user's message only and promises several turns and multimodal input
// without an example: the roles are those of such a conversation (system, user,
// assistant), the parts are text and images in OpenAI's form.
func evolink(d Deviations) *contract {
	models := []string{"gemini-3-pro-preview"}
	return &contract{
		provider: Evolink,
		models:   models,
		id:       "chatcmpl-20251010015944503180122WJNB8Eid",
		fields:   d.fields(evolinkFields(models, d)),
		reasons:  true,
		plain:    evolinkPlain,
		event:    (*answer).chunkEnvelope,
		usage:    detailed,
	}
}

func evolinkFields(models []string, d Deviations) []field {
	return []field{
		required("model", model(models...)),
		required("messages", list(1, message(d.roles("system", "user", "assistant"), d.media(mediaTerms{web: true})))),
		optional("stream", boolean),
		ranged("max_tokens", integer, 1, maxInteger),
		ranged("temperature", number, 0, 2),
		ranged("top_p", number, 0, 1),
		ranged("top_k", integer, 1, maxInteger),
	}
}

// The page knows no logprobs and no tool calls: they come only from a provider
// that deviates.
type evolinkChoice struct {
	Index        int           `json:"index"`
	Message      evolinkAnswer `json:"message"`
	Logprobs     *logprobs     `json:"logprobs,omitempty"`
	FinishReason *string       `json:"finish_reason"`
}

type evolinkAnswer struct {
	Role      string      `json:"role"`
	Content   *string     `json:"content"`
	ToolCalls []*toolCall `json:"tool_calls,omitempty"`
}

func evolinkPlain(a *answer) any {
	choices := make([]evolinkChoice, len(a.choices))
	for i := range a.choices {
		c := &a.choices[i]
		choices[i] = evolinkChoice{Index: i, Message: evolinkAnswer{Role: "assistant", Content: c.content()}, Logprobs: a.logprobs(c, 0, len(c.pieces)), FinishReason: a.finish(i)}
		if call := c.toolCall(); call != nil {
			choices[i].Message.ToolCalls = []*toolCall{call}
		}
	}
	return a.plainEnvelope(choices)
}
