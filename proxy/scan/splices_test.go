package scan

import (
	"slices"
	"strings"
	"testing"
)

// revised parses a body and rewrites it without the loose members of the given
// names, and with the role developer as system when that is among the names.
func revised(t *testing.T, body, names string) string {
	t.Helper()
	var d Document
	if err := d.Parse([]byte(body)); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	splices := d.AppendSplices(nil, func(l *Loose) LooseAction {
		name := d.LooseName(l)
		for chosen := range strings.FieldsSeq(names) {
			switch {
			case chosen == "developer" && l.Kind == LooseDeveloper:
				return LooseAsSystem
			case chosen == name:
				return LooseRemove
			}
		}
		return LooseKeep
	})
	return string(d.Rewrite([]byte("dst:"), Revision{Splices: splices}))
}

func TestSplicesOfMessages(t *testing.T) {
	f := func(message, names, want string) {
		t.Helper()
		const before, behind = "{ \"messages\" :\n[ {\"role\":\"user\"} , ", " ] , \"model\":\"m\"} "
		if got := revised(t, before+message+behind, names); got != "dst:"+before+want+behind {
			t.Errorf("%s without %s\n got %s\nwant %s", message, names, got, before+want+behind)
		}
	}
	// First, middle, last, neighbours, all, none: exactly one comma goes with each.
	const compact = `{"a":1,"b":2,"role":"user","c":{"x":[]},"d":4}`
	f(compact, ``, compact)
	f(compact, `messages.a`, `{"b":2,"role":"user","c":{"x":[]},"d":4}`)
	f(compact, `messages.a messages.b`, `{"role":"user","c":{"x":[]},"d":4}`)
	f(compact, `messages.b`, `{"a":1,"role":"user","c":{"x":[]},"d":4}`)
	f(compact, `messages.c`, `{"a":1,"b":2,"role":"user","d":4}`)
	f(compact, `messages.d`, `{"a":1,"b":2,"role":"user","c":{"x":[]}}`)
	f(compact, `messages.c messages.d`, `{"a":1,"b":2,"role":"user"}`)
	f(compact, `messages.a messages.c`, `{"b":2,"role":"user","d":4}`)
	f(compact, `messages.a messages.b messages.c messages.d`, `{"role":"user"}`)

	// White space goes as at the top level: with the comma before a member, and
	// behind it where none is kept before.
	const spaced = "{ \"a\" : 1 ,\n\t\"b\":2\t, \"role\" : \"user\" ,\r\n \"c\": \"x\" , \"d\":4 }"
	f(spaced, `messages.a`, "{ \"b\":2\t, \"role\" : \"user\" ,\r\n \"c\": \"x\" , \"d\":4 }")
	f(spaced, `messages.a messages.b`, "{ \"role\" : \"user\" ,\r\n \"c\": \"x\" , \"d\":4 }")
	f(spaced, `messages.b messages.c`, "{ \"a\" : 1\t, \"role\" : \"user\" , \"d\":4 }")
	f(spaced, `messages.d`, "{ \"a\" : 1 ,\n\t\"b\":2\t, \"role\" : \"user\" ,\r\n \"c\": \"x\" }")

	// What looks like structure within a string is text.
	f(`{"a":"},{","role":"user","b":"\",","c":"{"}`, `messages.b`, `{"a":"},{","role":"user","c":"{"}`)
	f(`{"a":"},{","role":"user","b":"\",","c":"{"}`, `messages.a messages.c`, `{"role":"user","b":"\","}`)

	f(`{"role":"developer","content":"developer"}`, `developer`, `{"role":"system","content":"developer"}`)
	f(`{"name":"x", "role" : "d\u0065veloper" ,"content":"a"}`, `developer messages.name`, `{"role" : "system" ,"content":"a"}`)
	f(`{"role":"developer","name":"x"}`, `messages.role messages.name`, `{"role":"developer"}`)
}

