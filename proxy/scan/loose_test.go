package scan

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// toolUse is a conversation with tools, as an SDK writes it.
const toolUse = `{"model":"gpt-4.1","messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"Seoul?","name":"ann"},` +
	`{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":"{}"}}]},` +
	`{"role":"tool","tool_call_id":"call_1","content":"rain"}],"tools":[{"type":"function","function":{"name":"weather","strict":true,` +
	`"parameters":{"type":"object","properties":{"city":{"type":"string"}}}},"cache_control":{"type":"ephemeral"}}],"tool_choice":"auto"}`

// manyShapes has loose members first, in the middle, last and alone, and loose members within loose ones.
const manyShapes = `{"model":"m","tools":[{ "a" : 1 , "b":2,"type":"function","function":{"strict":true} , "c":3 }],"messages":[` +
	`{"x":1,"y":2 , "role":"user","content":[{"image_url":{"detail":"low","url":"http://x"},"text":"t","cache_control":{},"type":"text","input_audio":null}]},` +
	`{"tool_calls":[{"x":1,"type":"function"},{"id":"a","type":"function","x":1},{"x":1,"type":"custom"}],"name":"n","role":"d\u0065veloper"}]}`

// looseOf lists a body's loose members: "name=value", with " empty" behind it.
func looseOf(t *testing.T, body string) string {
	t.Helper()
	var d Document
	if err := d.Parse([]byte(body)); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	named := map[LooseKind]string{
		LooseDeveloper: "developer ", LooseToolCalls: "tool_calls ", LooseToolCallID: "tool_call_id ", LooseFunctionCall: "function_call ", LooseAudio: "audio ",
	}
	var out []string
	for i := range d.Loose {
		l := &d.Loose[i]
		text := fmt.Sprintf("%s%s=%s", named[l.Kind], d.LooseName(l), d.slice(l.Value()))
		if l.Empty {
			text += " empty"
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func TestLooseInMessages(t *testing.T) {
	f := func(members, want string) {
		t.Helper()
		if got := looseOf(t, `{"model":"m","messages":[{"role":"user"},{`+members+`}]}`); got != want {
			t.Errorf("%s\n got %s\nwant %s", members, got, want)
		}
	}
	f(`"role":"user","content":"a"`, ``)
	f(`"role":"developer","content":null`, `developer messages.role="developer"`)
	f(`"r\u006fle" : "d\u0065veloper"`, `developer messages.role="d\u0065veloper"`)
	f(`"role":"Developer"`, ``)
	f(`"role":"tool","tool_call_id":"x"`, `tool_call_id messages.tool_call_id="x"`)
	f(`"role":"tool","tool_call_id":""`, `tool_call_id messages.tool_call_id="" empty`)
	f(`"role":"assistant","function_call":{ },"audio":null`, `function_call messages.function_call={ } empty; audio messages.audio=null empty`)
	f(`"name":"ann","role":"user","refusal" : [ ] , "x":" "`, `messages.name="ann"; messages.refusal=[ ] empty; messages.x=" "`)
	f(`"role":"user","na\u006de":0`, `messages.name=0`)
	f(`"role":"user","name":false,"Name":1,"name":2`, `messages.name=false; messages.Name=1; messages.name=2`)
	f(`"role":"user","a b":0,"":1,"`+strings.Repeat("n", 64)+`":2,"`+strings.Repeat("n", 65)+`":3,"\u00e9":4`,
		`messages.(unprintable)=0; messages.(unprintable)=1; messages.`+strings.Repeat("n", 64)+`=2; messages.(unprintable)=3; messages.(unprintable)=4`)

	f(`"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"x":1}}]`,
		`tool_calls messages.tool_calls=[{"id":"a","type":"function","function":{"x":1}}]`)
	f(`"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function"},7,{"type":"functio\u006e","x":{"y":1},"i\u0064":"b"}]`,
		`tool_calls messages.tool_calls=[{"index":0,"id":"a","type":"function"},7,{"type":"functio\u006e","x":{"y":1},"i\u0064":"b"}]; messages.tool_calls.index=0; messages.tool_calls.x={"y":1}`)
	// Nobody knows what a call is about that is not of a function.
	const custom = `[{"id":"a","type":"custom","custom":{"name":"f","input":""},"index":0}]`
	f(`"role":"assistant","tool_calls":`+custom, `tool_calls messages.tool_calls=`+custom)
	f(`"role":"assistant","tool_calls":[{"x":1,"type":"function"},{"x":2},{"x":3,"type":7},{"x":4,"type":"function"}]`,
		`tool_calls messages.tool_calls=[{"x":1,"type":"function"},{"x":2},{"x":3,"type":7},{"x":4,"type":"function"}]; `+
			`messages.tool_calls.x=1; messages.tool_calls.x=4`)
	f(`"role":"assistant","tool_calls":[]`, `tool_calls messages.tool_calls=[] empty`)
	f(`"role":"assistant","tool_calls":null`, `tool_calls messages.tool_calls=null empty`)
	f(`"role":"assistant","tool_calls":{"x":1}`, `tool_calls messages.tool_calls={"x":1}`)
}

func TestLooseInParts(t *testing.T) {
	f := func(part, want string) {
		t.Helper()
		if got := looseOf(t, `{"model":"m","messages":[{"role":"user","content":[`+part+`]}]}`); got != want {
			t.Errorf("%s\n got %s\nwant %s", part, got, want)
		}
	}
	f(`{"type":"text","text":"a"}`, ``)
	f(`{"cache_control":{},"text":"a","x":1,"type":"text"}`, `messages.content.cache_control={} empty; messages.content.x=1`)
	f(`{"type":"image_url","image_url":{"url":"x"},"text":null,"input_audio":null}`, `messages.content.text=null empty; messages.content.input_audio=null empty`)
	f(`{"type":"image_url","image_url":{"detail":"low","url":"x","y":1}}`, `messages.content.image_url.detail="low"; messages.content.image_url.y=1`)
	f(`{"type":"input_audio","input_audio":{"data":"","format":"wav","x":1}}`, ``)
	// What is of another type stands before what is inside of it, wherever the type stands.
	f(`{"image_url":{"detail":"low","url":"x"},"x":1,"text":"a","type":"text"}`,
		`messages.content.image_url={"detail":"low","url":"x"}; messages.content.image_url.detail="low"; messages.content.x=1`)
	f(`{"x":1,"text":"a","y":2,"type":"input_audio","input_audio":{"data":"","format":"wav"}}`, `messages.content.x=1; messages.content.text="a"; messages.content.y=2`)
	// Nobody knows what a part of an unknown type is about.
	f(`{"type":"file","file":{},"x":1,"text":"a","image_url":{"url":"x","detail":1}}`, ``)
	f(`{"type":"text","text":"a","x":1},{"type":"file","y":2},{"type":"text","text":"a","z":3}`, `messages.content.x=1; messages.content.z=3`)
}

func TestLooseInTools(t *testing.T) {
	f := func(tools, want string) {
		t.Helper()
		if got := looseOf(t, `{"model":"m","messages":[{"role":"user"}],"tools":`+tools+`}`); got != want {
			t.Errorf("%s\n got %s\nwant %s", tools, got, want)
		}
	}
	f(`[]`, ``)
	f(`[{"type":"function","function":{"name":"f","description":"d","parameters":{"strict":true,"type":1,"Type":2}}}]`, ``)
	f(`[{"type":"function","function":{"strict":true,"name":"f"}},{"function":{"x":{}},"type":"function","cache_control":1}]`,
		`tools.function.strict=true; tools.function.x={} empty; tools.cache_control=1`)
	f(`[{"type":"function","function":null},{"type":"function","function":["x"]}]`, ``)
	// Nobody knows what a tool of another type is about.
	f(`[{"type":"custom","custom":{"name":"f"},"x":null}]`, ``)
	f(`[{"x":1},{"function":{"strict":true},"x":2,"type":"web_search"},{"x":3,"type":null}]`, ``)
	f(`[{"x":1,"type":"function"},{"x":2,"type":"custom"},{"x":3,"function":{"y":4},"type":"f\u0075nction"}]`, `tools.x=1; tools.x=3; tools.function.y=4`)
}

func TestLooseInStreamOptions(t *testing.T) {
	f := func(options, want, wantUsage string) {
		t.Helper()
		body := `{"model":"m","stream_options":` + options + `,"messages":[{"role":"user"}]}`
		if got := looseOf(t, body); got != want {
			t.Errorf("%s\n got %s\nwant %s", options, got, want)
		}
		var d Document
		if err := d.Parse([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if got := string(d.slice(d.IncludeUsageAt)); got != wantUsage || wantUsage == "" && d.IncludeUsageAt != (Span{}) {
			t.Errorf("%s: include_usage is %s at %v, want %s", options, got, d.IncludeUsageAt, wantUsage)
		}
	}
	f(`null`, ``, ``)
	f(`{}`, ``, ``)
	f(`{ "include_usage" : true }`, ``, `true`)
	f(`{"include\u005fusage":false}`, ``, `false`)
	f(`{"include_obfuscation":false,"include_usage":null,"x":{ }}`, `stream_options.include_obfuscation=false; stream_options.x={ } empty`, `null`)
	f(`{"x":1,"x":2,"a b":3}`, `stream_options.x=1; stream_options.x=2; stream_options.(unprintable)=3`, ``)
}

func TestLooseOfAConversation(t *testing.T) {
	const want = `developer messages.role="developer"; messages.name="ann"; messages.refusal=null empty; ` +
		`tool_calls messages.tool_calls=[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":"{}"}}]; messages.tool_calls.index=0; ` +
		`tool_call_id messages.tool_call_id="call_1"; tools.function.strict=true; tools.cache_control={"type":"ephemeral"}`
	if got := looseOf(t, toolUse); got != want {
		t.Errorf("got %s", got)
	}
}

// A body must not make the gateway keep a list much longer than itself.
func TestLooseIsBounded(t *testing.T) {
	f := func(n int, behind, want string) {
		t.Helper()
		body := `{"model":"m","messages":[{"role":"user"` + strings.Repeat(`,"x":1`, n) + `}` + behind + `]}`
		if got := outcome(body); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	const reason = ": has one of more than 32768 fields that not every provider takes"
	var d Document
	if err := d.Parse([]byte(`{"model":"m","messages":[{"role":"user"` + strings.Repeat(`,"x":1`, MaxLoose) + `}]}`)); err != nil || cap(d.Loose) != MaxLoose {
		t.Errorf("%v, room for %d loose, want %d", err, cap(d.Loose), MaxLoose)
	}
	f(MaxLoose, "", "m")
	f(MaxLoose, `,{"role":"user","content":[{"type":"text","text":"a"}]}`, `m "a"`)
	f(MaxLoose+1, "", "invalid_value messages[0]@196648"+reason)
	f(MaxLoose, `,{"role":"user","content":[{"type":"text","text":"a","image_url":null}]}`, "invalid_value messages[1].content[0]@196701"+reason)
	f(MaxLoose, `,{"role":"developer"}`, "invalid_value messages[1]@196650"+reason)
	f(MaxLoose, `,{"role":"user","tool_calls":[]}`, "invalid_value messages[1]@196664"+reason)
}

func TestLooseIsAsLargeAsItSays(t *testing.T) {
	if got := reflect.TypeFor[Loose]().Size(); got != LooseBytes {
		t.Errorf("a Loose has %d bytes, want %d", got, LooseBytes)
	}
}

// A list in the making must not leave much more behind than it ends with.
func TestLooseGrowsInFewSteps(t *testing.T) {
	body := looseBody()
	if got := testing.AllocsPerRun(3, func() {
		var d Document
		if err := d.Parse(body); err != nil {
			t.Fatal(err)
		}
	}); got > 20 {
		t.Errorf("%v allocations, want at most 20", got)
	}
}
