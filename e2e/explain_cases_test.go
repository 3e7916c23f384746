package e2e

import "strings"

// foretold is a request and what is to become of it.
type foretold struct {
	name, key string
	model     string
	members   string // beside the model and the messages, each behind a comma
	messages  string // instead of one question; PROMPT stands for the prompt
	whole     string // the body, instead of all that
	// want is the outcome in one line, see explained.outcome.
	want string
	most int64 // how many tokens the request allows; 0: any number
	// silent are members that ask for nothing, and are left out without a word.
	silent []string
}

// prompt is what the provider is to be asked, unlike that of any other case.
func (f foretold) prompt() string { return "Please answer case [" + f.name + "]" }

// bytes is the body of the request.
func (f foretold) bytes() string {
	if f.whole != "" {
		return f.whole
	}
	messages := f.messages
	if messages == "" {
		messages = `{"role":"user","content":"PROMPT"}`
	}
	return `{"model":"` + f.model + `"` + f.members + `,"messages":[` + strings.ReplaceAll(messages, "PROMPT", f.prompt()) + `]}`
}

const (
	weatherTool = `,"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"place":{"type":"string"}}}}}]`
	// pixel is the beginning of a PNG, which no simulated provider looks into.
	pixel = "iVBORw0KGgo="
)

// mediumOf is a message with a medium at this address.
func mediumOf(url string) string {
	return `{"role":"user","content":[{"type":"text","text":"PROMPT"},{"type":"image_url","image_url":{"url":"` + url + `"}}]}`
}

// everyone is all three, without any changes.
const everyone = "evolink, starmagic, theturbo"

// sentCases are requests that somebody answers.
func sentCases() []foretold {
	const (
		alias, star, turbo, evo = "anyone", "gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-3-pro-preview"
		toolTurn                = `{"role":"user","content":"PROMPT"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"rain"}`
	)
	return []foretold{
		{name: "plain", model: alias, want: everyone},
		{name: "an image and a limit", model: turbo, members: `,"max_tokens":5`, messages: mediumOf("data:image/png;base64," + pixel), want: "theturbo"},
		{name: "stream", model: alias, members: `,"stream":true`, want: everyone},
		{name: "stream with usage", model: alias, members: `,"stream":true,"stream_options":{"include_usage":true}`, want: everyone},
		{name: "stream of theturbo", model: turbo, members: `,"stream":true,"stream_options":{"include_usage":true}`, want: "theturbo"},
		{name: "by load", model: "gemini-flash", members: `,"n":2`, want: "starmagic, theturbo"},
		{name: "in turn", model: "in-turn", want: "theturbo, starmagic"},
		{name: "in turn with a need", model: "in-turn", members: `,"seed":7`, want: "starmagic"},
		{name: "a narrow key", key: "narrow", model: turbo, want: "theturbo"},
		{name: "a limit", model: alias, members: `,"max_tokens":5`, want: everyone, most: 5},
		{name: "tools", model: alias, members: weatherTool, want: "starmagic, theturbo"},
		{name: "tool_choice", model: alias, members: weatherTool + `,"tool_choice":"required"`, want: "starmagic, theturbo"},
		{name: "tool messages", model: alias, members: weatherTool, messages: toolTurn, want: "starmagic"},
		{name: "n", model: alias, members: `,"n":2,"max_tokens":4`, want: "starmagic, theturbo", most: 8},
		{name: "response_format", model: alias, members: `,"response_format":{"type":"json_object"}`, want: "starmagic"},
		{name: "a stop", model: alias, members: `,"stop":"never said"`, want: "starmagic, theturbo"},
		{name: "one stop in an array", model: alias, members: `,"stop":["never \u0073aid"]`, want: "starmagic, theturbo (stop as a string)"},
		{name: "four stops", model: alias, members: `,"stop":["1","2","3","4"]`, want: "starmagic, theturbo"},
		{name: "five stops", model: alias, members: `,"stop":["1","2","3","4","5"]`, want: "starmagic"},
		{name: "logprobs", model: alias, members: `,"logprobs":true,"top_logprobs":3`, want: "starmagic"},
		{name: "seed", model: alias, members: `,"seed":7`, want: "starmagic"},
		{name: "penalties", model: alias, members: `,"frequency_penalty":0.50,"presence_penalty":-1.0`, want: "starmagic, theturbo"},
		{name: "top_k", model: alias, members: `,"top_k":40`, want: "evolink"},
		{name: "reasoning_effort", model: alias, members: `,"reasoning_effort":"low"`, want: "starmagic"},
		{name: "extra_body", model: alias, members: `,"extra_body":{"google":{"thinking_config":{"include_thoughts":true}}}`, want: "starmagic"},
		{
			name: "max_completion_tokens", model: alias, members: `,"max_completion_tokens":6`, most: 6,
			want: "evolink (max_completion_tokens as max_tokens), starmagic, theturbo (max_completion_tokens as max_tokens)",
		},
		{name: "both limits", model: turbo, members: `,"max_tokens":9,"max_completion_tokens":6`, most: 6, want: "theturbo (max_completion_tokens as max_tokens)"},
		{
			name: "developer", model: alias, messages: `{"role":"developer","content":"Be brief."},{"role":"user","content":"PROMPT"}`,
			want: "evolink (role developer as system), starmagic (role developer as system), theturbo (role developer as system)",
		},
		{name: "temperature", model: alias, members: `,"temperature":1.50,"top_p":0.9`, want: everyone},
		{name: "a high temperature", model: alias, members: `,"temperature":2.5`, want: "starmagic"},
		{name: "an image by address", model: alias, messages: mediumOf("https://images.example/cat.png"), want: "evolink, starmagic"},
		{name: "an image", model: alias, messages: mediumOf("data:image/png;base64," + pixel), want: everyone},
		{name: "a rare image", model: alias, messages: mediumOf("data:image/bmp;base64," + pixel), want: "evolink, starmagic"},
		{name: "a film", model: alias, messages: mediumOf("data:video/mp4;base64," + pixel), want: "theturbo"},
		{name: "unknown fields", model: alias, members: `,"user":"somebody","metadata":{"a":"b"}`, want: "evolink -user -metadata, starmagic -user -metadata, theturbo -user -metadata"},
		{name: "a name", model: star, messages: `{"role":"user","name":"ann","content":"PROMPT"}`, want: "starmagic -messages.name"},
		{name: "a harmless field", model: "lenient", members: `,"seed":7,"top_k":4`, want: "lenient -seed -top_k"},
		{name: "defaults", model: evo, members: `,"n":1,"presence_penalty":0,"seed":null`, silent: []string{"n", "presence_penalty", "seed"}, want: "evolink"},
		{
			name: "all at once in a stream", model: turbo, members: `,"stream":true,"max_completion_tokens":7,"stop":["never said"],"user":"somebody"`, most: 7,
			messages: `{"role":"developer","content":"Be brief."},{"role":"user","content":"PROMPT"}`,
			want:     "theturbo -user (max_completion_tokens as max_tokens) (stop as a string) (role developer as system)",
		},
	}
}

