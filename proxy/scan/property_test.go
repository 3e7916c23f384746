package scan

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// bodies draws request bodies out of true and a few hostile pieces, and then damages some of them.
func bodies() *rapid.Generator[[]byte] {
	trueMembers := []string{
		`"stream":true`, `"stream":null`, `"stream_options":{"include_usage":true}`, `"n":2`, `"max_tokens":5`, `"max_completion_tokens":7`,
		`"stop":["a","b"]`, `"response_format":{"type":"json_object"}`, `"temperature" : 0.5e-1`, `"x":[{"a":1,"a":2}]`, `"x\n":"\u00e9\b\f\r\t"`,
	}
	hostileMembers := []string{
		`"Model":"x"`, `"mod\u0065l":"x"`, `"STREAM":true`, "\"\u017ftream\":true", `"max_to\u212aens":9`, `"n":1e2`, `"n":0`, `"n":"2"`, `"x":01`, `"x":1e400`,
		`"x":"\ud800"`, "\"x\":\"\xff\"", `"stream_options":{"include_usage":true,"Include_usage":false}`, `"stop":[1]`, `"response_format":{}`, `"X":1`,
	}
	trueParts := []string{
		`{"type":"text","text":"a"}`, `{"text":"b\n","type":"te\u0078t"}`, `{"type":"file"}`, `{"type":"text","text":"c","image_url":{"url":"http://x"}}`,
		`{"type":"image_url","image_url":{"url":"data:image\/png;base64,AA=="}}`, `{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}`,
	}
	hostileParts := []string{
		`{"type":"text","text":"a","Text":"b"}`, `{"type":"text"}`, `{"type":"image_url","image_url":{"url":"a","url":"b"}}`,
	}
	trueExtras := []string{``, `,"content":null`, `,"content":"hi"`, `,"content":"\ud83d\ude00"`, `,"tool_calls":[{"id":"a\"b"}]`, `,"name":"n"`}
	hostileExtras := []string{`,"content":7`, `,"content":"a","content":"b"`, `,"ROLE":"system"`}
	piece := func(t *rapid.T, usual, hostile []string) string {
		if rapid.IntRange(0, 15).Draw(t, "hostile") == 15 {
			usual = hostile
		}
		return rapid.SampledFrom(usual).Draw(t, "piece")
	}
	message := func(t *rapid.T) string {
		role := `{"role":` + rapid.SampledFrom([]string{`"user"`, `"system"`, `"us\u0065r"`, `"x"`}).Draw(t, "role")
		if !rapid.Bool().Draw(t, "in parts") {
			return role + piece(t, trueExtras, hostileExtras) + `}`
		}
		var parts []string
		for range rapid.IntRange(0, 3).Draw(t, "parts") {
			parts = append(parts, piece(t, trueParts, hostileParts))
		}
		return role + `,"content":[` + strings.Join(parts, ",") + `]}`
	}
	return rapid.Custom(func(t *rapid.T) []byte {
		space := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
		messages := []string{message(t)}
		for range rapid.IntRange(0, 2).Draw(t, "messages") {
			messages = append(messages, message(t))
		}
		members := []string{`"model":"m"`, `"messages":[` + strings.Join(messages, ",") + `]`}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			members = append(members, piece(t, trueMembers, hostileMembers))
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

// checkRewrite makes the edits that choices tell, one byte for each member and
// one for what is appended, and compares both bodies as encoding/json reads them.
func checkRewrite(t failer, body, choices []byte) {
	t.Helper()
	var d Document
	if d.Parse(body) != nil {
		return
	}
	choice := func(i int) byte {
		if i < len(choices) {
			return choices[i]
		}
		return 0
	}
	var want map[string]json.RawMessage
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	var edits []Edit
	for i, m := range d.Members {
		switch choice(i) % 3 {
		case 1:
			edits = append(edits, Edit{Member: i, Value: AppendString(nil, m.Name)})
			want[m.Name] = AppendString(nil, m.Name)
		case 2:
			edits = append(edits, Edit{Member: i})
			delete(want, m.Name)
		}
	}
	slices.Reverse(edits)
	var appended [][]byte
	for i := range int(choice(len(d.Members)) % 3) {
		name := "appended " + string(rune('a'+i))
		appended = append(appended, append(AppendString(nil, name), `:[1, 2]`...))
		want[name] = json.RawMessage(`[1, 2]`)
	}
	rewritten := d.Rewrite(nil, Revision{Edits: edits, Appended: appended})
	var got map[string]json.RawMessage
	if err := json.Unmarshal(rewritten, &got); err != nil {
		t.Fatalf("%q became %q: %v", body, rewritten, err)
	}
	if !maps.EqualFunc(want, got, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		t.Fatalf("%q became %q, want %q", body, rewritten, want)
	}
	if len(edits)+len(appended) == 0 && !bytes.Equal(body, rewritten) {
		t.Fatalf("%q became %q without an edit", body, rewritten)
	}
}

func TestRewriteChangesExactlyWhatWasAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkRewrite(t, bodies().Draw(t, "body"), rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "choices"))
	})
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
		`[[[[`, "\ufeff{}", "",
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkParse(t, body) })
}

func FuzzRewrite(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed), []byte{1, 2, 0, 1})
	}
	f.Fuzz(func(t *testing.T, body, choices []byte) { checkRewrite(t, body, choices) })
}
