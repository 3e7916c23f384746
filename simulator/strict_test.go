package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// checker gives f-tests for one provider: good sends a valid body with the given
// members added and wants 200; bad wants a refusal with this status, code and param.
func checker(t *testing.T, p Provider) (good func(added string), bad func(added string, status int, code, param string)) {
	s := New(Options{Behaviour: Behaviour{Tokens: 2}})
	good = func(added string) {
		t.Helper()
		if w := send(s, p, hi(p, added)); w.Code != http.StatusOK {
			t.Errorf("%s: status %d, want 200: %s", added, w.Code, w.Body)
		}
	}
	bad = func(added string, status int, code, param string) {
		t.Helper()
		refusedWith(t, send(s, p, hi(p, added)).Result(), status, code, param)
	}
	return good, bad
}

// refusedWith checks a refusal, all four fields of it.
func refusedWith(t *testing.T, r *http.Response, status int, code, param string) {
	t.Helper()
	var body map[string]map[string]*string
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		t.Errorf("status %d, body is no error object: %v", r.StatusCode, err)
		return
	}
	fields := body["error"]
	got := func(name string) string {
		value, there := fields[name]
		if !there {
			t.Errorf("the error object has no %q", name)
		}
		if value == nil {
			return ""
		}
		return *value
	}
	if r.StatusCode != status || got("code") != code || got("param") != param || got("type") != "invalid_request_error" || got("message") == "" {
		t.Errorf("got %d %q param %q type %q message %q, want %d %q param %q",
			r.StatusCode, got("code"), got("param"), got("type"), got("message"), status, code, param)
	}
}

// messages is a body with these messages instead of the usual one.
func messages(p Provider, messages string) string {
	return `{"model":"` + p.Models()[0] + `","messages":` + messages + `}`
}

const (
	pixel     = "data:image/png;base64,iVBORw0KGgo="
	aFunction = `{"type":"function","function":{"name":"get_current_weather","parameters":{"type":"object","properties":{"location":{"type":"string"},"unit":{"type":"string","enum":["celsius","fahrenheit"]}},"required":["location"]}}}`
)

func image(address string) string {
	return `[{"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"` + address + `"}}]}]`
}

