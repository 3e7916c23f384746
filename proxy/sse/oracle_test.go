package sse

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A node is a JSON value as encoding/json reads it, with its members in order and its text as it stood.
type node struct {
	shape byte // '{', '[', '"', or '0' for a number or literal
	raw   string
	parts []part
}

// A part is a member of an object, or an element of an array, which has no name.
type part struct {
	name  string
	value node
}

// parse is the slow way to read a payload. The payload is valid.
func parse(t testing.TB, data []byte) node {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var value func() node
	token := func() (json.Token, string) {
		from := dec.InputOffset()
		tok, err := dec.Token()
		if err != nil {
			t.Fatalf("%v in %q", err, data)
		}
		return tok, strings.TrimLeft(string(data[from:dec.InputOffset()]), " \t\r\n,:")
	}
	value = func() node {
		tok, raw := token()
		switch d, _ := tok.(json.Delim); d {
		case '{', '[':
			n := node{shape: byte(d)}
			from := dec.InputOffset() - 1
			for dec.More() {
				var m part
				if d == '{' {
					_, name := token()
					m.name = name[1 : len(name)-1]
				}
				m.value = value()
				n.parts = append(n.parts, m)
			}
			token()
			n.raw = string(data[from:dec.InputOffset()])
			return n
		}
		if raw[0] == '"' {
			return node{shape: '"', raw: raw[1 : len(raw)-1]}
		}
		return node{shape: '0', raw: raw}
	}
	return value()
}

// truthy is what Python and JavaScript make of the value, but for an empty object, on which they differ.
func (n node) truthy() bool {
	switch n.shape {
	case '"':
		return n.raw != ""
	case '0':
		return n.raw != "null" && n.raw != "false" && n.raw != "0"
	}
	return true
}

// verdict is what one payload means, read slowly.
type verdict struct {
	kind     Kind
	text     []string
	finished []int
	usage    string
	media    bool
}

func judge(n node) verdict {
	var v verdict
	choices, failed := 0, false
	for _, m := range n.parts {
		switch {
		case m.name == "usage" && m.value.shape == '{':
			v.usage = m.value.raw
		case m.name == "error":
			failed = failed || m.value.truthy()
		case m.name == "choices" && m.value.shape == '[':
			for _, c := range m.value.parts {
				v.judgeChoice(c.value, choices)
				choices++
			}
		}
	}
	switch {
	case failed:
		v.kind, v.finished = KindError, nil
	case len(v.finished) > 0:
		v.kind = KindFinish
	case len(v.text) > 0 || v.media:
		v.kind = KindContent
	case choices == 0 && v.usage != "":
		v.kind = KindUsage
	default:
		v.kind = KindEmpty
	}
	if !strings.Contains(v.usage, ":") {
		v.usage = ""
	}
	return v
}

func (v *verdict) judgeChoice(n node, index int) {
	if n.shape != '{' {
		return
	}
	ended := false
	for _, m := range n.parts {
		switch m.name {
		case "index":
			i, err := strconv.Atoi(m.value.raw)
			if err != nil || m.value.shape != '0' {
				i = -1
			}
			index = i
		case "finish_reason":
			ended = m.value.shape == '"' && m.value.raw != ""
		case "text":
			v.say(m.value)
		case "delta", "message":
			v.judgeDelta(m.value)
		}
	}
	if ended && index >= 0 && index < 128 {
		v.finished = append(v.finished, index)
	}
}

func (v *verdict) judgeDelta(n node) {
	reasoned := false
	for _, m := range n.parts {
		switch m.name {
		case "content", "refusal", "tool_calls", "function_call", "audio", "images":
			v.say(m.value)
		case "reasoning_content", "reasoning":
			before := len(v.text)
			if !reasoned {
				v.say(m.value)
			}
			reasoned = reasoned || len(v.text) > before
		}
	}
}

