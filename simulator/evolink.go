package simulator

// evolink is Evolink's reference of POST /v1/chat/completions.
//
// The text under max_tokens speaks of images, from 1 to 15, while its range is
// "x >= 1" and its example 2000: the range and the example are played. The page
// shows a user's message only and promises several turns and multimodal input
// without an example: the roles are those of such a conversation (system, user,
// assistant), the parts are text and images in OpenAI's form.
func evolink() *contract {
	models := []string{"gemini-3-pro-preview"}
	return &contract{
		provider: Evolink,
		models:   models,
		id:       "chatcmpl-20251010015944503180122WJNB8Eid",
		body:     evolinkBody(models),
		reasons:  true,
		plain:    evolinkPlain,
		event:    (*answer).chunkEnvelope,
	}
}

func evolinkBody(models []string) rule {
	return object(
		required("model", model(models...)),
		required("messages", list(1, object(
			required("role", oneOf("system", "user", "assistant")),
			required("content", content(imageAddress)),
		))),
		optional("stream", boolean),
		optional("max_tokens", integer(1, maxInteger)),
		optional("temperature", number(0, 2)),
		optional("top_p", number(0, 1)),
		optional("top_k", integer(1, maxInteger)),
	)
}

type evolinkChoice struct {
	Index        int           `json:"index"`
	Message      evolinkAnswer `json:"message"`
	FinishReason *string       `json:"finish_reason"`
}

type evolinkAnswer struct {
	Role    string  `json:"role"`
	Content *string `json:"content"`
}

func evolinkPlain(a *answer) any {
	choices := make([]evolinkChoice, len(a.choices))
	for i := range a.choices {
		c := &a.choices[i]
		choices[i] = evolinkChoice{Index: i, Message: evolinkAnswer{Role: "assistant", Content: c.content()}, FinishReason: a.finish(i)}
	}
	return a.plainEnvelope(choices)
}