func TestStarMagicAcceptsWhatItsPageDocuments(t *testing.T) {
	good, bad := checker(t, StarMagic)

	good(`"stream":false,`)
	good(`"stream":true,`)
	good(`"max_completion_tokens":2000,`)
	good(`"max_tokens":2000,`)
	good(`"temperature":0.7,`)
	good(`"temperature":1.5,`)
	good(`"top_p":0.9,`)
	good(`"frequency_penalty":-2,`)
	good(`"presence_penalty":2.0,`)
	good(`"stop":"END",`)
	good(`"stop":["a","b","c","d","e"],`)
	good(`"n":1,`)
	good(`"n":2.0,`)
	good(`"reasoning_effort":"none",`)
	good(`"reasoning_effort":"high",`)
	good(`"seed":-12345,`)
	good(`"logprobs":true,"top_logprobs":5,`)
	good(`"response_format":{"type":"text"},`)
	good(`"response_format":{"type":"json_object"},`)
	good(`"response_format":{"type":"json_schema","json_schema":{"name":"city","strict":true,"schema":{"type":"object"}}},`)
	good(`"stream":true,"stream_options":{"include_usage":true},`)
	good(`"tools":[` + aFunction + `],"tool_choice":"auto",`)
	good(`"tools":[` + aFunction + `],"tool_choice":{"type":"function","function":{"name":"get_current_weather"}},`)
	good(`"tools":[],"tool_choice":"none",`)
	good(`"extra_body":{"google":{"cached_content":"cachedContents/1","thinking_config":{"thinking_budget":0}}},`)

	bad(`"stream":"yes",`, 400, "invalid_type", "stream")
	bad(`"stream":null,`, 400, "invalid_type", "stream")
	bad(`"max_completion_tokens":0,`, 400, "invalid_value", "max_completion_tokens")
	bad(`"max_tokens":1.5,`, 400, "invalid_type", "max_tokens")
	bad(`"max_tokens":"10",`, 400, "invalid_type", "max_tokens")
	bad(`"temperature":-0.1,`, 400, "invalid_value", "temperature")
	bad(`"temperature":1e999,`, 400, "invalid_value", "temperature")
	bad(`"top_p":1.01,`, 400, "invalid_value", "top_p")
	bad(`"frequency_penalty":2.5,`, 400, "invalid_value", "frequency_penalty")
	bad(`"presence_penalty":-2.5,`, 400, "invalid_value", "presence_penalty")
	bad(`"stop":5,`, 400, "invalid_type", "stop")
	bad(`"stop":["a",1],`, 400, "invalid_type", "stop[1]")
	bad(`"n":0,`, 400, "invalid_value", "n")
	bad(`"n":129,`, 400, "invalid_value", "n")
	bad(`"reasoning_effort":"minimal",`, 400, "invalid_value", "reasoning_effort")
	bad(`"seed":"x",`, 400, "invalid_type", "seed")
	bad(`"logprobs":1,`, 400, "invalid_type", "logprobs")
	bad(`"top_logprobs":-1,`, 400, "invalid_value", "top_logprobs")
	bad(`"response_format":"json",`, 400, "invalid_type", "response_format")
	bad(`"response_format":{"type":"xml"},`, 400, "invalid_value", "response_format.type")
	bad(`"response_format":{"type":"json_schema"},`, 400, "missing_required_parameter", "response_format.json_schema")
	bad(`"stream_options":{"include_usage":true},`, 400, "invalid_value", "stream_options")
	bad(`"stream":true,"stream_options":{"include_obfuscation":false},`, 400, "unknown_parameter", "stream_options.include_obfuscation")
	bad(`"tools":{},`, 400, "invalid_type", "tools")
	bad(`"tools":[{"type":"function","function":{}}],`, 400, "missing_required_parameter", "tools[0].function.name")
	bad(`"tools":[{"type":"function","function":{"name":"f","strict":true}}],`, 400, "unknown_parameter", "tools[0].function.strict")
	bad(`"tools":[{"type":"retrieval"}],`, 400, "invalid_value", "tools[0].type")
	bad(`"tool_choice":"required",`, 400, "invalid_value", "tool_choice")
	bad(`"tool_choice":7,`, 400, "invalid_type", "tool_choice")
	bad(`"tools":[`+aFunction+`],"tool_choice":{"type":"function","function":{"name":"other"}},`, 400, "invalid_value", "tool_choice")
	bad(`"extra_body":{"google":{"safety_settings":[]}},`, 400, "unknown_parameter", "extra_body.google.safety_settings")
	bad(`"extra_body":{"openai":{}},`, 400, "unknown_parameter", "extra_body.openai")

	for _, field := range []string{"top_k", "user", "metadata", "store", "parallel_tool_calls", "logit_bias", "modalities", "service_tier"} {
		bad(`"`+field+`":1,`, 400, "unknown_parameter", field)
		bad(`"`+field+`":null,`, 400, "unknown_parameter", field)
	}
}

func TestTheTurboAcceptsWhatItsPageDocuments(t *testing.T) {
	good, bad := checker(t, TheTurbo)

	good(`"stream":true,`)
	good(`"temperature":2,`)
	good(`"top_p":0,`)
	good(`"n":3,`)
	good(`"stop":"\n",`)
	good(`"stop":["a","b","c","d"],`)
	good(`"max_tokens":1024,`)
	good(`"presence_penalty":-2.0,`)
	good(`"frequency_penalty":2.0,`)
	good(`"tools":[` + aFunction + `],"tool_choice":"auto",`)
	good(`"tools":[` + aFunction + `],"tool_choice":"required",`)

	bad(`"temperature":2.1,`, 400, "invalid_value", "temperature")
	bad(`"top_p":-0.1,`, 400, "invalid_value", "top_p")
	bad(`"n":0,`, 400, "invalid_value", "n")
	bad(`"n":1.5,`, 400, "invalid_type", "n")
	bad(`"tools":[{"type":"function","function":{"name":"f","strict":true}}],`, 400, "unknown_parameter", "tools[0].function.strict")
	bad(`"stream":1,`, 400, "invalid_type", "stream")
	bad(`"stop":["a","b","c","d","e"],`, 400, "array_above_max_length", "stop")
	bad(`"stop":null,`, 400, "invalid_type", "stop")
	bad(`"max_tokens":-1,`, 400, "invalid_value", "max_tokens")
	bad(`"presence_penalty":3,`, 400, "invalid_value", "presence_penalty")
	bad(`"frequency_penalty":"0",`, 400, "invalid_type", "frequency_penalty")

	for _, field := range []string{
		"max_completion_tokens", "top_k", "seed", "logprobs", "top_logprobs", "response_format",
		"reasoning_effort", "stream_options", "extra_body", "user",
	} {
		bad(`"`+field+`":1,`, 400, "unknown_parameter", field)
	}
}