func (v *verdict) say(n node) {
	last := "text"
	var walk func(n node)
	walk = func(n node) {
		switch {
		case n.shape == '"' && n.raw != "" && slices.Contains([]string{"text", "thinking", "refusal", "name", "arguments", "input", "transcript"}, last):
			v.text = append(v.text, n.raw)
		case n.shape == '"' && n.raw != "" && slices.Contains([]string{"data", "url", "b64_json"}, last):
			v.media = true
		}
		for _, m := range n.parts {
			if n.shape == '{' {
				last = m.name
			}
			walk(m.value)
		}
	}
	walk(n)
}

// agree lets one Tap hear all payloads and compares it with the slow way after each.
func agree(t testing.TB, payloads [][]byte) {
	t.Helper()
	var text words
	var tap Tap
	tap.Reset(&text)
	finished := map[int]bool{}
	usage := ""
	for _, data := range payloads {
		heard := len(text)
		kind := tap.Observe(Event{Data: data})
		if !json.Valid(data) || len(data) == 0 || bytes.TrimLeft(data, " \t\r\n")[0] != '{' {
			if ValidChunk(data) {
				t.Fatalf("%q is no valid chunk", data)
			}
			if kind != KindInvalid && json.Valid(data) {
				t.Fatalf("%q is %v, want invalid", data, kind)
			}
			if kind != KindInvalid {
				return // not believed to be checked in full: the walk looks at the structure alone
			}
			continue
		}
		want := judge(parse(t, data))
		for _, i := range want.finished {
			finished[i] = true
		}
		if want.usage != "" {
			usage = want.usage
		}
		n := 0
		for finished[n] {
			n++
		}
		switch {
		case kind != want.kind:
			t.Fatalf("%q is %v, want %v", data, kind, want.kind)
		case !slices.Equal(text[heard:], want.text):
			t.Fatalf("%q says %q, want %q", data, text[heard:], want.text)
		case string(tap.Usage()) != usage:
			t.Fatalf("after %q the usage is %q, want %q", data, tap.Usage(), usage)
		case n > 0 && !tap.Finished(n), tap.Finished(n + 1):
			t.Fatalf("after %q not exactly %d choices are finished", data, n)
		case ValidChunk(data) != (kind != KindError):
			t.Fatalf("%q: ValidChunk is %t", data, ValidChunk(data))
		}
	}
	if total := len(strings.Join(text, "")); tap.ContentBytes() != int64(total) {
		t.Fatalf("%d bytes of content, want %d", tap.ContentBytes(), total)
	}
}

// jsonGen writes payloads: what the protocol documents, what providers make of it, and traps at places of no meaning.
type jsonGen struct{ t *rapid.T }

func (g jsonGen) pick(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(g.t, label)
}

func (g jsonGen) space() string { return g.pick("space", "", "", "", " ", "\n  ", "\t", "\r\n") }

func (g jsonGen) str() string {
	return `"` + g.pick("string", "", "Hello", "x", "usage", "error", "finish_reason", "[DONE]", `\"usage\":{}`, `\\`, `\\\"`, `a\\`,
		`\u00e9\n`, `}]}`, `{"`[:1], "data: ", strings.Repeat("long text ", 9), strings.Repeat(`long \"text\" `, 9), "\U0001f600", "\u2028") + `"`
}

func (g jsonGen) object(members ...string) string {
	members = rapid.Permutation(members).Draw(g.t, "order")
	sep := g.space() + "," + g.space()
	return "{" + g.space() + strings.Join(members, sep) + g.space() + "}"
}

func (g jsonGen) member(name, value string) string {
	return `"` + name + `"` + g.space() + ":" + g.space() + value
}

func (g jsonGen) some(members ...string) []string {
	return slices.DeleteFunc(members, func(string) bool { return rapid.IntRange(0, 2).Draw(g.t, "left out") == 0 })
}

func (g jsonGen) trap() string {
	return g.pick("trap", "null", "[]", "{}", `"usage"`, "-1.5e3", "true", `{"usage":{"total_tokens":666},"error":{"x":1},"finish_reason":"stop"}`,
		`[[{"content":"no","usage":{"a":[]}}]]`, `{"choices":[{"index":0,"delta":{"content":"no"},"finish_reason":"stop"}]}`)
}

