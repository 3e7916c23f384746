package scan

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pieces are what bodies are drawn from: usual ones, and some that are refused or seldom seen.
type pieces struct{ usual, hostile []string }

func (p pieces) draw(t *rapid.T) string {
	from := p.usual
	if rapid.IntRange(0, 15).Draw(t, "hostile") == 15 {
		from = p.hostile
	}
	return rapid.SampledFrom(from).Draw(t, "piece")
}

func topPieces() pieces {
	return pieces{[]string{
		`"stream":true`, `"stream":null`, `"stream_options":{"include_usage":true}`, `"stream_options":{"include_usage":true,"x":1}`, `"n":2`, `"max_tokens":5`,
		`"max_completion_tokens":7`, `"stop":["a","b"]`, `"stop":"\u0061"`, `"response_format":{"type":"json_object"}`, `"temperature" : 0.5e-1`, `"top_p":-0.0`,
		`"seed":-12345678901234567890`, `"x":[{"a":1,"a":2}]`, `"x\n":"\u00e9\b\f\r\t"`, `"reasoning_effort":"low"`, `"reasoning_effort":"ultra"`, `"reasoning_effort":""`,
		`"tool_choice":{"type":"function","function":{}}`, `"tool_choice":{"type":"custom"}`, `"tool_choice":{}`,
		`"extra_body":{"google":{"cached_content":"c"}}`, `"extra_body":{"google":{"thinking_config":{},"x":null}}`, `"extra_body":{"google":null,"x":null}`, `"extra_body":{"google":[1]}`,
		`"stream_options":{ "x" : 1 , "include_us\u0061ge" : null , "y":"" }`, `"extra_body":{"google":{"cached_content":null}}`, `"reasoning_effort":"V1.5-b"`,
		`"tools":[{"x":1,"function":{"strict":true},"type":"custom"},{"y":1,"type":"function"}]`,
		`"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":1,"type":2}}}]`, `"tools":[ ]`, `"tools":[{"type":"function"} , {"type":"x"}]`,
		`"tools":[{ "strict" : true , "type" : "functio\u006e" , "function" : { "x" : [ ] , "y" : 1 } , "z" : 1 } ]`,
	}, []string{
		`"Model":"x"`, `"mod\u0065l":"x"`, `"STREAM":true`, "\"\u017ftream\":true", `"max_to\u212aens":9`, `"n":1e2`, `"n":0`, `"n":"2"`, `"x":01`, `"x":1e400`,
		`"x":"\ud800"`, "\"x\":\"\xff\"", `"stream_options":{"include_usage":true,"Include_usage":false}`, `"stop":[1]`, `"response_format":{}`, `"X":1`,
		`"tools":[1]`, `"tools":[{"Type":"function"}]`, `"extra_body":{"GOOGLE":{}}`, `"tools":[{"function":7,"type":7}]`,
	}}
}

func partPieces() pieces {
	return pieces{[]string{
		`{"type":"text","text":"a"}`, `{"text":"b\n","type":"te\u0078t"}`, `{"type":"file"}`, `{"type":"text","text":"c","image_url":{"url":"http://x","detail":"low"}}`,
		`{"type":"image_url","image_url":{"url":"data:image\/png;base64,AA=="}}`, `{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}`,
		`{ "x" : 1 , "image_url" : { "y" : 1 , "url" : "http:x" } , "text" : null , "type" : "image_url" , "z" : "" }`, `{"a":1,"type":"file","image_url":{"url":"","detail":1}}`,
		`{"image_url":{"detail":"low","url":"http://x"},"cache_control":{},"input_audio":null,"text":"c","type":"text"}`,
	}, []string{
		`{"type":"text","text":"a","Text":"b"}`, `{"type":"text"}`, `{"type":"image_url","image_url":{"url":"a","url":"b"}}`,
	}}
}

func messagePieces() pieces {
	return pieces{[]string{
		`"content":null`, `"content":"hi"`, `"content":"\ud83d\ude00"`, `"tool_calls":[{"id":"a\"b"}]`, `"name":"n"`, `"tool_call_id":"i"`, `"function_call": {}`, `"audio":{"id":1}`,
		`"na\u006de" : ""`, `"refusal":null`, `"refusal":[ ]`, `"tool_calls":[{"x":1,"id":"a","index":0,"type":"function","function":{"strict":1}}, 7]`, `"tool_calls":null`,
		`"tool_calls":[{"x":1,"type":"custom","custom":{}},{"x":1,"type":"function"}]`, `"tool_calls":[ ]`,
	}, []string{`"content":7`, `"content":"a","content":"b"`, `"ROLE":"system"`, `"tool_c\u0061lls":"x"`, `"Audio":1`, `"tool_calls":[{"id":1,"id":2}]`}}
}

func drawMessage(t *rapid.T, space string) string {
	members := []string{`"role":` + rapid.SampledFrom([]string{`"user"`, `"system"`, `"us\u0065r"`, `"x"`, `"developer"`, `"d\u0065veloper"`}).Draw(t, "role")}
	for range rapid.IntRange(0, 3).Draw(t, "extras") {
		members = append(members, messagePieces().draw(t))
	}
	if rapid.Bool().Draw(t, "in parts") {
		var parts []string
		for range rapid.IntRange(0, 3).Draw(t, "parts") {
			parts = append(parts, partPieces().draw(t))
		}
		members = append(members, `"content":[`+strings.Join(parts, space+",")+`]`)
	}
	return `{` + space + strings.Join(rapid.Permutation(members).Draw(t, "order"), space+","+space) + space + `}`
}

// bodies draws request bodies out of pieces, and then damages some of them.
func bodies() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		space := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
		messages := []string{drawMessage(t, space)}
		for range rapid.IntRange(0, 2).Draw(t, "messages") {
			messages = append(messages, drawMessage(t, space))
		}
		members := []string{`"model":"m"`, `"messages":[` + strings.Join(messages, ",") + `]`}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			members = append(members, topPieces().draw(t))
		}
		body := []byte(space + `{` + strings.Join(rapid.Permutation(members).Draw(t, "order"), space+",") + space + `}`)
		for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "damages") {
			at := rapid.IntRange(0, len(body)-1).Draw(t, "at")
			damage := rapid.SampledFrom([]string{"", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "e", "\x00", "\xc3", " ", "\\u0065"}).Draw(t, "damage")
			body = slices.Concat(body[:at], []byte(damage), body[at+rapid.IntRange(0, 1).Draw(t, "over"):])
		}
		return body
	})
}

func TestParseAgreesWithEncodingJSON(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		body := bodies().Draw(t, "body")
		checkParse(t, body)
		var d Document
		if d.Parse(body) == nil {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("no body was accepted: the pieces prove nothing")
	}
}

func seeds() []string {
	return []string{
		small,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\/png;base64,AA=="}}]}]}`,
		` { "messages" : [ { "role" : "assistant" , "content" : null , "tool_calls" : [ ] } ] , "mod\u0065l" : "\ud83d\ude00" } `,
		`{"model":"A","MODEL":"B"}`,
		`{"max_to\u212aens":9}`,
		"{\"\u017ftream\":true}",
		`{"model":"m","messages":[{"role":"user"}],"n":1e400,"stop":["a"],"response_format":{"type":"text"}}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"","format":"mp3"}}]}]}`,
		toolUse, manyShapes,
		`[[[[`, "\ufeff{}", "",
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkParse(t, body) })
}