func TestEvolinkAcceptsWhatItsPageDocuments(t *testing.T) {
	good, bad := checker(t, Evolink)

	good(`"stream":true,`)
	good(`"max_tokens":1,`)
	good(`"max_tokens":2000,`)
	good(`"temperature":0,`)
	good(`"temperature":2,`)
	good(`"top_p":1,`)
	good(`"top_k":40,`)

	bad(`"stream":"true",`, 400, "invalid_type", "stream")
	bad(`"max_tokens":0,`, 400, "invalid_value", "max_tokens")
	bad(`"temperature":-1,`, 400, "invalid_value", "temperature")
	bad(`"temperature":2.01,`, 400, "invalid_value", "temperature")
	bad(`"top_p":2,`, 400, "invalid_value", "top_p")
	bad(`"top_k":0,`, 400, "invalid_value", "top_k")
	bad(`"top_k":1.5,`, 400, "invalid_type", "top_k")

	for _, field := range []string{
		"n", "stop", "tools", "tool_choice", "max_completion_tokens", "frequency_penalty", "presence_penalty",
		"seed", "logprobs", "top_logprobs", "response_format", "reasoning_effort", "stream_options", "extra_body", "user",
	} {
		bad(`"`+field+`":1,`, 400, "unknown_parameter", field)
	}
}

func TestMessages(t *testing.T) {
	s := New(Options{})
	good := func(p Provider, list string) {
		t.Helper()
		if w := send(s, p, messages(p, list)); w.Code != http.StatusOK {
			t.Errorf("%s %s: status %d: %s", p, list, w.Code, w.Body)
		}
	}
	bad := func(p Provider, list, code, param string) {
		t.Helper()
		refusedWith(t, send(s, p, messages(p, list)).Result(), 400, code, param)
	}

	for _, p := range Providers() {
		good(p, `[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},{"role":"user","content":"Go on"}]`)
		good(p, image(pixel))
		bad(p, `[]`, "empty_array", "messages")
		bad(p, `"Hi"`, "invalid_type", "messages")
		bad(p, `["Hi"]`, "invalid_type", "messages[0]")
		bad(p, `[{"content":"Hi"}]`, "missing_required_parameter", "messages[0].role")
		bad(p, `[{"role":"user"}]`, "missing_required_parameter", "messages[0].content")
		bad(p, `[{"role":"developer","content":"Hi"}]`, "invalid_value", "messages[0].role")
		bad(p, `[{"role":"user","content":"Hi","name":"Ann"}]`, "unknown_parameter", "messages[0].name")
		bad(p, `[{"role":"user","content":[]}]`, "empty_array", "messages[0].content")
		bad(p, `[{"role":"user","content":[{"text":"Hi"}]}]`, "missing_required_parameter", "messages[0].content[0].type")
		bad(p, `[{"role":"user","content":[{"type":"text"}]}]`, "missing_required_parameter", "messages[0].content[0].text")
		bad(p, `[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]`, "invalid_value", "messages[0].content[0].type")
		bad(p, `[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]`, "missing_required_parameter", "messages[0].content[0].image_url.url")
		bad(p, `[{"role":"user","content":[{"type":"image_url","image_url":{"url":"`+pixel+`","detail":"low"}}]}]`, "unknown_parameter", "messages[0].content[0].image_url.detail")
		good(p, image("DATA:Image/PNG;charset=x;BASE64,iVBORw0KGgo="))
		bad(p, image("data:;base64,iVBORw0KGgo="), "invalid_value", "messages[0].content[1].image_url.url")
		bad(p, image("data:image/png;base64"), "invalid_value", "messages[0].content[1].image_url.url")
		bad(p, image("ftp://example.com/cat.png"), "invalid_value", "messages[0].content[1].image_url.url")
		bad(p, image("data:image/png;base64,***"), "invalid_value", "messages[0].content[1].image_url.url")
		bad(p, image("data:image/png,raw"), "invalid_value", "messages[0].content[1].image_url.url")
		bad(p, image("data:text/plain;base64,SGk="), "invalid_value", "messages[0].content[1].image_url.url")
	}

	// The page's own example of a message.
	good(StarMagic, `[{"role":"user","content":null,"tool_call_id":"string"}]`)
	good(StarMagic, `[{"role":"user","content":"Weather?"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"call_1","content":"sunny"}]`)
	bad(StarMagic, `[{"role":"tool","content":"sunny"}]`, "missing_required_parameter", "messages[0].tool_call_id")
	bad(StarMagic, `[{"role":"user","content":"x","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}]`, "invalid_value", "messages[0].tool_calls")
	good(StarMagic, image("https://example.com/cat.png"))
	good(Evolink, image("HTTP://example.com/cat.png"))

	for _, p := range []Provider{TheTurbo, Evolink} {
		bad(p, `[{"role":"tool","content":"sunny"}]`, "invalid_value", "messages[0].role")
		bad(p, `[{"role":"user","content":null}]`, "invalid_type", "messages[0].content")
		bad(p, `[{"role":"user","content":"x","tool_call_id":"1"}]`, "unknown_parameter", "messages[0].tool_call_id")
	}
	bad(TheTurbo, image("https://example.com/cat.png"), "invalid_value", "messages[0].content[1].image_url.url")
	bad(TheTurbo, image("data:image/gif;base64,R0lG"), "invalid_value", "messages[0].content[1].image_url.url")
	bad(StarMagic, image("data:audio/wav;base64,SGk="), "invalid_value", "messages[0].content[1].image_url.url")
}

