package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// members is a decoded JSON object. Its accessors give the zero value for what
// is absent, null or of another type, so that a checked body reads plainly.
type members map[string]any

func (m members) names() []string { return slices.Sorted(maps.Keys(m)) }

func (m members) text(name string) string    { s, _ := m[name].(string); return s }
func (m members) flag(name string) bool      { b, _ := m[name].(bool); return b }
func (m members) list(name string) []any     { l, _ := m[name].([]any); return l }
func (m members) object(name string) members { o, _ := m[name].(members); return o }

func (m members) whole(name string) int64 {
	n, _ := m[name].(json.Number)
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, _ := n.Float64() // 3.0 and 3e2 are whole numbers too
	return int64(f)
}

// An ask is what an accepted request wants, whoever was asked.
type ask struct {
	model        string
	stream       bool
	includeUsage bool
	choices      int
	maxTokens    int64 // 0: no limit
	stops        []string
	seed         int64
	noReasoning  bool
	logprobs     bool
	runners      int      // top_logprobs
	tool         members  // the function to call; nil: none
	schema       members  // of the JSON answer
	json         bool     // the answer is JSON
	prompt       []string // what the text depends on: roles, texts and media, in their order
	words        int64
	media        []media
}

// understand reads a body that the provider's rules have accepted. Fields that
// the provider neither documents nor takes cannot be in it.
func understand(body members) *ask {
	format := body.object("response_format")
	a := &ask{
		model:        body.text("model"),
		stream:       body.flag("stream"),
		includeUsage: body.object("stream_options").flag("include_usage"),
		choices:      int(min(max(body.whole("n"), 1), maxChoices)),
		maxTokens:    lowestLimit(body.whole("max_tokens"), body.whole("max_completion_tokens")),
		stops:        stopSequences(body["stop"]),
		seed:         body.whole("seed"),
		noReasoning:  body.text("reasoning_effort") == "none",
		logprobs:     body.flag("logprobs"),
		runners:      int(min(max(body.whole("top_logprobs"), 0), maxRunners)),
		tool:         wantedTool(body),
		schema:       format.object("json_schema").object("schema"),
		json:         strings.HasPrefix(format.text("type"), "json_"),
	}
	for _, m := range body.list("messages") {
		message, _ := m.(members)
		a.hear(message)
	}
	return a
}

func (a *ask) hear(message members) {
	a.prompt = append(a.prompt, message.text("role"))
	a.read(message.text("content"))
	for _, p := range message.list("content") {
		part, _ := p.(members)
		if part.text("type") == "text" {
			a.read(part.text("text"))
			continue
		}
		address := part.object("image_url").text("url")
		a.prompt = append(a.prompt, address)
		received, err := parseDataURL(address)
		if err != nil { // an address on the web, which is not fetched
			received = media{}
		}
		a.media = append(a.media, received)
	}
}

func (a *ask) read(words string) {
	a.prompt = append(a.prompt, words)
	a.words += int64(len(strings.Fields(words)))
}

// promptTokens are the whole prompt's tokens and those of its media.
func (a *ask) promptTokens() (all, ofMedia int64) {
	ofMedia = MediaTokens * int64(len(a.media))
	return max(a.words+ofMedia, 1), ofMedia
}

func lowestLimit(a, b int64) int64 {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}

func stopSequences(v any) []string {
	if one, ok := v.(string); ok {
		v = []any{one}
	}
	several, _ := v.([]any)
	var found []string
	for _, s := range several {
		if sequence, _ := s.(string); sequence != "" {
			found = append(found, sequence)
		}
	}
	return found
}
