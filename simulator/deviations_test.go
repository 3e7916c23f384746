package simulator

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// deviating gives f-tests for one provider that deviates, as checker does for one that does not.
func deviating(t *testing.T, p Provider, d Deviations) (good func(added string), bad func(added, code, param string)) {
	s := New(Options{Behaviour: Behaviour{Tokens: 2, Deviations: d}})
	good = func(added string) {
		t.Helper()
		if w := send(s, p, hi(p, added)); w.Code != http.StatusOK {
			t.Errorf("%s: status %d, want 200: %s", added, w.Code, w.Body)
		}
	}
	bad = func(added, code, param string) {
		t.Helper()
		refusedWith(t, send(s, p, hi(p, added)).Result(), 400, code, param)
	}
	return good, bad
}

func TestRefusedFields(t *testing.T) {
	good, bad := deviating(t, StarMagic, Deviations{Refuses: []string{"seed", "stream_options", "tools", "model", "messages", "top_k"}})
	good(`"temperature":0.5,"stream":true,`)
	good(`"tool_choice":"auto",`)
	bad(`"seed":1,`, "unknown_parameter", "seed")
	bad(`"stream":true,"stream_options":{"include_usage":true},`, "unknown_parameter", "stream_options")
	bad(`"tools":[`+aFunction+`],`, "unknown_parameter", "tools")
	bad(`"top_k":1,`, "unknown_parameter", "top_k")
	bad(`"tool_choice":"required",`, "invalid_value", "tool_choice")
}

func TestTakenFields(t *testing.T) {
	good, bad := deviating(t, StarMagic, Deviations{Takes: []string{"top_k", "user", "seed"}})
	good(`"top_k":40,"user":"Ann",`)
	good(`"user":null,"seed":5,`)
	bad(`"top_k":0,`, "invalid_value", "top_k")
	bad(`"seed":"x",`, "invalid_type", "seed")
	bad(`"metadata":{},`, "unknown_parameter", "metadata")

	good, bad = deviating(t, Evolink, Deviations{Takes: []string{"stream_options", "tools", "tool_choice", "stop"}})
	good(`"stream":true,"stream_options":{"include_usage":true},`)
	good(`"tools":[` + aFunction + `],"tool_choice":"required",`)
	bad(`"stream_options":{"include_usage":true},`, "invalid_value", "stream_options")
	bad(`"tool_choice":"required",`, "invalid_value", "tool_choice")
	bad(`"n":2,`, "unknown_parameter", "n")
}

func TestOtherRanges(t *testing.T) {
	good, bad := deviating(t, TheTurbo, Deviations{
		Ranges:       map[string][2]float64{"temperature": {0, 1}, "n": {1, 1}, "max_tokens": {1, 8192}, "stop": {5, 6}, "top_k": {2, 3}},
		Takes:        []string{"top_k"},
		NoStopArrays: true,
	})
	good(`"temperature":1,"n":1,"max_tokens":8192,"stop":"a","top_k":3,`)
	bad(`"temperature":1.1,`, "invalid_value", "temperature")
	bad(`"n":2,`, "invalid_value", "n")
	bad(`"max_tokens":8193,`, "invalid_value", "max_tokens")
	bad(`"max_tokens":1.5,`, "invalid_type", "max_tokens")
	bad(`"stop":["a"],`, "invalid_type", "stop")
	bad(`"top_k":1,`, "invalid_value", "top_k")

	good, bad = deviating(t, StarMagic, Deviations{Ranges: map[string][2]float64{"n": {-1, 1e6}, "top_logprobs": {0, 1e9}}})
	good(`"n":-1,"logprobs":true,"top_logprobs":1000000000,`)
	bad(`"n":1000001,`, "invalid_value", "n")
}

