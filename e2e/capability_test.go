package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tollgate/simulator"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

// TestToolCalls has a tool called, plain and streamed, by the providers that
// document tools: the client can run it with the very arguments that were sent.
func TestToolCalls(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	check := func(t *testing.T, a *answer, prompt string) {
		t.Helper()
		a.complete(t)
		e := f.attempt(t, prompt)
		calls := a.completion.Choices[0].Message.ToolCalls
		if len(calls) != 1 || a.completion.Choices[0].FinishReason != "tool_calls" {
			t.Fatalf("got %s", a.wire.String())
		}
		call := calls[0]
		if call.ID == "" || call.Function.Name != "get_weather" || call.Function.Arguments != e.Choices[0].Arguments || !json.Valid([]byte(call.Function.Arguments)) {
			t.Errorf("got %+v, the provider called %+v", call, e.Choices[0])
		}
		f.checkBill(t, a, e)
	}
	for _, model := range []string{"gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-flash"} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			t.Run("plain", func(t *testing.T) {
				prompt := "What is the weather in " + t.Name()
				check(t, c.plain(t.Context(), withTool(ask(model, prompt))), prompt)
			})
			t.Run("stream", func(t *testing.T) {
				prompt := "What is the weather in " + t.Name()
				check(t, c.stream(t.Context(), withTool(ask(model, prompt))), prompt)
			})
		})
	}
}

// withTool offers a tool and insists on it.
func withTool(params openai.ChatCompletionNewParams) openai.ChatCompletionNewParams {
	params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name:        "get_weather",
		Description: openai.String("The weather at a place"),
		Parameters: shared.FunctionParameters{
			"type":       "object",
			"properties": map[string]any{"place": map[string]any{"type": "string"}},
			"required":   []string{"place"},
		},
	})}
	params.ToolChoice.OfAuto = openai.String("required")
	return params
}

// TestNeedsDecideWhoIsAsked sends requests that only some providers document:
// each goes to one that does, however often it is sent.
func TestNeedsDecideWhoIsAsked(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	dataURL := "data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte("68 bytes that a provider is told to be an image, and never looks at."))
	f1 := func(name, model string, change func(*openai.ChatCompletionNewParams), want string, able ...simulator.Provider) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 6 {
				prompt := fmt.Sprintf("Please answer %s, time %d.", t.Name(), i)
				params := ask(model, prompt)
				change(&params)
				a := c.plain(t.Context(), params)
				a.complete(t)
				if e := f.attempt(t, prompt); !slices.Contains(able, e.Provider) || !strings.Contains(a.text(), want) {
					t.Errorf("%s answered %q, want one of %v and %q in its answer", e.Provider, a.text(), able, want)
				}
			}
		})
	}
	image := func(url string) func(*openai.ChatCompletionNewParams) {
		return func(p *openai.ChatCompletionNewParams) {
			prompt := p.Messages[0].OfUser.Content.OfString.Value
			p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
				openai.TextContentPart(prompt), openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: url}),
			})}
		}
	}
	stops := func(s ...string) func(*openai.ChatCompletionNewParams) {
		return func(p *openai.ChatCompletionNewParams) { p.Stop.OfStringArray = s }
	}
	const (
		seen     = "I see 1 image (image/png, 68 bytes)."
		pointed  = "I see 1 image (by address)."
		starWord = `{"answer":`
	)
	f1("an image in the body", "gemini-2.5-flash-lite", image(dataURL), seen, simulator.StarMagic)
	f1("an image in the body", "gemini-2.0-flash", image(dataURL), seen, simulator.TheTurbo)
	f1("an image in the body", "gemini-flash", image(dataURL), seen, simulator.StarMagic, simulator.TheTurbo)
	f1("an image by address", "gemini-2.5-flash-lite", image("https://images.example/cat.png"), pointed, simulator.StarMagic)
	f1("an image by address", "gemini-3-pro-preview", image("https://images.example/cat.png"), pointed, simulator.Evolink)
	f1("an image by address", "gemini-flash", image("https://images.example/cat.png"), pointed, simulator.StarMagic, simulator.Evolink)
	f1("a response format", "gemini-flash", func(p *openai.ChatCompletionNewParams) {
		p.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{}
	}, starWord, simulator.StarMagic)
	f1("a seed", "gemini-flash", func(p *openai.ChatCompletionNewParams) { p.Seed = openai.Int(7) }, "", simulator.StarMagic)
	f1("top_k", "gemini-flash", func(p *openai.ChatCompletionNewParams) {
		p.SetExtraFields(map[string]any{"top_k": 40})
	}, "", simulator.Evolink)
	f1("four stop sequences", "gemini-2.0-flash", stops("1", "2", "3", "4"), "", simulator.TheTurbo)
	f1("five stop sequences", "gemini-flash", stops("1", "2", "3", "4", "5"), "", simulator.StarMagic)
	f1("defaults that are no needs", "gemini-3-pro-preview", func(p *openai.ChatCompletionNewParams) {
		p.N, p.PresencePenalty = openai.Int(1), openai.Float(0)
		p.ResponseFormat.OfText = &shared.ResponseFormatTextParam{}
	}, "", simulator.Evolink)
}