// refusedCases are requests that nobody is asked.
func refusedCases() []foretold {
	const alias, turbo, evo = "anyone", "gemini-2.0-flash", "gemini-3-pro-preview"
	return []foretold{
		{name: "a revoked key", key: "revoked", model: alias, want: "authenticate: 401 invalid_api_key"},
		{name: "an expired key", key: "expired", model: alias, want: "authenticate: 401 invalid_api_key"},
		{name: "an unknown model", model: "gpt-5", want: "authorize: 404 model_not_found model"},
		{name: "another's model", key: "narrow", model: alias, want: "authorize: 404 model_not_found model"},
		{name: "a spent limit", key: "spent", model: alias, want: "admit: 429 rate_limit_exceeded"},
		{name: "a spent limit in a stream", key: "spent", model: alias, members: `,"stream":true`, want: "admit: 429 rate_limit_exceeded"},
		{name: "half a body", whole: `{"model":"gemini-flash","messages":[`, want: "read: 400 invalid_json"},
		{name: "no JSON", whole: `model=gemini-flash`, want: "read: 400 invalid_json"},
		{name: "no messages", whole: `{"model":"gemini-flash"}`, want: "read: 400 missing_field messages"},
		{name: "no model", whole: `{"messages":[{"role":"user","content":"hello"}]}`, want: "read: 400 missing_field model"},
		{name: "a number in words", model: alias, members: `,"temperature":"hot"`, want: "read: 400 invalid_type temperature"},
		{name: "a field twice", model: alias, members: `,"model":"gemini-flash"`, want: "read: 400 duplicate_field model"},
		{name: "another spelling", model: alias, members: `,"Stream":true`, want: "read: 400 unknown_spelling stream"},
		{name: "seed of theturbo", model: turbo, members: `,"seed":7`, want: "route: 400 unsupported_parameter seed"},
		{name: "tools of evolink in a stream", model: evo, members: `,"stream":true` + weatherTool, want: "route: 400 unsupported_parameter tools"},
		{name: "logit_bias", model: alias, members: `,"logit_bias":{"5":-100}`, want: "route: 400 unsupported_parameter logit_bias"},
		{name: "two needs that nobody unites", model: alias, members: `,"seed":7,"top_k":4`, want: "route: 400 unsupported_parameter top_k"},
		{name: "a range", model: turbo, members: `,"temperature":2.5`, want: "route: 400 unsupported_parameter temperature"},
		{name: "a range where fields are dropped", model: "lenient", members: `,"temperature":2.5`, want: "route: 400 unsupported_parameter temperature"},
		{name: "media by address", model: turbo, messages: mediumOf("https://images.example/cat.png"), want: "route: 400 unsupported_parameter messages"},
		{name: "a media type", model: turbo, messages: mediumOf("data:image/bmp;base64," + pixel), want: "route: 400 unsupported_parameter messages"},
	}
}