func TestSplicesWithinOthers(t *testing.T) {
	f := func(body, names, want string) {
		t.Helper()
		if got := revised(t, body, names); got != "dst:"+want {
			t.Errorf("%s without %s\n got %s\nwant dst:%s", body, names, got, want)
		}
	}
	// A removed member takes along what is inside of it.
	const calls = `{"messages":[{"tool_calls":[{"x":1,"y":2,"type":"function"},{"type":"function" , "x":1 }] , "role":"developer"}],"model":"m"}`
	f(calls, `messages.tool_calls.x`, `{"messages":[{"tool_calls":[{"y":2,"type":"function"},{"type":"function" }] , "role":"developer"}],"model":"m"}`)
	f(calls, `messages.tool_calls.x messages.tool_calls.y developer`, `{"messages":[{"tool_calls":[{"type":"function"},{"type":"function" }] , "role":"system"}],"model":"m"}`)
	f(calls, `messages.tool_calls.x messages.tool_calls`, `{"messages":[{"role":"developer"}],"model":"m"}`)

	const part = `{"messages":[{"content":[{"image_url":{"url":"x" ,"detail":"low"},"text":"a","type":"text", "z":1}],"role":"user"}],"model":"m"}`
	f(part, `messages.content.image_url.detail`, `{"messages":[{"content":[{"image_url":{"url":"x"},"text":"a","type":"text", "z":1}],"role":"user"}],"model":"m"}`)
	f(part, `messages.content.image_url messages.content.image_url.detail messages.content.z`, `{"messages":[{"content":[{"text":"a","type":"text"}],"role":"user"}],"model":"m"}`)

	// Nothing stays of an object but its braces.
	const options = `{"stream_options":{ "x":1 , "include_usage" : true,"y":{}},"messages":[{"role":"user"}],"model":"m"}`
	f(options, `stream_options.x`, `{"stream_options":{ "include_usage" : true,"y":{}},"messages":[{"role":"user"}],"model":"m"}`)
	f(options, `stream_options.x stream_options.y`, `{"stream_options":{ "include_usage" : true},"messages":[{"role":"user"}],"model":"m"}`)
	f(`{"stream_options":{"x":1,"y":2},"messages":[{"role":"user"}],"model":"m"}`, `stream_options.x stream_options.y`,
		`{"stream_options":{},"messages":[{"role":"user"}],"model":"m"}`)

	const tools = `{"tools":[{"a":1,"type":"function","function":{"strict":true,"name":"f"}}],"messages":[{"role":"user"}],"model":"m"}`
	f(tools, `tools.a`, `{"tools":[{"type":"function","function":{"strict":true,"name":"f"}}],"messages":[{"role":"user"}],"model":"m"}`)
	f(tools, `tools.function.strict`, `{"tools":[{"a":1,"type":"function","function":{"name":"f"}}],"messages":[{"role":"user"}],"model":"m"}`)
}

