package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"tollgate/simulator"
)

// library is one that programs use to talk to any OpenAI-compatible service. It
// speaks with more fields than the providers document, and knows its own
// words for what comes back.
type library struct {
	name string
	*nodeProgram
}

// libraries are the AI SDK and LangChain. Each runs in a process of its own.
func libraries(t *testing.T) []library {
	t.Helper()
	return []library{{aiSDK, startProgram(t, "node/aisdk.mjs")}, {langChain, startProgram(t, "node/langchain.mjs")}}
}

const (
	aiSDK     = "AI SDK"
	langChain = "LangChain"
)

// libraryErrand is what a program has its library do.
type libraryErrand struct {
	Model   string `json:"model"`
	System  string `json:"system,omitempty"`
	Prompt  string `json:"prompt"`
	Image   string `json:"image,omitempty"` // data: URL
	Stream  bool   `json:"stream,omitempty"`
	Most    int    `json:"most,omitempty"`   // tokens of the answer; 0: as many as it takes
	Turns   int    `json:"turns,omitempty"`  // requests with a tool, whose result is told in the next; 0: without a tool
	Object  string `json:"object,omitempty"` // how LangChain makes an answer an object; empty: it is none
	Frills  bool   `json:"frills,omitempty"` // all fields that the library knows and no provider documents
	Retries int    `json:"retries"`

	reading chan struct{} // closed when the program has some text of a stream; nil: nobody waits
}

// librarySeen is what the program has in the end.
type librarySeen struct {
	Steps   []libraryStep   `json:"steps"`
	Ran     []string        `json:"ran"`  // what the tool was run with
	Sent    []librarySent   `json:"sent"` // what the library asked for, repetitions included
	Object  json.RawMessage `json:"object"`
	Failure *libraryFailure `json:"failure"`
}

// libraryStep is one answer of a conversation, in the library's words.
type libraryStep struct {
	Text   string       `json:"text"`
	Finish string       `json:"finish"`
	Calls  []sdkCall    `json:"calls"`
	Usage  libraryUsage `json:"usage"`
}

// libraryUsage is of zeros where the library has been told nothing.
type libraryUsage struct {
	sdkUsage
	Cached    int64 `json:"cached_tokens"`
	Reasoning int64 `json:"reasoning_tokens"`
}

type librarySent struct {
	Status    int    `json:"status"`
	RequestID string `json:"request_id"`
	Dropped   string `json:"dropped"` // x-tollgate-dropped
}

// libraryFailure is the error that the library raised.
type libraryFailure struct {
	sdkFailure
	Param     string `json:"param"`
	Retryable bool   `json:"retryable"`
}

// do has an errand run to its end.
func (l library) do(ctx context.Context, t *testing.T, g *gateway, secret string, e libraryErrand) (seen librarySeen) {
	t.Helper()
	l.ask(ctx, t, nodeRequest{BaseURL: g.url + "/v1", APIKey: secret, Params: e, reading: e.reading}, &seen)
	return seen
}

// finish is the library's own word for a finish_reason.
func (l library) finish(reason string) string {
	if l.name == aiSDK {
		return strings.ReplaceAll(reason, "_", "-")
	}
	return reason
}

// dropped are the fields of an errand's request that no provider documents, in
// the order of the alphabet. LangChain has the message that tells a tool's
// result bear the tool's name.
func (l library) dropped(e libraryErrand, step int) []string {
	var names []string
	if e.Frills && e.Image != "" && l.name == langChain {
		names = append(names, "messages.content.image_url.detail")
	}
	if (e.Frills || step > 0) && l.name == langChain {
		names = append(names, "messages.name")
	}
	if e.Frills && (e.Turns > 0 || l.name == aiSDK) {
		names = append(names, "parallel_tool_calls")
	}
	if e.Frills && e.Turns > 0 {
		names = append(names, "tools.function.strict")
	}
	if e.Frills {
		names = append(names, "user")
	}
	return names
}

// statuses are those of all that was sent.
func (s librarySeen) statuses() []int {
	var all []int
	for _, sent := range s.Sent {
		all = append(all, sent.Status)
	}
	return all
}

// whole fails the test unless the program has an answer that it takes for complete.
func (s librarySeen) whole(t *testing.T) {
	t.Helper()
	if s.Failure != nil {
		t.Fatalf("the program has %+v of %+v", *s.Failure, s.Sent)
	}
}

// failed fails the test unless the library has raised an error, and returns it.
func (s librarySeen) failed(t *testing.T) libraryFailure {
	t.Helper()
	if s.Failure == nil {
		t.Fatalf("the program takes this for a whole answer: %+v", s)
	}
	return *s.Failure
}

// checkErrand holds what a program has against the providers' truth and the
// bill, and returns the truth: an entry for each step.
func (f *fleet) checkErrand(t *testing.T, l library, errand libraryErrand, s librarySeen) []simulator.Entry {
	t.Helper()
	s.whole(t)
	truth := f.attempts(t, errand.Prompt)
	if len(s.Steps) != len(truth) || len(s.Sent) != len(truth) {
		t.Fatalf("the program has %d steps, of %d requests sent and %d received", len(s.Steps), len(s.Sent), len(truth))
	}
	for i, e := range truth {
		step, said := s.Steps[i], e.Choices[0]
		var calls []sdkCall
		if said.Call != "" {
			calls = []sdkCall{{said.Call, said.Arguments}}
		}
		if !e.Done || step.Text != said.Text || step.Finish != l.finish(said.Finish) || !slices.Equal(step.Calls, calls) || step.Text == "" && calls == nil {
			t.Errorf("the program has %+v\nthe provider's truth is %+v", step, e)
		}
		r := f.record(t, s.Sent[i].RequestID)
		if r.EndReason != "completed" || e.UsageSent && r.figures() != reported(e) {
			t.Errorf("billed %+v, the provider reported %+v", r, reported(e))
		}
		told := libraryUsage{sdkUsage{r.PromptTokens, r.CompletionTokens, r.PromptTokens + r.CompletionTokens}, r.CachedTokens, r.ReasoningTokens}
		if step.Usage != told {
			t.Errorf("the program was told of %+v, want %+v", step.Usage, told)
		}
		dropped := strings.FieldsFunc(s.Sent[i].Dropped, func(r rune) bool { return strings.ContainsRune(", ", r) })
		slices.Sort(dropped)
		if want := l.dropped(errand, i); !slices.Equal(dropped, want) {
			t.Errorf("x-tollgate-dropped is %q, want %q", dropped, want)
		}
	}
	return truth
}
