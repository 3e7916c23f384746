package simulator

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func goldenSimulator() *Simulator {
	return New(Options{Seed: 7, Now: fixed, Behaviour: Behaviour{Tokens: 3, ReasoningTokens: 5, CachedTokens: 2}})
}

func TestPlainAnswers(t *testing.T) {
	f := func(p Provider, added, want string) {
		t.Helper()
		w := send(goldenSimulator(), p, hi(p, added))
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, Content-Type %q", p, w.Code, w.Header().Get("Content-Type"))
		}
		if diff := cmp.Diff(strings.ReplaceAll(want, "\n", ""), w.Body.String()); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", p, added, diff)
		}
	}
	f(StarMagic, ``, `{"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-2.5-flash-lite","object":"chat.completion","created":1760032810,
"choices":[{"index":0,"message":{"role":"assistant","content":"Ocean rain water.","tool_calls":null},
"logprobs":{"content":[{"token":null,"logprob":null,"bytes":null,"top_logprobs":null}]},"finish_reason":"stop"}],
"usage":{"prompt_tokens":3,"completion_tokens":8,"total_tokens":11,
"prompt_tokens_details":{"cached_tokens":2,"text_tokens":3,"audio_tokens":0,"image_tokens":0},
"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":5},
"input_tokens":0,"output_tokens":0,"input_tokens_details":null}}`)
	f(StarMagic, `"tools":[`+aFunction+`],"reasoning_effort":"none",`, `{"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-2.5-flash-lite","object":"chat.completion","created":1760032810,
"choices":[{"index":0,"message":{"role":"assistant","content":null,
"tool_calls":[{"id":"call_683a86f424a2c3609a808118","type":"function","function":{"name":"get_current_weather","arguments":"{\"location\":\"example\"}"}}]},
"logprobs":{"content":[{"token":null,"logprob":null,"bytes":null,"top_logprobs":null}]},"finish_reason":"tool_calls"}],
"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,
"prompt_tokens_details":{"cached_tokens":2,"text_tokens":3,"audio_tokens":0,"image_tokens":0},
"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":0},
"input_tokens":0,"output_tokens":0,"input_tokens_details":null}}`)
	f(StarMagic, `"logprobs":true,"top_logprobs":1,"max_tokens":6,`, `{"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-2.5-flash-lite","object":"chat.completion","created":1760032810,
"choices":[{"index":0,"message":{"role":"assistant","content":"Ocean","tool_calls":null},
"logprobs":{"content":[{"token":"Ocean","logprob":-0.25,"bytes":[79,99,101,97,110],
"top_logprobs":[{"token":"Ocean","logprob":-0.25,"bytes":[79,99,101,97,110],"top_logprobs":null}]}]},"finish_reason":"length"}],
"usage":{"prompt_tokens":3,"completion_tokens":6,"total_tokens":9,
"prompt_tokens_details":{"cached_tokens":2,"text_tokens":3,"audio_tokens":0,"image_tokens":0},
"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":5},
"input_tokens":0,"output_tokens":0,"input_tokens_details":null}}`)
	f(TheTurbo, ``, `{"id":"chatcmpl-1234567890","object":"chat.completion","created":1760032810,"model":"gemini-1.5-pro",
"choices":[{"message":{"role":"assistant","content":"Paper story evening."},"finish_reason":"stop"}],
"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6}}`)
	f(TheTurbo, `"n":2,"tools":[`+aFunction+`],"tool_choice":"none",`, `{"id":"chatcmpl-1234567890","object":"chat.completion","created":1760032810,"model":"gemini-1.5-pro",
"choices":[{"message":{"role":"assistant","content":"Paper story evening."},"finish_reason":"stop"},
{"message":{"role":"assistant","content":"Winter distant other."},"finish_reason":"stop"}],
"usage":{"prompt_tokens":3,"completion_tokens":6,"total_tokens":9}}`)
	f(TheTurbo, `"tools":[`+aFunction+`],"max_tokens":2,`, `{"id":"chatcmpl-1234567890","object":"chat.completion","created":1760032810,"model":"gemini-1.5-pro",
"choices":[{"message":{"role":"assistant","content":null,
"tool_calls":[{"id":"call_114bb16f986e0e8e4d05d57f","type":"function","function":{"name":"get_current_weather","arguments":"{\"locati"}}]},"finish_reason":"length"}],
"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`)
	f(Evolink, ``, `{"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-3-pro-preview","object":"chat.completion","created":1760032810,
"choices":[{"index":0,"message":{"role":"assistant","content":"Reaches follows answer."},"finish_reason":"stop"}],
"usage":{"prompt_tokens":3,"completion_tokens":8,"total_tokens":11,
"prompt_tokens_details":{"cached_tokens":2,"text_tokens":3,"audio_tokens":0,"image_tokens":0},
"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":5},
"input_tokens":0,"output_tokens":0,"input_tokens_details":null}}`)
}