// TestNobodyTakesIt sends what no provider of the model documents: the client is
// told which parameter it is, and nobody is asked.
func TestNobodyTakesIt(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	check := func(model, param string, change func(*openai.ChatCompletionNewParams)) {
		t.Helper()
		params := ask(model, "Never to be seen upstream")
		change(&params)
		want := refused{400, "invalid_request_error", "unsupported_parameter", param}
		c.plain(t.Context(), params).refused(t, want)
		c.stream(t.Context(), params).refused(t, want)
	}
	check("gemini-2.0-flash", "response_format", func(p *openai.ChatCompletionNewParams) {
		p.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{}
	})
	check("gemini-2.0-flash", "stop", func(p *openai.ChatCompletionNewParams) {
		p.Stop.OfStringArray = []string{"1", "2", "3", "4", "5"}
	})
	check("gemini-2.0-flash", "messages", func(p *openai.ChatCompletionNewParams) {
		p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
			openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "https://images.example/cat.png"}),
		})}
	})
	check("gemini-3-pro-preview", "tools", func(p *openai.ChatCompletionNewParams) { *p = withTool(*p) })
	check("gemini-3-pro-preview", "n", func(p *openai.ChatCompletionNewParams) { p.N = openai.Int(2) })
	check("gemini-flash", "logit_bias", func(p *openai.ChatCompletionNewParams) { p.LogitBias = map[string]int64{"50256": -100} })
	if asked := f.providers.Truth(); len(asked) != 0 {
		t.Errorf("%d requests were sent upstream, want none", len(asked))
	}
}

// TestSeveralChoices asks for two answers at once: both arrive, both are billed.
func TestSeveralChoices(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	for _, model := range []string{"gemini-2.5-flash-lite", "gemini-2.0-flash"} {
		for name, by := range map[string]func(*testing.T, openai.ChatCompletionNewParams) *answer{
			"plain":  func(t *testing.T, p openai.ChatCompletionNewParams) *answer { return c.plain(t.Context(), p) },
			"stream": func(t *testing.T, p openai.ChatCompletionNewParams) *answer { return c.stream(t.Context(), p) },
		} {
			t.Run(model+" "+name, func(t *testing.T) {
				prompt := "Please answer twice, " + t.Name()
				params := ask(model, prompt)
				params.N = openai.Int(2)
				a := by(t, params)
				a.complete(t)
				e := f.attempt(t, prompt)
				if len(a.completion.Choices) != 2 || len(e.Choices) != 2 || a.text() != e.Choices[0].Text+e.Choices[1].Text {
					t.Fatalf("got %s\nthe provider said %+v", a.wire.String(), e.Choices)
				}
				if e.Choices[0].Text == e.Choices[1].Text || e.Choices[1].Text == "" {
					t.Errorf("the provider gave %+v, which proves nothing", e.Choices)
				}
				f.checkBill(t, a, e)
			})
		}
	}
}

