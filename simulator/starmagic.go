package simulator

import "math"

// starMagic is "Gemini 2.5 Flash Lite - OpenAI SDK - API Reference".
//
// Its one example of a message has role, content (null) and tool_call_id. An
// assistant's tool_calls are taken as well: the page documents them in its
// answers, and a conversation of several turns sends answers back. An image is
// given by data: URL or by address, the page rules neither out.
func starMagic(d Deviations) *contract {
	models := []string{"gemini-2.5-flash-lite"}
	return &contract{
		provider: StarMagic,
		models:   models,
		id:       "chatcmpl-20251010015944503180122WJNB8Eid",
		fields:   d.fields(starMagicFields(models, d)),
		reasons:  true,
		plain:    starMagicPlain,
		event:    (*answer).chunkEnvelope,
		usage:    detailed,
	}
}

func starMagicFields(models []string, d Deviations) []field {
	return []field{
		required("model", model(models...)),
		required("messages", list(1, messageWithTools(d.roles("system", "user", "assistant", "tool"), d.media(mediaTerms{web: true})))),
		optional("stream", boolean),
		ranged("max_completion_tokens", integer, 1, maxInteger),
		ranged("max_tokens", integer, 1, maxInteger),
		ranged("temperature", number, 0, unbounded),
		ranged("top_p", number, 0, 1),
		ranged("frequency_penalty", number, -2, 2),
		ranged("presence_penalty", number, -2, 2),
		optional("stop", stops(math.MaxInt)),
		ranged("n", integer, 1, maxChoices),
		optional("reasoning_effort", oneOf("none", "low", "medium", "high")),
		ranged("seed", integer, math.MinInt64, math.MaxInt64),
		optional("logprobs", boolean),
		ranged("top_logprobs", integer, 0, maxRunners),
		optional("response_format", responseFormat()),
		optional("stream_options", object(optional("include_usage", boolean))),
		optional("tools", tools()),
		optional("tool_choice", toolChoice()),
		optional("extra_body", object(optional("google", object(
			optional("cached_content", text),
			optional("thinking_config", anyObject),
		)))),
	}
}

// responseFormat is JSON mode or JSON Schema; "text" says in OpenAI's format
// that neither is wanted.
func responseFormat() rule {
	free := object(required("type", oneOf("text", "json_object", "json_schema")))
	schema := object(
		required("type", oneOf("json_schema")),
		required("json_schema", object(
			required("name", text),
			optional("description", text),
			optional("schema", anyObject),
			optional("strict", boolean),
		)),
	)
	return func(at string, v any) *Refusal {
		if found, ok := v.(members); ok && found["type"] == "json_schema" {
			return schema(at, v)
		}
		return free(at, v)
	}
}

type starMagicChoice struct {
	Index        int              `json:"index"`
	Message      starMagicAnswer  `json:"message"`
	Logprobs     starMagicLogprob `json:"logprobs"`
	FinishReason *string          `json:"finish_reason"`
}

// starMagicAnswer always has tool_calls: null where no tool is called, as in the
// page's example of a whole answer. (The example beside its list of fields has
// [null], as it has placeholders everywhere: see Deviations.Placeholders.)
type starMagicAnswer struct {
	Role      string      `json:"role"`
	Content   *string     `json:"content"`
	ToolCalls []*toolCall `json:"tool_calls"`
}

// starMagicLogprob is always there too; the example of one holds a token whose
// four members are null.
type starMagicLogprob struct {
	Content []tokenLogprob `json:"content"`
}

func starMagicPlain(a *answer) any {
	choices := make([]starMagicChoice, len(a.choices))
	for i := range a.choices {
		c := &a.choices[i]
		made := starMagicChoice{
			Index:        i,
			Message:      starMagicAnswer{Role: "assistant", Content: c.content()},
			Logprobs:     starMagicLogprob{Content: []tokenLogprob{{}}},
			FinishReason: a.finish(i),
		}
		if call := c.toolCall(); call != nil || a.placeholders {
			made.Message.ToolCalls = []*toolCall{call}
		}
		if lp := a.logprobs(c, 0, len(c.pieces)); lp != nil {
			made.Logprobs.Content = lp.Content
		}
		choices[i] = made
	}
	return a.plainEnvelope(choices)
}
