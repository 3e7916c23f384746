package simulator

import "net/http"

// A contract is what one provider's page says: its models, its rules for a
// request, and the shape of its answers; or what a provider does that deviates
// from its page.
type contract struct {
	provider Provider
	models   []string
	// id is the answer id of the page's example. Every answer has this very id:
	// two pages print the same one, so no client may take it for a key.
	id string
	// headers checks what the page demands of a request's header; nil: nothing.
	headers func(http.Header) *Refusal
	// fields are the members of a request's body.
	fields []field
	// reasons says that the page's usage object knows reasoning tokens.
	reasons bool
	plain   func(*answer) any
	// event is one chunk of a stream; its usage is nil except on a usage-only chunk.
	event func(a *answer, choices []chunkChoice, usage any) any
	// usage is the usage object, of an answer or chunk.
	usage func(Usage, figures) any
}

// contractOf is the contract of a provider that deviates so; nil: there is no such provider.
func contractOf(p Provider, d Deviations) *contract {
	switch p {
	case StarMagic:
		return starMagic(d)
	case TheTurbo:
		return theTurbo(d)
	case Evolink:
		return evolink(d)
	}
	return nil
}

// read checks a request's body.
func (c *contract) read(raw []byte) (members, *Refusal) {
	v, bad := decode(raw)
	if bad == nil {
		bad = all(object(c.fields...), streamOptionsNeedStream, toolChoiceIsOffered)("", v)
	}
	if bad != nil {
		return nil, bad
	}
	return v.(members), nil
}

// Accepts reports whether the provider's page documents a request with this
// body: nil, or a *Refusal with what the provider would have answered. It knows
// no deviations, and asks for no header, key or limit of size.
func (p Provider) Accepts(body []byte) error {
	c := contractOf(p, Deviations{})
	if c == nil {
		return invalid(http.StatusNotFound, "", "unknown_url", "There is no provider '"+string(p)+"'.")
	}
	if _, bad := c.read(body); bad != nil {
		return bad
	}
	return nil
}

// A chunk's choices have OpenAI's shape at every provider, `index` included: no
// page shows a chunk, TheTurbo's promises "streaming data like ChatGPT's".
type chunkChoice struct {
	Index        int       `json:"index"`
	Delta        delta     `json:"delta"`
	Logprobs     *logprobs `json:"logprobs,omitempty"`
	FinishReason *string   `json:"finish_reason"`
}

type delta struct {
	Role      string         `json:"role,omitempty"`
	Content   *string        `json:"content,omitempty"`
	ToolCalls []toolCallPart `json:"tool_calls,omitempty"`
}

// toolCallPart is a piece of a tool call; only the first has an id, a type and a name.
type toolCallPart struct {
	Index    int          `json:"index"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function functionPart `json:"function"`
}

type functionPart struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// envelope is the outside of an answer or chunk in the order of StarMagic's and
// Evolink's examples of a body.
type envelope struct {
	ID      string `json:"id"`
	Model   string `json:"model"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Choices any    `json:"choices"`
	Usage   any    `json:"usage,omitempty"`
}

func (a *answer) plainEnvelope(choices any) envelope {
	return envelope{a.id, a.model, "chat.completion", a.created, choices, a.report(a.usage)}
}

func (a *answer) chunkEnvelope(choices []chunkChoice, usage any) any {
	return envelope{a.id, a.model, "chat.completion.chunk", a.created, choices, usage}
}

// detailedUsage is the usage object of StarMagic and Evolink, twins and all:
// their examples print input_tokens and output_tokens as 0 beside the truth, and
// text_tokens of the completion as 0 beside 1480 reasoning tokens.
type detailedUsage struct {
	PromptTokens            int64             `json:"prompt_tokens"`
	CompletionTokens        int64             `json:"completion_tokens"`
	TotalTokens             int64             `json:"total_tokens"`
	PromptTokensDetails     promptDetails     `json:"prompt_tokens_details"`
	CompletionTokensDetails completionDetails `json:"completion_tokens_details"`
	InputTokens             int64             `json:"input_tokens"`
	OutputTokens            int64             `json:"output_tokens"`
	InputTokensDetails      any               `json:"input_tokens_details"`
}

type promptDetails struct {
	CachedTokens int64 `json:"cached_tokens"`
	TextTokens   int64 `json:"text_tokens"`
	AudioTokens  int64 `json:"audio_tokens"`
	ImageTokens  int64 `json:"image_tokens"`
}

type completionDetails struct {
	TextTokens      int64 `json:"text_tokens"`
	AudioTokens     int64 `json:"audio_tokens"`
	ReasoningTokens int64 `json:"reasoning_tokens"`
}

func detailed(u Usage, told figures) any {
	return detailedUsage{
		PromptTokens:     told.prompt,
		CompletionTokens: told.completion,
		TotalTokens:      told.total,
		PromptTokensDetails: promptDetails{
			CachedTokens: u.Cached,
			TextTokens:   u.Prompt - u.Media,
			ImageTokens:  u.Media,
		},
		CompletionTokensDetails: completionDetails{ReasoningTokens: u.Reasoning},
		InputTokens:             told.input,
		OutputTokens:            told.output,
	}
}
