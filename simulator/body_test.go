package simulator

import (
	"errors"
	"strings"
	"testing"
)

func TestBodies(t *testing.T) {
	s := New(Options{MaxBody: 1000})
	f := func(body string, status int, code, param string) {
		t.Helper()
		for _, p := range Providers() {
			refusedWith(t, send(s, p, body).Result(), status, code, param)
		}
	}
	f(``, 400, "invalid_json", "")
	f(`{"model":`, 400, "invalid_json", "")
	f(`{"model":"x",}`, 400, "invalid_json", "")
	f(`{} {}`, 400, "invalid_json", "")
	f(`[]`, 400, "invalid_type", "")
	f(`null`, 400, "invalid_type", "")
	f(`{"model":"x","model":"y"}`, 400, "duplicate_parameter", "model")
	f(`{"messages":[{"role":"user","role":"user"}]}`, 400, "duplicate_parameter", "messages[0].role")
	f(strings.Repeat("[", 100)+strings.Repeat("]", 100), 400, "invalid_json", "")
	f(`{"model":"`+strings.Repeat("x", 1000)+`"}`, 413, "body_too_large", "")
}

// TestAccepts has the rules without a server: the same refusal, field by field.
func TestAccepts(t *testing.T) {
	f := func(p Provider, body, want string) {
		t.Helper()
		got := "accepted"
		if err := p.Accepts([]byte(body)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", p, body, got, want)
		}
	}
	f(StarMagic, hi(StarMagic, `"n":2,`), "accepted")
	f(TheTurbo, hi(TheTurbo, `"n":2,`), "accepted")
	f(Evolink, hi(Evolink, `"n":2,`), "400 unknown_parameter: Unknown parameter: 'n'.")
	f(StarMagic, hi(StarMagic, `"stream_options":{},`), "400 invalid_value: Invalid value for 'stream_options': it can be set when stream is true only.")
	f(TheTurbo, hi(TheTurbo, `"tool_choice":"required",`), "400 invalid_value: Invalid value for 'tool_choice': 'required' needs at least one tool.")
	f(TheTurbo, hi(StarMagic, ``), "404 model_not_found: The model 'gemini-2.5-flash-lite' does not exist or you do not have access to it.")
	f(Evolink, `{`, "400 invalid_json: The body of the request is not valid JSON.")
	f("openai", `{}`, "404 unknown_url: There is no provider 'openai'.")

	var refused *Refusal
	want := Refusal{Status: 400, Message: "Unknown parameter: 'n'.", Type: "invalid_request_error", Param: "n", Code: "unknown_parameter"}
	if err := Evolink.Accepts([]byte(hi(Evolink, `"n":2,`))); !errors.As(err, &refused) || *refused != want {
		t.Errorf("got %+v, want %+v", err, want)
	}
}