// The splices of the caller stay, and AppendSplices goes on behind them.
func TestSplicesWithEdits(t *testing.T) {
	const body = `{"max_tokens": 5,"messages":[{"name":"x","role":"user"}],"tools":[{"a":1,"type":"function"}],"model":"m"}`
	f := func(edits []Edit, want string) {
		t.Helper()
		var d Document
		if err := d.Parse([]byte(body)); err != nil {
			t.Fatal(err)
		}
		first := Splice{Span: d.Members[0].Value, Value: []byte("77")}
		splices := d.AppendSplices([]Splice{first}, func(*Loose) LooseAction { return LooseRemove })
		if got := string(d.Rewrite(nil, Revision{Edits: edits, Splices: splices, Appended: [][]byte{[]byte(`"n":1`)}})); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
	f(nil, `{"max_tokens": 77,"messages":[{"role":"user"}],"tools":[{"type":"function"}],"model":"m","n":1}`)
	// An edited member keeps what it has, whatever its edit is, and the others' splices are made.
	f([]Edit{{Member: 1, Key: []byte(`"prompt"`)}}, `{"max_tokens": 77,"prompt":[{"name":"x","role":"user"}],"tools":[{"type":"function"}],"model":"m","n":1}`)
	f([]Edit{{Member: 1}}, `{"max_tokens": 77,"tools":[{"type":"function"}],"model":"m","n":1}`)
	f([]Edit{{Member: 0}}, `{"messages":[{"role":"user"}],"tools":[{"type":"function"}],"model":"m","n":1}`)
	f([]Edit{{Member: 0}, {Member: 1, Value: []byte(`[]`)}}, `{"messages":[],"tools":[{"type":"function"}],"model":"m","n":1}`)
	f([]Edit{{Member: 2}, {Member: 0, Key: []byte(`"max"`)}}, `{"max": 5,"messages":[{"role":"user"}],"model":"m","n":1}`)
}

// The value of include_usage is never part of what goes with its neighbours.
func TestSplicesAroundIncludeUsage(t *testing.T) {
	const body = `{"model":"m","stream_options":{"x":1 , "include_usage" : false , "y":2},"messages":[{"name":"n","role":"user"}]}`
	var d Document
	if err := d.Parse([]byte(body)); err != nil {
		t.Fatal(err)
	}
	splices := append(d.AppendSplices(nil, func(*Loose) LooseAction { return LooseRemove }), Splice{Span: d.IncludeUsageAt, Value: []byte("true")})
	slices.SortFunc(splices, func(a, b Splice) int { return a.Span.Start - b.Span.Start })
	const want = `{"model":"m","stream_options":{"include_usage" : true},"messages":[{"role":"user"}]}`
	if got := string(d.Rewrite(nil, Revision{Splices: splices})); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestRewriteRenames(t *testing.T) {
	f := func(body, name, key, value, want string) {
		t.Helper()
		var d Document
		if err := d.Parse([]byte(body)); err != nil {
			t.Fatal(err)
		}
		edit := Edit{Member: d.Index(name), Key: []byte(key)}
		if value != "" {
			edit.Value = []byte(value)
		}
		if got := string(d.Rewrite(nil, Revision{Edits: []Edit{edit}})); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	const rest = `"messages":[{"role":"user"}],"model":"m"`
	f(`{"max_tokens" :	5 ,`+rest+`}`, "max_tokens", `"max_completion_tokens"`, "", `{"max_completion_tokens" :	5 ,`+rest+`}`)
	f(`{`+rest+`, "max_tok\u0065ns":5 }`, "max_tokens", `"x"`, "", `{`+rest+`, "x":5 }`)
	f(`{`+rest+` , "stop" : "a" }`, "stop", `"stops"`, `["a"]`, `{`+rest+` , "stops" : ["a"] }`)
}

func TestAppendSplicesGrowsOnce(t *testing.T) {
	var d Document
	if err := d.Parse(looseBody()); err != nil {
		t.Fatal(err)
	}
	var splices []Splice
	if n := testing.AllocsPerRun(3, func() {
		splices = d.AppendSplices(nil, func(*Loose) LooseAction { return LooseRemove })
	}); n > 2 || len(splices) != 32760 {
		t.Errorf("%v allocations for %d splices, want at most 2 for 32760", n, len(splices))
	}
	if splices = d.AppendSplices(nil, func(*Loose) LooseAction { return LooseKeep }); splices != nil {
		t.Errorf("%d splices, want none", len(splices))
	}
}

func TestAppendSplicesAllocatesNothingWithRoom(t *testing.T) {
	var d Document
	if err := d.Parse([]byte(toolUse)); err != nil {
		t.Fatal(err)
	}
	splices, dst := make([]Splice, 0, 16), make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() {
		splices = d.AppendSplices(splices[:0], func(l *Loose) LooseAction { return LooseRemove })
		dst = d.Rewrite(dst[:0], Revision{Splices: splices})
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
