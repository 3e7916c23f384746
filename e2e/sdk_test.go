package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// sdk is an official client library in the hands of a program that trusts it:
// what raises no error is the whole answer.
type sdk interface {
	// chat asks and reads the answer to its end. When ctx is done the program
	// aborts the request.
	chat(ctx context.Context, t *testing.T, r sdkRequest) sdkAnswer
}

// sdks are the official client libraries.
func sdks(t *testing.T) []namedSDK {
	t.Helper()
	return []namedSDK{{"Go", goSDK{}}, {"Node", startNode(t)}}
}

type namedSDK struct {
	language string
	sdk
}

type sdkRequest struct {
	gateway *gateway
	secret  string
	stream  bool
	params  openai.ChatCompletionNewParams
	reading chan struct{} // closed when the program has some text of a stream; nil: nobody waits
}

// sdkAnswer is what the program has in the end.
type sdkAnswer struct {
	RequestID string      `json:"request_id"`
	Text      string      `json:"text"`
	Finish    string      `json:"finish"`
	Calls     []sdkCall   `json:"calls"`
	Usages    int         `json:"usages"` // how many usage objects came
	Usage     sdkUsage    `json:"usage"`  // the last of them
	Failure   *sdkFailure `json:"failure"`

	wire string // of the Go client: the body as it came
}

// sdkCall is a call of a function that the model asks for.
type sdkCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type sdkUsage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Total      int64 `json:"total_tokens"`
}

// sdkFailure is the error that the library raised.
type sdkFailure struct {
	Class      string `json:"class"` // its type's name in the library
	Message    string `json:"message"`
	Status     int    `json:"status"` // 0: the error was met behind a status of 200
	Code       string `json:"code"`
	RetryAfter string `json:"retry_after"`
}

// goSDK is openai-go.
type goSDK struct{}

func (goSDK) chat(ctx context.Context, t *testing.T, r sdkRequest) sdkAnswer {
	t.Helper()
	c := r.gateway.call(t, r.secret)
	var a *answer
	switch {
	case !r.stream:
		a = c.plain(ctx, r.params)
	case r.reading != nil:
		a = c.stream(ctx, r.params, onceRead(r.reading))
	default:
		a = c.stream(ctx, r.params)
	}
	seen := sdkAnswer{
		RequestID: a.id(), Usages: a.usages, wire: a.wire.String(),
		Usage: sdkUsage{a.completion.Usage.PromptTokens, a.completion.Usage.CompletionTokens, a.completion.Usage.TotalTokens},
	}
	if !r.stream && a.completion.JSON.Usage.Valid() {
		seen.Usages = 1
	}
	for i := range a.completion.Choices {
		choice := &a.completion.Choices[i]
		seen.Text += choice.Message.Content
		seen.Finish = choice.FinishReason
		for _, call := range choice.Message.ToolCalls {
			if call.Function.Name == "" {
				continue // StarMagic's page shows tool_calls: [null] where nothing is called
			}
			seen.Calls = append(seen.Calls, sdkCall{call.Function.Name, call.Function.Arguments})
		}
	}
	if a.err != nil {
		seen.Failure = goFailure(a.err)
	}
	return seen
}

func goFailure(err error) *sdkFailure {
	failure := &sdkFailure{Class: fmt.Sprintf("%T", err), Message: err.Error()}
	var refusal *openai.Error
	if errors.As(err, &refusal) {
		failure.Class = fmt.Sprintf("%T", refusal)
		failure.Status, failure.Code = refusal.StatusCode, refusal.Code
		failure.RetryAfter = refusal.Response.Header.Get("Retry-After")
	}
	var event *ssestream.StreamError
	if errors.As(err, &event) {
		var body struct {
			Error struct {
				Code string `json:"code"`
			} `json:"error"`
		}
		_ = json.Unmarshal(event.Event.Data, &body) // without a code there is none
		failure.Code = body.Error.Code
	}
	return failure
}

// whole fails the test unless the program has an answer that it takes for complete.
func (a sdkAnswer) whole(t *testing.T) {
	t.Helper()
	if a.Failure != nil {
		t.Fatalf("request %s failed: %+v", a.RequestID, *a.Failure)
	}
}

// failed fails the test unless the library has raised an error, and returns it.
func (a sdkAnswer) failed(t *testing.T) sdkFailure {
	t.Helper()
	if a.Failure == nil {
		t.Fatalf("request %s: the program takes this for a whole answer: %+v", a.RequestID, a)
	}
	return *a.Failure
}