func TestTheTurboTakesEveryMediaTypeOfItsList(t *testing.T) {
	s := New(Options{})
	for _, mime := range strings.Fields(`image/png image/jpeg image/webp image/heic image/heif
		audio/wav audio/mp3 audio/aiff audio/aac audio/ogg audio/flac
		video/mp4 video/mpeg video/mov video/avi video/x-flv video/mpg video/webm video/wmv video/3gpp`) {
		w := send(s, TheTurbo, messages(TheTurbo, image("data:"+mime+";base64,SGVsbG8=")))
		if want := "(" + mime + ", 5 bytes)"; w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, want an answer that names %s: %s", mime, w.Code, want, w.Body)
		}
	}
}

func TestModels(t *testing.T) {
	s := New(Options{})
	documented := map[Provider]int{StarMagic: 1, TheTurbo: 16, Evolink: 1}
	for _, p := range Providers() {
		if got := len(p.Models()); got != documented[p] {
			t.Errorf("%s documents %d models, want %d", p, got, documented[p])
		}
		for _, name := range p.Models() {
			w := send(s, p, `{"model":"`+name+`","messages":[{"role":"user","content":"Hi"}]}`)
			if w.Code != 200 || !strings.Contains(w.Body.String(), `"model":"`+name+`"`) {
				t.Errorf("%s %s: status %d: %s", p, name, w.Code, w.Body)
			}
		}
		refusedWith(t, send(s, p, `{"model":"gpt-5","messages":[{"role":"user","content":"Hi"}]}`).Result(), 404, "model_not_found", "model")
		refusedWith(t, send(s, p, `{"model":5,"messages":[{"role":"user","content":"Hi"}]}`).Result(), 400, "invalid_type", "model")
		refusedWith(t, send(s, p, `{"messages":[{"role":"user","content":"Hi"}]}`).Result(), 400, "missing_required_parameter", "model")
		refusedWith(t, send(s, p, `{"model":"`+p.Models()[0]+`"}`).Result(), 400, "missing_required_parameter", "messages")
	}
	if got := Provider("other").Models(); got != nil {
		t.Errorf("an unknown provider has models: %v", got)
	}
}