func TestRolesAndMediaThatDeviate(t *testing.T) {
	f := func(p Provider, d Deviations, list, wantCode, wantParam string) {
		t.Helper()
		w := send(New(Options{Behaviour: Behaviour{Deviations: d}}), p, messages(p, list))
		if wantCode != "" {
			refusedWith(t, w.Result(), 400, wantCode, wantParam)
		} else if w.Code != http.StatusOK {
			t.Errorf("%s %s: status %d: %s", p, list, w.Code, w.Body)
		}
	}
	const (
		developer = `[{"role":"developer","content":"Be brief."},{"role":"user","content":"Hi"}]`
		system    = `[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]`
		result    = `[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"sunny"}]`
		url       = "messages[0].content[1].image_url.url"
		onTheWeb  = "https://example.com/cat.png"
	)
	for _, p := range Providers() {
		f(p, Deviations{TakesRoles: []string{"developer"}}, developer, "", "")
		f(p, Deviations{TakesRoles: []string{"developer"}}, system, "", "")
		f(p, Deviations{RefusesRoles: []string{"system"}}, system, "invalid_value", "messages[0].role")
		f(p, Deviations{TakesRoles: []string{"tool"}}, result, "", "")

		f(p, Deviations{Media: MediaNone}, image(pixel), "invalid_value", "messages[0].content[1].type")
		f(p, Deviations{Media: MediaNone}, `[{"role":"user","content":[{"type":"text","text":"Hi"}]}]`, "", "")
		f(p, Deviations{Media: MediaData}, image(pixel), "", "")
		f(p, Deviations{Media: MediaData}, image(onTheWeb), "invalid_value", url)
		f(p, Deviations{Media: MediaWeb}, image(onTheWeb), "", "")
		f(p, Deviations{Media: MediaWeb}, image(pixel), "", "")
		f(p, Deviations{MediaTypes: []string{"image/gif"}}, image("data:image/gif;base64,R0lG"), "", "")
		f(p, Deviations{MediaTypes: []string{"image/gif"}}, image(pixel), "invalid_value", url)
		f(p, Deviations{MediaTypes: []string{"audio/wav"}}, image("data:audio/wav;base64,SGk="), "", "")
	}
	f(StarMagic, Deviations{RefusesRoles: []string{"tool"}}, result, "invalid_value", "messages[1].role")
}

// TestEffectsOfDeviations has what comes out: whole plain answers, to the letter.
func TestEffectsOfDeviations(t *testing.T) {
	f := func(p Provider, d Deviations, added, want string) {
		t.Helper()
		s := New(Options{Seed: 7, Now: fixed, Behaviour: Behaviour{Tokens: 3, ReasoningTokens: 5, CachedTokens: 2, Deviations: d}})
		w := send(s, p, hi(p, added))
		if diff := cmp.Diff(strings.ReplaceAll(want, "\n", ""), w.Body.String()); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", p, added, diff)
		}
	}
	turbo := func(model, choices, usage string) string {
		return `{"id":"chatcmpl-1234567890","object":"chat.completion","created":1760032810,"model":"` + model + `","choices":[` + choices + `]` + usage + `}`
	}
	const (
		said  = `{"message":{"role":"assistant","content":"Paper story evening."},"finish_reason":"stop"}`
		usage = `,"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6}`
	)
	ignores := func(names ...string) Deviations { return Deviations{Ignores: names} }
	f(TheTurbo, ignores("n"), `"n":2,`, turbo("gemini-1.5-pro", said, usage))
	f(TheTurbo, ignores("stop"), `"stop":["story"],`, turbo("gemini-1.5-pro", said, usage))
	f(TheTurbo, ignores("max_tokens", "model", "messages"), `"max_tokens":1,`, turbo("gemini-1.5-pro", said, usage))
	f(TheTurbo, ignores("tools"), `"tools":[`+aFunction+`],"tool_choice":"required",`, turbo("gemini-1.5-pro", said, usage))
	f(TheTurbo, ignores("stream"), `"stream":true,`, turbo("gemini-1.5-pro", said, usage))
	f(TheTurbo, Deviations{Model: "gemini-1.5-pro-002"}, ``, turbo("gemini-1.5-pro-002", said, usage))
	f(TheTurbo, Deviations{Takes: []string{"seed"}, Ignores: []string{"seed"}}, `"seed":9,`, turbo("gemini-1.5-pro", said, usage))
	f(TheTurbo, Deviations{Takes: []string{"max_completion_tokens"}}, `"max_completion_tokens":1,`,
		turbo("gemini-1.5-pro", `{"message":{"role":"assistant","content":"Paper"},"finish_reason":"length"}`,
			`,"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}`))
	f(TheTurbo, Deviations{Takes: []string{"response_format"}}, `"response_format":{"type":"json_object"},"max_tokens":2,`,
		turbo("gemini-1.5-pro", `{"message":{"role":"assistant","content":"{\"answer\":\"Paper"},"finish_reason":"length"}`,
			`,"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}`))
	f(TheTurbo, Deviations{Takes: []string{"logprobs"}}, `"logprobs":true,"max_tokens":1,`,
		turbo("gemini-1.5-pro", `{"message":{"role":"assistant","content":"Paper"},"logprobs":{"content":[{"token":"Paper","logprob":-0.25,"bytes":[80,97,112,101,114],"top_logprobs":null}]},"finish_reason":"length"}`,
			`,"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}`))

	f(TheTurbo, Deviations{Figures: FiguresAbsent}, ``, turbo("gemini-1.5-pro", said, ``))
	f(TheTurbo, Deviations{Figures: FiguresTotalOff}, ``, turbo("gemini-1.5-pro", said, `,"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":7}`))
	f(TheTurbo, Deviations{Figures: FiguresTwins}, ``, turbo("gemini-1.5-pro", said,
		`,"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":6,"input_tokens":3,"output_tokens":3}`))

	evolink := func(message, finish, tokens, twins, reasoning string) string {
		return `{"id":"chatcmpl-20251010015944503180122WJNB8Eid","model":"gemini-3-pro-preview","object":"chat.completion","created":1760032810,` +
			`"choices":[{"index":0,"message":{"role":"assistant",` + message + `},"finish_reason":"` + finish + `"}],"usage":{` + tokens +
			`,"prompt_tokens_details":{"cached_tokens":2,"text_tokens":3,"audio_tokens":0,"image_tokens":0},` +
			`"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":` + reasoning + `},` + twins + `,"input_tokens_details":null}}`
	}
	const reaches = `"content":"Reaches follows answer."`
	f(Evolink, Deviations{Figures: FiguresTwins}, ``, evolink(reaches, "stop",
		`"prompt_tokens":0,"completion_tokens":0,"total_tokens":11`, `"input_tokens":3,"output_tokens":8`, "5"))
	f(Evolink, Deviations{Figures: FiguresReasoningApart}, ``, evolink(reaches, "stop",
		`"prompt_tokens":3,"completion_tokens":3,"total_tokens":11`, `"input_tokens":0,"output_tokens":0`, "5"))
	f(Evolink, Deviations{Takes: []string{"tools", "reasoning_effort"}}, `"reasoning_effort":"none","tools":[`+aFunction+`],`, evolink(
		`"content":null,"tool_calls":[{"id":"call_9f8128ddda3aba6de78713dd","type":"function","function":{"name":"get_current_weather","arguments":"{\"location\":\"example\"}"}}]`,
		"tool_calls", `"prompt_tokens":3,"completion_tokens":4,"total_tokens":7`, `"input_tokens":0,"output_tokens":0`, "0"))
}