func TestCharactersAreNotEscapedForHTML(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "<a> & \"b\"\n"}})
	for _, added := range []string{``, `"stream":true,`} {
		if w := send(s, TheTurbo, hi(TheTurbo, added)); !strings.Contains(w.Body.String(), `"content":"<a>`) {
			t.Errorf("got %s", w.Body)
		}
	}
}

func TestStreams(t *testing.T) {
	f := func(p Provider, added string, want ...string) {
		t.Helper()
		w := send(goldenSimulator(), p, hi(p, added+`"stream":true,`))
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: status %d, Content-Type %q", p, w.Code, w.Header().Get("Content-Type"))
		}
		if diff := cmp.Diff(strings.Join(want, ""), w.Body.String()); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", p, added, diff)
		}
	}
	envelope := func(head, tail string) func(string) string {
		return func(inner string) string { return "data: {" + head + inner + tail + "}\n\n" }
	}
	const done = "data: [DONE]\n\n"

	star := envelope(`"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-2.5-flash-lite","object":"chat.completion.chunk","created":1760032810,"choices":`, "")
	f(StarMagic, ``,
		star(`[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{"content":"Ocean"},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{"content":" rain"},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{"content":" water."},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{},"finish_reason":"stop"}]`),
		done)
	f(StarMagic, `"stream_options":{"include_usage":true},"n":2,"max_tokens":6,`,
		star(`[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`),
		star(`[{"index":1,"delta":{"role":"assistant","content":""},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{"content":"Ocean"},"finish_reason":null}]`),
		star(`[{"index":1,"delta":{"content":"Measure"},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{},"finish_reason":"length"}]`),
		star(`[{"index":1,"delta":{},"finish_reason":"length"}]`),
		star(`[],"usage":{"prompt_tokens":3,"completion_tokens":12,"total_tokens":15,`+
			`"prompt_tokens_details":{"cached_tokens":2,"text_tokens":3,"audio_tokens":0,"image_tokens":0},`+
			`"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":10},`+
			`"input_tokens":0,"output_tokens":0,"input_tokens_details":null}`),
		done)
	f(StarMagic, `"stream_options":{"include_usage":false},"tools":[`+aFunction+`],`,
		star(`[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_683a86f424a2c3609a808118","type":"function","function":{"name":"get_current_weather","arguments":""}}]},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"locati"}}]},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"on\":\"exa"}}]},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"mple\"}"}}]},"finish_reason":null}]`),
		star(`[{"index":0,"delta":{},"finish_reason":"tool_calls"}]`),
		done)

	turbo := envelope(`"id":"chatcmpl-1234567890","object":"chat.completion.chunk","created":1760032810,"model":"gemini-1.5-pro","choices":`, "")
	f(TheTurbo, ``,
		turbo(`[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`),
		turbo(`[{"index":0,"delta":{"content":"Paper"},"finish_reason":null}]`),
		turbo(`[{"index":0,"delta":{"content":" story"},"finish_reason":null}]`),
		turbo(`[{"index":0,"delta":{"content":" evening."},"finish_reason":null}]`),
		turbo(`[{"index":0,"delta":{},"finish_reason":"stop"}]`),
		done)

	evo := envelope(`"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-3-pro-preview","object":"chat.completion.chunk","created":1760032810,"choices":`, "")
	f(Evolink, `"max_tokens":7,`,
		evo(`[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`),
		evo(`[{"index":0,"delta":{"content":"Reaches"},"finish_reason":null}]`),
		evo(`[{"index":0,"delta":{"content":" follows"},"finish_reason":null}]`),
		evo(`[{"index":0,"delta":{},"finish_reason":"length"}]`),
		done)
}
