package probe

import (
	"encoding/json"
	"errors"
	"strings"

	"tollgate/usage"
)

// answer is a plain answer, as far as the checks look at it.
type answer struct {
	Model   string          `json:"model"`
	Choices []choice        `json:"choices"`
	Usage   json.RawMessage `json:"usage"`
	Error   json.RawMessage `json:"error"`

	contentType string
}

type choice struct {
	Message struct {
		Content      json.RawMessage `json:"content"`
		ToolCalls    []*toolCall     `json:"tool_calls"`
		FunctionCall *functionCall   `json:"function_call"`
	} `json:"message"`
	Logprobs *struct {
		Content []*tokenLogprob `json:"content"`
	} `json:"logprobs"`
	FinishReason string `json:"finish_reason"`
}

type toolCall struct {
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type tokenLogprob struct {
	Logprob     *float64          `json:"logprob"`
	TopLogprobs []json.RawMessage `json:"top_logprobs"`
}

// first is the first choice; a zero one where there is none.
func (a *answer) first() choice {
	if a == nil || len(a.Choices) == 0 {
		return choice{}
	}
	return a.Choices[0]
}

// text is the choice's content: a string, or the texts of its parts.
func (c choice) text() string {
	var text string
	if json.Unmarshal(c.Message.Content, &text) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	_ = json.Unmarshal(c.Message.Content, &parts) // what is neither has no text
	var all strings.Builder
	for _, p := range parts {
		all.WriteString(p.Text)
	}
	return all.String()
}

// calls are the functions that the choice calls.
func (c choice) calls() []functionCall {
	var calls []functionCall
	if f := c.Message.FunctionCall; f != nil {
		calls = append(calls, *f)
	}
	for _, call := range c.Message.ToolCalls {
		if call != nil { // a page's own example has a null here
			calls = append(calls, call.Function)
		}
	}
	return calls
}

// cutShort says that the limit ended the answer: a model that thinks may use all of it before it has said a word.
func (c choice) cutShort() bool { return c.FinishReason == "length" }

// figures reads a usage object by the rules of the bill.
func figures(raw []byte) (usage.Tokens, error) {
	t, err := usage.ParseTokens(raw)
	if err != nil {
		return t, err
	}
	return t, twins(raw, t)
}

// errTwins says that the two names of a figure disagree. A zero beside the truth
// is what two of the pages print.
var errTwins = errors.New("input_tokens and output_tokens contradict prompt_tokens and completion_tokens")

func twins(raw []byte, t usage.Tokens) error {
	var other struct {
		Input  json.Number `json:"input_tokens"`
		Output json.Number `json:"output_tokens"`
	}
	if json.Unmarshal(raw, &other) != nil {
		return errTwins
	}
	input, _ := other.Input.Int64()
	output, _ := other.Output.Int64()
	if input != 0 && input != t.Prompt || output != 0 && output != t.Completion {
		return errTwins
	}
	return nil
}