func TestStreamsThatDeviate(t *testing.T) {
	f := func(d Deviations, added string, wantUsageSent bool, want ...string) {
		t.Helper()
		d.Takes = []string{"stream_options"}
		s := New(Options{Seed: 7, Now: fixed, Behaviour: Behaviour{Tokens: 2, Deviations: d}})
		w := send(s, TheTurbo, hi(TheTurbo, added+`"stream":true,`))
		got := strings.ReplaceAll(w.Body.String(), `"id":"chatcmpl-1234567890","object":"chat.completion.chunk","created":1760032810,"model":"gemini-1.5-pro",`, "")
		if diff := cmp.Diff("data: "+strings.Join(want, "\n\ndata: ")+"\n\n", got); diff != "" {
			t.Errorf("%+v %s (-want +got):\n%s", d, added, diff)
		}
		e := s.Truth()[0]
		if !e.Done || !e.CleanEnd || e.UsageSent != wantUsageSent || !e.Stream || e.IncludeUsage != (added != "") {
			t.Errorf("%+v %s: the truth is %+v", d, added, e)
		}
	}
	const (
		asks   = `"stream_options":{"include_usage":true},`
		role   = `{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`
		first  = `{"choices":[{"index":0,"delta":{"content":"Paper"},"finish_reason":null}]`
		second = `{"choices":[{"index":0,"delta":{"content":" story."},"finish_reason":null}]`
		finish = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`
		none   = `{"choices":[]`
		done   = `[DONE]`

		none0  = `,"usage":{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3}}`
		usage1 = `,"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`
		usage2 = `,"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	)
	f(Deviations{}, ``, false, role+"}", first+"}", second+"}", finish+"}", done)
	f(Deviations{}, asks, true, role+"}", first+"}", second+"}", finish+"}", none+usage2, done)
	f(Deviations{StreamUsage: UsageNever}, asks, false, role+"}", first+"}", second+"}", finish+"}", done)
	f(Deviations{StreamUsage: UsageAlways}, ``, true, role+"}", first+"}", second+"}", finish+"}", none+usage2, done)
	f(Deviations{StreamUsage: UsageEveryChunk}, ``, true, role+none0, first+usage1, second+usage2, finish+usage2, done)
	f(Deviations{StreamUsage: UsageEveryChunk}, asks, true, role+none0, first+usage1, second+usage2, finish+usage2, none+usage2, done)
	f(Deviations{StreamUsage: UsageEveryChunk, Figures: FiguresAbsent}, asks, false, role+"}", first+"}", second+"}", finish+"}", done)
	f(Deviations{Ignores: []string{"stream_options"}}, asks, false, role+"}", first+"}", second+"}", finish+"}", done)
	f(Deviations{NoDone: true}, ``, false, role+"}", first+"}", second+"}", finish+"}")
	f(Deviations{NoDone: true, StreamUsage: UsageAlways, Figures: FiguresTotalOff}, ``, true,
		role+"}", first+"}", second+"}", finish+"}", none+`,"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":6}}`)
}

// TestShapesOfErrors: the status stays, whatever is written.
func TestShapesOfErrors(t *testing.T) {
	f := func(shape ErrorShape, wantType, want string) {
		t.Helper()
		s := New(Options{Behaviour: Behaviour{Deviations: Deviations{Errors: shape}}})
		w := send(s, Evolink, hi(Evolink, `"n":2,`))
		if got := w.Header().Get("Content-Type"); w.Code != 400 || got != wantType || w.Body.String() != want {
			t.Errorf("%s: %d %s %q, want 400 %s %q", shape, w.Code, got, w.Body, wantType, want)
		}
		if e := s.Truth()[0]; e.Status != 400 || e.ErrorCode != "unknown_parameter" || e.BytesWritten != int64(len(want)) {
			t.Errorf("%s: the truth is %+v", shape, e)
		}
	}
	const openAI = `{"error":{"message":"Unknown parameter: 'n'.","type":"invalid_request_error","param":"n","code":"unknown_parameter"}}`
	f("", "application/json", openAI)
	f(ErrorOpenAI, "application/json", openAI)
	f(ErrorMessage, "application/json", `{"message":"Unknown parameter: 'n'."}`)
	f(ErrorText, "text/plain; charset=utf-8", "Unknown parameter: 'n'.\n")
	f(ErrorHTML, "text/html; charset=utf-8", "<html><head><title>400 Bad Request</title></head><body><h1>400 Bad Request</h1></body></html>\n")

	s := New(Options{Behaviour: Behaviour{Keys: []string{"sk-other"}, Deviations: Deviations{Errors: ErrorText}}})
	if w := send(s, Evolink, hi(Evolink, ``)); w.Code != 401 || w.Body.String() != "Incorrect API key provided.\n" {
		t.Errorf("a wrong key is answered %d %q", w.Code, w.Body)
	}
}

// TestDeviationsChangeAtRunTime: one provider deviates, for a while, and a caller's later changes mean nothing.
func TestDeviationsChangeAtRunTime(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Tokens: 2}})
	f := func(p Provider, body string, wantStatus int, want string) {
		t.Helper()
		if w := send(s, p, body); w.Code != wantStatus || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s %s: status %d: %s, want %d and %s", p, body, w.Code, w.Body, wantStatus, want)
		}
	}
	d := Deviations{
		Refuses: []string{"top_p"}, Takes: []string{"user"}, Ignores: []string{"max_tokens"}, MediaTypes: []string{"image/gif"},
		Ranges: map[string][2]float64{"temperature": {0, 1}}, TakesRoles: []string{"developer"}, RefusesRoles: []string{"system"},
	}
	s.Behave(Behaviour{Tokens: 2, Deviations: d}, TheTurbo)
	for _, names := range [][]string{d.Refuses, d.Takes, d.Ignores, d.MediaTypes, d.TakesRoles, d.RefusesRoles} {
		names[0] = "changed"
	}
	d.Ranges["temperature"] = [2]float64{0, 2}

	gif, limited := image("data:image/gif;base64,R0lG"), `"temperature":1.5,"max_tokens":1,`
	f(TheTurbo, hi(TheTurbo, `"user":"Ann","max_tokens":1,`), 200, `"completion_tokens":2`)
	f(TheTurbo, hi(TheTurbo, `"temperature":1.5,`), 400, `"param":"temperature"`)
	f(TheTurbo, hi(TheTurbo, `"top_p":1,`), 400, `"param":"top_p"`)
	f(TheTurbo, messages(TheTurbo, gif), 200, "")
	f(TheTurbo, messages(TheTurbo, `[{"role":"developer","content":"Hi"}]`), 200, "")
	f(TheTurbo, messages(TheTurbo, `[{"role":"system","content":"Hi"}]`), 400, `"param":"messages[0].role"`)
	f(Evolink, hi(Evolink, limited), 200, `"completion_tokens":1,`)

	s.Behave(Behaviour{Tokens: 2})
	f(TheTurbo, hi(TheTurbo, limited), 200, `"completion_tokens":1`)
	f(TheTurbo, messages(TheTurbo, gif), 400, `"param":"messages[0].content[1].image_url.url"`)
}

func TestPlaceholders(t *testing.T) {
	body := func(d Deviations, p Provider) string {
		w := send(New(Options{Behaviour: Behaviour{Deviations: d}}), p, hi(p, ""))
		return w.Body.String()
	}
	for _, p := range Providers() {
		want := p == StarMagic
		if got := strings.Contains(body(Deviations{Placeholders: true}, p), `"tool_calls":[null]`); got != want {
			t.Errorf("%s has placeholders: %t", p, got)
		}
		if got := strings.Contains(body(Deviations{}, p), `"tool_calls":null`); got != want {
			t.Errorf("%s has tool_calls: null: %t", p, got)
		}
	}
}
