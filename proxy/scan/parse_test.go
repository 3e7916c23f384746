package scan

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// outcome renders what Parse made of a body, so that every case below is one
// literal text: "code param@offset: reason" for a refusal, else all that differs from a
// plain request.
func outcome(body string) string {
	var d Document
	if err := d.Parse([]byte(body)); err != nil {
		var refusal *Error
		if !errors.As(err, &refusal) {
			return "not an *Error: " + err.Error()
		}
		return fmt.Sprintf("%s %s@%d: %s", refusal.Code, refusal.Param, refusal.Offset, refusal.Reason)
	}
	return summary(&d)
}

func summary(d *Document) string {
	out := []string{d.Model}
	add := func(show bool, format string, args ...any) {
		if show {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(d.Stream, "stream")
	add(d.IncludeUsage, "usage")
	add(d.N != 1, "n=%d", d.N)
	add(d.MaxTokens != 0, "max=%d", d.MaxTokens)
	add(d.Stops != 0, "stops=%d", d.Stops)
	add(d.ResponseFormat != "", "format=%s", d.ResponseFormat)
	add(d.Roles != RoleUser, "roles=%s", d.Roles)
	for _, s := range d.Texts {
		out = append(out, fmt.Sprintf("%q", d.AppendText(nil, s)))
	}
	for _, m := range d.Media {
		text := fmt.Sprintf("media(%d %q %s", m.Kind, d.Body[m.URL.Start:m.URL.End], m.MIME)
		if m.HTTP {
			text += " http"
		}
		if m.Base64 {
			text += " base64"
		}
		out = append(out, text+")")
	}
	return strings.Join(out, " ")
}

func TestParseReadsTheRequest(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := outcome(body); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	f(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`, `m "hi"`)
	f(" \t\r\n{ \"model\" : \"m\" , \"messages\" : [ { \"role\" : \"user\" , \"content\" : \"hi\" } ] } \n", `m "hi"`)
	f(`{"messages":[{"content":"hi","role":"user"}],"\u006dodel":"\u006d\/\ud83d\ude00"}`, `m/😀 "hi"`)

	msgs := func(members string) string {
		return `{"model":"m",` + members + `,"messages":[{"role":"user"}]}`
	}
	f(msgs(`"stream":true`), `m stream`)
	f(msgs(`"stream":false`), `m`)
	f(msgs(`"stream":null`), `m`)
	f(msgs(`"stream":true,"stream_options":{"include_usage":true}`), `m stream usage`)
	f(msgs(`"stream_options":{"include_usage":false,"include_obfuscation":true}`), `m`)
	f(msgs(`"stream_options":{"include_usage":null}`), `m`)
	f(msgs(`"stream_options":{}`), `m`)
	f(msgs(`"stream_options":null`), `m`)
	f(msgs(`"n":1`), `m`)
	f(msgs(`"n":null`), `m`)
	f(msgs(`"n":128`), `m n=128`)
	f(msgs(`"max_tokens":1`), `m max=1`)
	f(msgs(`"max_tokens":2147483647`), `m max=2147483647`)
	f(msgs(`"max_tokens":null,"max_completion_tokens":null`), `m`)
	f(msgs(`"max_tokens":10,"max_completion_tokens":20`), `m max=20`)
	f(msgs(`"max_tokens":20,"max_completion_tokens":10`), `m max=20`)
	f(msgs(`"stop":"x"`), `m stops=1`)
	f(msgs(`"stop":["x","y"]`), `m stops=2`)
	f(msgs(`"stop":[]`), `m`)
	f(msgs(`"stop":null`), `m`)
	f(msgs(`"response_format":{"type":"text"}`), `m format=text`)
	f(msgs(`"response_format":{"json_schema":{"type":1,"Type":2},"type":"json_schema"}`), `m format=json_schema`)
	f(msgs(`"response_format":{"type":"grammar"}`), `m format=grammar`)
	f(msgs(`"response_format":null`), `m`)
	f(msgs(`"temperature":0.7,"top_p":1,"seed":-12345678901234567890,"logprobs":true,"top_logprobs":5,"tools":null,"tool_choice":"auto"`), `m`)
	f(msgs(`"temperature":1e308,"top_p":-0.0E-999,"logit_bias":{"50256":-100}`), `m`)

	f(msgs(`"x":"\"\\\/\b\f\n\r\t\u0000\uFfEe"`), `m`)

	// What nobody reads here passes, nested duplicates and odd spellings included.
	f(msgs(`"metadata":{"a":1,"a":2,"A":3},"api_base":"http://x","tools":[{"type":"function","function":{"parameters":{"type":1,"Type":2,"type":3}}}]`), `m`)
	f(msgs(`"":1,"\u0000":2," ":3`), `m`)
}

func TestParseReadsTheMessages(t *testing.T) {
	f := func(messages, want string) {
		t.Helper()
		if got := outcome(`{"model":"m","messages":` + messages + `}`); got != want {
			t.Errorf("%s\n got %s\nwant %s", messages, got, want)
		}
	}
	f(`[{"role":"system","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c"}]`,
		`m roles=system,user,assistant "a" "b" "c"`)
	f(`[{"role":"developer"},{"role":"tool","content":"4","tool_call_id":"x"},{"role":"function"}]`,
		`m roles=developer,tool,function "4"`)
	f(`[{"role":"us\u0065r"},{"role":"narrator"}]`, `m roles=user,other`)
	f(`[{"role":"assistant","content":null,"tool_calls":[{"id":"x"}]},{"role":"assistant","tool_calls":null}]`,
		`m roles=assistant "[{\"id\":\"x\"}]"`)
	f(`[{"role":"user","content":""}]`, `m`)
	f(`[{"role":"user","`+strings.Repeat("Long", 1000)+`":1}]`, `m`)
	f(`[{"role":"user","content":[]}]`, `m`)
	f(`[{"role":"user","content":"two\nlines, \u00e9, \"quoted\""}]`, `m "two\nlines, é, \"quoted\""`)
	f(`[{"role":"user","content":[{"type":"text","text":"a"},{"text":"b","type":"text"},{"type":"text","text":""}]}]`, `m "a" "b"`)
	f(`[{"role":"user","name":"ann","ROLES":1,"content":"a"}]`, `m "a"`)

	part := func(part, want string) {
		t.Helper()
		f(`[{"role":"user","content":[`+part+`]}]`, want)
	}
	part(`{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"low"}}`, `m media(1 "https://example.com/a.png"  http)`)
	part(`{"type":"image_url","image_url":{"url":"HTTP:\/\/example.com"}}`, `m media(1 "HTTP:\\/\\/example.com"  http)`)
	part(`{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`, `m media(1 "data:image/png;base64,AAAA" image/png base64)`)
	part(`{"type":"image_url","image_url":{"url":"D\u0061ta:Image\/PNG;x=y;Base64,AAAA"}}`, `m media(1 "D\\u0061ta:Image\\/PNG;x=y;Base64,AAAA" image/png base64)`)
	part(`{"image_url":{"url":"data:audio/x-odd,AAAA"},"type":"image_url"}`, `m media(1 "data:audio/x-odd,AAAA" audio/x-odd)`)
	part(`{"type":"image_url","image_url":{"url":"data:image/png"}}`, `m media(1 "data:image/png" )`)
	part(`{"type":"image_url","image_url":{"url":"gs://bucket/a.png"}}`, `m media(1 "gs://bucket/a.png" )`)
	part(`{"type":"image_url","image_url":{"url":""}}`, `m media(1 "" )`)
	part(`{"type":"input_audio","input_audio":{"data":"AAAA","format":"WAV"}}`, `m media(2 "AAAA" audio/wav base64)`)
	part(`{"type":"file","file":{"file_id":"x"}}`, `m media(0 "" )`)
	// The type does not hide what else stands in the part.
	part(`{"type":"text","text":"a","image_url":{"url":"http://x"}}`, `m "a" media(1 "http://x"  http)`)
	part(`{"type":"text","text":"a","image_url":null,"input_audio":null}`, `m "a"`)
	part(`{"type":"file","text":"a"}`, `m "a" media(0 "" )`)
}

func TestAppendTextUnescapes(t *testing.T) {
	const body = `{"model":"m","messages":[{"role":"user","content":"\"\\\/\b\f\n\r\t\u0041\uD83d\uDe00é"}]}`
	var d Document
	if err := d.Parse([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if got, want := string(d.AppendText([]byte("text: "), d.Texts[0])), "text: \"\\/\b\f\n\r\tA😀é"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every documented member is found by its exact name, and by no other spelling.
func TestDocumentedMembers(t *testing.T) {
	for _, name := range strings.Fields(`model messages stream stream_options n max_tokens max_completion_tokens stop response_format
		temperature top_p top_k frequency_penalty presence_penalty seed logprobs top_logprobs reasoning_effort tools tool_choice extra_body
		audio function_call functions logit_bias metadata modalities parallel_tool_calls prediction prompt_cache_key safety_identifier
		service_tier store user verbosity web_search_options`) {
		if f, known := fieldOf([]byte(name)); !known || f.name != name {
			t.Errorf("%s: found %q, %v", name, f.name, known)
		}
		if got := outcome(`{"` + strings.ToUpper(name) + `":null}`); !strings.HasPrefix(got, "unknown_spelling "+name+"@1:") {
			t.Errorf("%s in capitals: got %s", name, got)
		}
	}
}

func TestMembers(t *testing.T) {
	const body = `{ "model" : "m", "x\n":[1, 2],"messages":[{"role":"user"}] ,"tools":[ ],"user":"","store":false,"seed":null,"metadata":{},"top_k":0}`
	var d Document
	if err := d.Parse([]byte(body)); err != nil {
		t.Fatal(err)
	}
	f := func(index int, want string) {
		t.Helper()
		m := d.Members[index]
		got := fmt.Sprintf("%q %d %s=%s empty:%v", m.Name, m.Kind, body[m.Key.Start:m.Key.End], d.Raw(m), d.Empty(m))
		if got != want {
			t.Errorf("member %d\n got %s\nwant %s", index, got, want)
		}
		if found, ok := d.Member(m.Name); !ok || found != m || d.Index(m.Name) != index {
			t.Errorf("Member(%q) = %v, %v; Index %d", m.Name, found, ok, d.Index(m.Name))
		}
	}
	f(0, `"model" 4 "model"="m" empty:false`)
	f(1, `"x\n" 5 "x\n"=[1, 2] empty:false`)
	f(2, `"messages" 5 "messages"=[{"role":"user"}] empty:false`)
	f(3, `"tools" 5 "tools"=[ ] empty:true`)
	f(4, `"user" 4 "user"="" empty:true`)
	f(5, `"store" 2 "store"=false empty:false`)
	f(6, `"seed" 1 "seed"=null empty:true`)
	f(7, `"metadata" 6 "metadata"={} empty:true`)
	f(8, `"top_k" 3 "top_k"=0 empty:false`)
	if _, ok := d.Member("Model"); ok || d.Index("Model") != -1 {
		t.Error("Member finds a name that is not there")
	}
}

// A pooled document must not answer with the previous request's values.
func TestParseForgetsThePreviousBody(t *testing.T) {
	var d Document
	full := `{"model":"first","stream":true,"stream_options":{"include_usage":true},"n":3,"max_tokens":5,"stop":"x",` +
		`"response_format":{"type":"text"},"messages":[{"role":"system","content":[{"type":"text","text":"a"},{"type":"file"}]}]}`
	if err := d.Parse([]byte(full)); err != nil {
		t.Fatal(err)
	}
	if got, want := summary(&d), `first stream usage n=3 max=5 stops=1 format=text roles=system "a" media(0 "" )`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := d.Parse([]byte(`{"model":"second","messages":[{"role":"user"}]}`)); err != nil {
		t.Fatal(err)
	}
	if got := summary(&d); got != "second" {
		t.Errorf("got %s, want second", got)
	}
	d.Reset()
	if d.Body != nil || d.Model != "" || len(d.Members) != 0 || cap(d.Members) == 0 {
		t.Errorf("Reset left %+v (capacity %d)", d, cap(d.Members))
	}
}

func TestResetDropsWhatOneLargeRequestGrew(t *testing.T) {
	var d Document
	body := `{"model":"m","messages":[` + strings.Repeat(`{"role":"user","content":"x"},`, 5000) + `{"role":"user"}]}`
	if err := d.Parse([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if len(d.Texts) != 5000 {
		t.Fatalf("%d texts, want 5000", len(d.Texts))
	}
	if d.Reset(); cap(d.Texts) != 0 {
		t.Errorf("Reset keeps room for %d texts", cap(d.Texts))
	}
}

func TestParseAllocations(t *testing.T) {
	f := func(body string, want float64) {
		t.Helper()
		var d Document
		raw := []byte(body)
		if got := testing.AllocsPerRun(100, func() {
			if err := d.Parse(raw); err != nil {
				t.Fatal(err)
			}
		}); got > want {
			t.Errorf("%.40s...: %v allocations, want at most %v", body, got, want)
		}
	}
	f(small, 1)
	f(string(conversation(1<<10, korean)), 1)
	f(`{"model":"`+strings.Repeat("m", 100)+`","temperature":1.25e-1,"my_own_field":1,"max_tokens":1000,`+
		`"messages":[{"role":"us\u0065r","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}`, 2)
}

func TestRolesString(t *testing.T) {
	f := func(r Roles, want string) {
		t.Helper()
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(0, "")
	f(RoleUser, "user")
	f(RoleOther|RoleSystem, "system,other")
	if r := RoleUser | RoleTool; !r.Has(RoleTool) || r.Has(RoleTool|RoleSystem) {
		t.Error("Has does not ask for every role of the set")
	}
}