func (g jsonGen) text() string {
	if rapid.IntRange(0, 3).Draw(g.t, "plain text") > 0 {
		return g.str()
	}
	return g.pick("text", "null", "[]", "[null]", g.trap(), "["+g.str()+"]", `[{"type":"text","text":`+g.str()+`}]`,
		"["+g.str()+`,{"text":[`+g.str()+`,{"x":[]},`+g.str()+`],"y":`+g.str()+"},"+g.str()+"]", `{"text":{"z":[],"input":[[`+g.str()+`]]}}`,
		`[{"index":0,"function":{"name":`+g.str()+`,"arguments":`+g.str()+`}},null]`,
		`[{"type":"image_url","image_url":{"url":`+g.str()+`}}]`, `{"id":"a","data":`+g.str()+`,"transcript":`+g.str()+`}`)
}

func (g jsonGen) choice() string {
	delta := g.some(g.member("content", g.text()), g.member("role", `"assistant"`), g.member("reasoning_content", g.text()),
		g.member("reasoning", g.text()), g.member("refusal", g.text()), g.member("tool_calls", g.text()), g.member("audio", g.text()),
		g.member("function_call", g.text()), g.member("images", g.text()), g.member("text", g.text()),
		g.member("other", g.trap()))
	return g.object(g.some(
		g.member("index", g.pick("index", "0", "0", "1", "2", "127", "128", "-1", "-0", "null", `"0"`, "1.5", "1e0", "0.0",
			"-0.0", "18446744073709551617")),
		g.member(g.pick("delta", "delta", "delta", "message"), g.object(delta...)),
		g.member("finish_reason", g.pick("reason", "null", "null", `""`, `"stop"`, `"length"`, "[]")),
		g.member(g.pick("choice's own", "text", "content"), g.text()), g.member("logprobs", g.trap()))...)
}

func (g jsonGen) chunk() string {
	choices := make([]string, rapid.SampledFrom([]int{0, 1, 1, 1, 2}).Draw(g.t, "choices"))
	for i := range choices {
		choices[i] = g.choice()
	}
	members := []string{
		g.member("id", g.pick("id", `"chatcmpl-1"`, `"\n"`, "null", "7")),
		g.member("choices", g.pick("list", "["+strings.Join(choices, ",")+"]", "["+strings.Join(choices, ",")+"]", "["+strings.Join(choices, ",")+"]", "null", "[null]",
			"[null,7,[],"+g.choice()+"]", `{"0":`+g.choice()+"}")),
		g.member("usage", g.pick("usage", "null", "{}", "7", `{"total_tokens":`+g.pick("n", "0", "7", "1904")+`}`, starMagicUsage)),
		g.member("x_other", g.trap()),
		g.member(g.pick("long name", "obfuscation", "prompt_filter_results", ""), g.pick("filter", g.str(), "["+g.choice()+"]")),
	}
	if rapid.IntRange(0, 9).Draw(g.t, "error") == 0 {
		members = append(members, g.member("error", g.pick("problem", "null", "false", "0", `""`, `"x"`, "{}", `{"message":"x"}`, "true", "503", "0.5")))
	}
	return g.object(g.some(members...)...)
}

// TestTapAgreesWithDecoder compares the Tap with encoding/json on streams of generated chunks. Most chunks follow their
// predecessor but for one string, as in a real stream: this is where a frame that is remembered wrongly would show.
func TestTapAgreesWithDecoder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := jsonGen{rt}
		var payloads [][]byte
		for range rapid.IntRange(1, 4).Draw(rt, "chunks") {
			chunk := g.chunk()
			payloads = append(payloads, []byte(chunk))
			for range rapid.IntRange(0, 3).Draw(rt, "repeats") {
				chunk = strings.Replace(chunk, g.str(), g.str(), 1)
				payloads = append(payloads, []byte(chunk))
			}
		}
		agree(t, payloads)
	})
}

func TestOversizeAgreesWithWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := jsonGen{rt}
		behind := g.pick("behind", "", "", "", "", "\n", "x", "{}", "]", g.str())
		payload := g.pick("payload", g.chunk(), g.chunk(), g.chunk(), "["+g.chunk()+"]", g.str(), "null")
		likeWhole(t, []byte(payload+behind), rapid.Uint().Draw(rt, "cut"))
	})
}
