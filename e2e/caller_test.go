package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// caller is a tenant's program: the official client with a key.
type caller struct{ client openai.Client }

// call returns a client of this gateway. It does not retry unless told to: what
// it reports is what the gateway said.
func (g *gateway) call(t *testing.T, secret string, options ...option.RequestOption) caller {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return caller{openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(g.url + "/v1"),
		option.WithAPIKey(secret),
		option.WithMaxRetries(0),
		option.WithRequestTimeout(patience),
		option.WithHTTPClient(&http.Client{Transport: transport}),
	}, options...)...)}
}

// answer is what a caller has when a request has ended.
type answer struct {
	wiretap
	completion openai.ChatCompletion // of a stream: its chunks, accumulated
	usages     int                   // how many chunks of a stream had a usage object
	err        error
}

// wiretap keeps what came over the wire, beside what the client makes of it.
type wiretap struct {
	header http.Header
	wire   bytes.Buffer
}

func (w *wiretap) option() option.RequestOption {
	return option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		response, err := next(r)
		if err != nil {
			return response, err
		}
		w.header = response.Header
		w.wire.Reset()
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(response.Body, &w.wire), response.Body}
		return response, nil
	})
}

// id is the request id that the answer came with.
func (w *wiretap) id() string { return w.header.Get("X-Request-Id") }

// plain asks for a whole answer.
func (c caller) plain(ctx context.Context, params openai.ChatCompletionNewParams, options ...option.RequestOption) *answer {
	a := new(answer)
	completion, err := c.client.Chat.Completions.New(ctx, params, append(options, a.option())...)
	if a.err = err; err == nil {
		a.completion = *completion
	}
	return a
}

// stream asks for a stream and reads it to its end.
func (c caller) stream(ctx context.Context, params openai.ChatCompletionNewParams, options ...option.RequestOption) *answer {
	a := new(answer)
	stream := c.client.Chat.Completions.NewStreaming(ctx, params, append(options, a.option())...)
	defer stream.Close()
	var whole openai.ChatCompletionAccumulator
	for stream.Next() {
		chunk := stream.Current()
		if chunk.JSON.Usage.Valid() {
			a.usages++
		}
		if !whole.AddChunk(chunk) && a.err == nil {
			a.err = errors.New("the client cannot put the chunks together")
		}
	}
	a.completion = whole.ChatCompletion
	a.err = errors.Join(a.err, stream.Err())
	return a
}

// text is what was said, of all choices in turn.
func (a *answer) text() string {
	var b strings.Builder
	for i := range a.completion.Choices {
		b.WriteString(a.completion.Choices[i].Message.Content)
	}
	return b.String()
}

// complete fails the test unless the answer is whole.
func (a *answer) complete(t *testing.T) {
	t.Helper()
	if a.err != nil {
		t.Fatalf("request %s: %v\n%s", a.id(), a.err, a.wire.String())
	}
}

// refused is what an error must look like to the client, from status to param.
type refused struct {
	status            int
	kind, code, param string
}

// refused fails the test unless the client reports the error as its own type.
func (a *answer) refused(t *testing.T, want refused) *openai.Error {
	t.Helper()
	return isRefusal(t, a.err, want)
}

func isRefusal(t *testing.T, err error, want refused) *openai.Error {
	t.Helper()
	e := refusalOf(t, err)
	if got := (refused{e.StatusCode, e.Type, e.Code, e.Param}); got != want {
		t.Errorf("got  %+v: %s\nwant %+v", got, e.Message, want)
	}
	if e.Message == "" {
		t.Errorf("no message: %s", e.RawJSON())
	}
	return e
}

// refusalOf is the error in the client's own type.
func refusalOf(t *testing.T, err error) *openai.Error {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *openai.Error", err)
	}
	return e
}

// interrupted fails the test unless the stream broke off visibly: with an error
// event of this code, which the client reports, and without [DONE].
func (a *answer) interrupted(t *testing.T, code string) {
	t.Helper()
	var e *ssestream.StreamError
	if !errors.As(a.err, &e) || !strings.Contains(e.Message, `"code":"`+code+`"`) {
		t.Errorf("got %v, want a stream error with the code %s", a.err, code)
	}
	if strings.Contains(a.wire.String(), "[DONE]") {
		t.Errorf("a broken stream ends with [DONE]:\n%s", a.wire.String())
	}
}

// ask is a request of one message.
func ask(model, prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)},
	}
}