// TestStopEndsTheAnswer cuts the same text at a word of it.
func TestStopEndsTheAnswer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	for _, model := range []string{"gemini-2.5-flash-lite", "gemini-2.0-flash"} {
		whole := c.plain(t.Context(), ask(model, "Please go on"))
		whole.complete(t)
		word := strings.Fields(whole.text())[5]
		params := ask(model, "Please go on")
		params.Stop.OfStringArray = []string{word, "a word that is not in it"}
		cut := c.plain(t.Context(), params)
		cut.complete(t)
		if want, _, _ := strings.Cut(whole.text(), word); cut.text() != want {
			t.Errorf("%s: got %q, want %q", model, cut.text(), want)
		}
	}
}

// TestUnknownFields sends fields that no contract knows: a provider with a
// strict contract answers without them, and the client is told.
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	for _, model := range publicModels() {
		prompt := "Please ignore what you do not know, " + model
		params := ask(model, prompt)
		params.User = openai.String("somebody")
		params.Metadata = shared.Metadata{"purpose": "test"}
		a := c.plain(t.Context(), params)
		a.complete(t)
		dropped := strings.Split(a.header.Get("X-Tollgate-Dropped"), ", ")
		slices.Sort(dropped)
		if !slices.Equal(dropped, []string{"metadata", "user"}) {
			t.Errorf("%s: x-tollgate-dropped is %q, want user and metadata", model, a.header.Get("X-Tollgate-Dropped"))
		}
		if sent := f.attempt(t, prompt).Body; strings.Contains(sent, "somebody") || strings.Contains(sent, "purpose") {
			t.Errorf("%s was sent %s", model, sent)
		}
	}
	a := c.plain(t.Context(), ask("gemini-flash", "Nothing to drop"))
	a.complete(t)
	if got := a.header.Values("X-Tollgate-Dropped"); len(got) != 0 {
		t.Errorf("x-tollgate-dropped is %q where nothing was dropped", got)
	}
}

// TestFourthProvider reaches an OpenAI-compatible service that the gateway's
// code has never heard of: a stanza in config.yaml is all it takes. It is sent
// the client's bytes, but for the model's name.
func TestFourthProvider(t *testing.T) {
	t.Parallel()
	service := newFourth(t)
	f := newFleet(t, environment{"FOURTH": service.url + "/api/v2"})
	c := f.call(t, f.issue(t).Secret)
	raw := func(body string) option.RequestOption {
		return option.WithRequestBody("application/json", []byte(body))
	}

	const body = `{ "metadata":{"a":1.50, "b":"\u00e9"},"user" : "somebody", "model":"fourth" ,"messages":[{"role":"user","content":"caf\u00e9 \/ ☕"}],"vendor_extension":[1e2,{"deep":null}]  }`
	a := c.plain(t.Context(), ask("fourth", "replaced"), raw(body))
	a.complete(t)
	service.got(t, strings.Replace(body, `"fourth"`, `"vendor/large"`, 1))
	if a.text() != "It was the fourth." || a.header.Get("X-Tollgate-Dropped") != "" {
		t.Errorf("got %q, dropped %q", a.text(), a.header.Get("X-Tollgate-Dropped"))
	}
	if r := f.record(t, a.id()); r.Provider != "fourth" || r.Source != "upstream" || r.figures() != (figures{prompt: 7, completion: 5}) || r.Charge != 0 {
		t.Errorf("billed %+v", r)
	}

	const streamed = `{"stream":true, "model":"fourth","stream_options":{"include_usage":true,"include_obfuscation":false},"messages":[{"role":"user","content":"hello"}],"store":true}`
	a = c.stream(t.Context(), ask("fourth", "replaced"), raw(streamed))
	a.complete(t)
	service.got(t, strings.Replace(streamed, `"fourth"`, `"vendor/large"`, 1))
	if a.wire.String() != fourthStream || a.text() != "It was the fourth." || a.usages != 1 {
		t.Errorf("got %d usage chunks and\n%s", a.usages, a.wire.String())
	}
	if r := f.record(t, a.id()); r.Source != "upstream" || r.figures() != (figures{prompt: 7, completion: 5}) {
		t.Errorf("billed %+v", r)
	}
}
