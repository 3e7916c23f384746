package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tollgate/proxy/scan"
	"tollgate/upstream"
)

// versionFor is a body as a provider with this contract is sent it; false when
// the scan or the contract refuses it.
func versionFor(c *upstream.Contract, body string) (rewriting, bool) {
	var d scan.Document
	if d.Parse([]byte(body)) != nil {
		return rewriting{}, false
	}
	x := &exchange{document: &d, fields: new(fields)}
	x.fields.read(&d)
	p := &upstream.Provider{Contract: c, StreamUsage: c.StreamUsage}
	if _, lacks := p.Lacks(&x.fields.needs); lacks {
		return rewriting{}, false
	}
	return x.rewriteFor(&upstream.Candidate{Provider: p, Model: "m"}), true
}

func contractOf(name string) *upstream.Contract {
	c, _ := upstream.ContractByName(name)
	return c
}

// TestDialects holds what each contract is sent byte by byte: order and white
// space stay.
func TestDialects(t *testing.T) {
	f := func(contract, body, want, changes string) {
		t.Helper()
		got, ok := versionFor(contractOf(contract), body)
		told := strings.Join(got.dropped, ",") + "|" + strings.Join(got.adapted, ",")
		if !ok || string(got.body) != want || told != changes {
			t.Errorf("%s is sent (%t)\n%s\nwant\n%s\ntold %q, want %q", contract, ok, got.body, want, told, changes)
		}
	}
	const msgs = `"messages":[{"role":"user","content":"x"}]`
	// The limit on tokens has two names.
	f("theturbo", `{ "model":"m" , `+msgs+`,"max_completion_tokens" : 100, "n":2 }`,
		`{ "model":"m" , `+msgs+`,"max_tokens" : 100, "n":2 }`, "|max_completion_tokens as max_tokens")
	f("starmagic", `{"model":"m",`+msgs+`,"max_completion_tokens":100,"max_tokens":50}`,
		`{"model":"m",`+msgs+`,"max_completion_tokens":100,"max_tokens":50}`, "|")
	f("evolink", `{"model":"m","max_completion_tokens":100,`+msgs+`,"max_tokens":50}`,
		`{"model":"m",`+msgs+`,"max_tokens":50}`, "|max_completion_tokens as max_tokens")
	f("evolink", `{"model":"m","max_completion_tokens":10,`+msgs+`, "max_tokens":50}`,
		`{"model":"m",`+msgs+`, "max_tokens":10}`, "|max_completion_tokens as max_tokens")
	f("evolink", `{"model":"m","max_completion_tokens":10,`+msgs+`, "max_tokens":null}`,
		`{"model":"m","max_tokens":10,`+msgs+`}`, "|max_completion_tokens as max_tokens")
	f("evolink", `{"model":"m","max_completion_tokens":null,`+msgs+`, "max_tokens":7}`,
		`{"model":"m",`+msgs+`, "max_tokens":7}`, "|")
	f("openai", `{"model":"m",`+msgs+`,"max_completion_tokens":100}`, `{"model":"m",`+msgs+`,"max_completion_tokens":100}`, "|")
	// TheTurbo documents stop as a string.
	f("theturbo", `{"model":"m","stop" : [ "\u0041b" ], `+msgs+`}`, `{"model":"m","stop" : "\u0041b", `+msgs+`}`, "|stop as a string")
	f("theturbo", `{"model":"m","stop":["a","b"],`+msgs+`}`, `{"model":"m","stop":["a","b"],`+msgs+`}`, "|")
	f("theturbo", `{"model":"m","stop":["",""],`+msgs+`}`, `{"model":"m","stop":["",""],`+msgs+`}`, "|")
	f("theturbo", `{"model":"m","stop":[""],`+msgs+`}`, `{"model":"m",`+msgs+`}`, "|")
	f("starmagic", `{"model":"m","stop":["a"],`+msgs+`}`, `{"model":"m","stop":["a"],`+msgs+`}`, "|")
	// developer is the newer name of system.
	f("starmagic", `{"model":"m","messages":[ {"role" : "developer","content":"a"} ,{"content":"b","role":"d\u0065veloper"},{"role":"user","content":"developer"}]}`,
		`{"model":"m","messages":[ {"role" : "system","content":"a"} ,{"content":"b","role":"system"},{"role":"user","content":"developer"}]}`, "|role developer as system")
	f("openai", `{"model":"m","messages":[{"role":"developer","content":"a"}]}`, `{"model":"m","messages":[{"role":"developer","content":"a"}]}`, "|")
	// What no contract knows, at any depth, and what is empty.
	f("starmagic", `{"model":"m","messages":[{"role":"assistant","refusal":null,"content":"a" ,"tool_calls" : [], "name":"n"},{"name":"x","role":"user","content":"b"}],"user":"u"}`,
		`{"model":"m","messages":[{"role":"assistant","content":"a"},{"role":"user","content":"b"}]}`, "user,messages.name|")
	f("theturbo", `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"detail":"low","url":"data:image/png;base64,AA=="},"text":null}]}]}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}]}`, "messages.content.image_url.detail|")
	f("starmagic", `{"model":"m",`+msgs+`,"tools":[{"type":"function","function":{"strict":true,"name":"f"},"x":1}],"stream":null}`,
		`{"model":"m",`+msgs+`,"tools":[{"type":"function","function":{"name":"f"}}]}`, "tools.function.strict,tools.x|")
	f("starmagic", `{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},`+msgs+`}`,
		`{"model":"m","stream":true,"stream_options":{"include_usage":true},`+msgs+`}`, "stream_options.include_obfuscation|")
	f("starmagic", `{"model":"m","stream":true,"stream_options":{"include_obfuscation":false},`+msgs+`}`,
		`{"model":"m","stream":true,"stream_options":{"include_usage":true},`+msgs+`}`, "stream_options.include_obfuscation|")
	// An open contract keeps the client's own stream options.
	f("openai", `{"model":"m","stream_options": { "x":1 },`+msgs+`,"stream":true}`, `{"model":"m","stream_options": {"include_usage":true, "x":1 },`+msgs+`,"stream":true}`, "|")
	f("openai", `{"model":"m","stream_options":{"x":1,"include_usage": false },`+msgs+`,"stream":true}`, `{"model":"m","stream_options":{"x":1,"include_usage": true },`+msgs+`,"stream":true}`, "|")
	f("openai", `{"model":"m","stream_options":{"include_usage":null},`+msgs+`,"stream":true}`, `{"model":"m","stream_options":{"include_usage":true},`+msgs+`,"stream":true}`, "|")
	f("openai", `{"model":"m","stream_options":{ },`+msgs+`,"stream":true}`, `{"model":"m","stream_options":{"include_usage":true},`+msgs+`,"stream":true}`, "|")
	f("openai", `{"model":"m","stream_options":null,`+msgs+`,"stream":true}`, `{"model":"m","stream_options":{"include_usage":true},`+msgs+`,"stream":true}`, "|")
	// A default is the whole value.
	f("theturbo", `{"model":"m",`+msgs+`,"response_format": { "type" : "text" } }`, `{"model":"m",`+msgs+` }`, "|")
	f("openai", `{"model":"m","messages":[{"role":"user","name":"n","content":"b","refusal":null}],"user":"u","stream":null,"stop":null}`,
		`{"model":"m","messages":[{"role":"user","name":"n","content":"b","refusal":null}],"user":"u","stream":null,"stop":null}`, "|")
}

// TestOperatorsDialects are contracts that an operator has extended.
func TestOperatorsDialects(t *testing.T) {
	f := func(change func(*upstream.Contract), body, want string) {
		t.Helper()
		c := *contractOf("openai")
		change(&c)
		if got, ok := versionFor(&c, body); !ok || string(got.body) != want {
			t.Errorf("sent (%t) %s\nwant %s", ok, got.body, want)
		}
	}
	const msgs = `"messages":[{"role":"user","content":"x"}]`
	newer := func(c *upstream.Contract) {
		c.Params, c.Denied = c.Params.Without(upstream.ParamMaxTokens), upstream.Params(upstream.ParamMaxTokens)
	}
	f(newer, `{"model":"m","max_tokens":9,`+msgs+`}`, `{"model":"m","max_completion_tokens":9,`+msgs+`}`)
	f(newer, `{"model":"m","max_tokens":9,`+msgs+`,"max_completion_tokens":12}`, `{"model":"m",`+msgs+`,"max_completion_tokens":9}`)
	f(func(c *upstream.Contract) { c.MessageFields = 0 },
		`{"model":"m","messages":[{"role":"user","content":"x","tool_calls":null,"name":"n"}]}`, `{"model":"m","messages":[{"role":"user","content":"x","name":"n"}]}`)
	f(func(c *upstream.Contract) { c.StopForm = upstream.StopArray }, `{"model":"m","stop": "a\"b" ,`+msgs+`}`, `{"model":"m","stop": ["a\"b"] ,`+msgs+`}`)
	f(func(c *upstream.Contract) { c.Roles = upstream.Roles(upstream.RoleSystem, upstream.RoleUser) },
		`{"model":"m","messages":[{"role":"developer","content":"x","name":"n"}]}`, `{"model":"m","messages":[{"role":"system","content":"x","name":"n"}]}`)
}

// checkVersion compares a body and its version as encoding/json reads them,
// with the changes made once more, on the tree.
func checkVersion(t *testing.T, c *upstream.Contract, body []byte) {
	version, ok := versionFor(c, string(body))
	if !ok {
		return
	}
	var got, want map[string]any
	if err := decodeNumbers(body, &want); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	if err := decodeNumbers(version.body, &got); err != nil {
		t.Fatalf("%s is sent what is no JSON: %q\nof %q", c.Name, version.body, body)
	}
	(&onTree{c, want}).change(version.injected)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s is sent %q\nof %q\nwant %v", c.Name, version.body, body, want)
	}
	if len(want) > scan.MaxMembers {
		return // stream_options is one more than a client may send
	}
	var d scan.Document
	if err := d.Parse(version.body); err != nil {
		t.Fatalf("%s is sent what the scan refuses, %v: %q\nof %q", c.Name, err, version.body, body)
	}
	if again, ok := versionFor(c, string(version.body)); !ok || !bytes.Equal(again.body, version.body) {
		t.Fatalf("%s: a version has another version: %q, %q", c.Name, version.body, again.body)
	}
}

func decodeNumbers(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// onTree makes the changes for a contract on a decoded body.
type onTree struct {
	c    *upstream.Contract
	body map[string]any
}

func (o *onTree) change(injected bool) {
	o.body["model"] = "m"
	stream, _ := o.body["stream"].(bool)
	switch options, _ := o.body["stream_options"].(map[string]any); {
	case !stream, o.c.StreamUsage == upstream.StreamUsageNever:
		delete(o.body, "stream_options")
	case injected && o.c.Open && options != nil:
		options["include_usage"] = true
	case injected, options["include_usage"] == true && !o.c.Open:
		o.body["stream_options"] = map[string]any{"include_usage": true}
	}
	if o.c.Open {
		return
	}
	for name, value := range o.body {
		p, known := upstream.ParamByName(name)
		if !known || isEmptyValue(value) && name != "messages" || !o.c.Takes(p) && isDefaultValue(name, value) {
			delete(o.body, name)
		}
	}
	if limit, ok := o.body["max_completion_tokens"].(json.Number); ok && !o.c.Takes(upstream.ParamMaxCompletionTokens) {
		other, both := o.body["max_tokens"].(json.Number)
		if !both || number(limit) < number(other) {
			o.body["max_tokens"] = limit
		}
		delete(o.body, "max_completion_tokens")
	}
	if stops, ok := o.body["stop"].([]any); ok && o.c.StopForm == upstream.StopString && len(stops) == 1 {
		if o.body["stop"] = stops[0]; stops[0] == "" {
			delete(o.body, "stop")
		}
	}
	o.messages()
	each(o.body["tools"], func(tool map[string]any) {
		only(tool, "type", "function")
		if f, ok := tool["function"].(map[string]any); ok {
			only(f, "name", "description", "parameters")
		}
	})
}

func (o *onTree) messages() {
	each(o.body["messages"], func(m map[string]any) {
		for name, field := range map[string]upstream.MessageFieldSet{
			"tool_calls": upstream.FieldToolCalls, "tool_call_id": upstream.FieldToolCallID,
		} {
			if isEmptyValue(m[name]) || o.c.MessageFields&field == 0 {
				delete(m, name)
			}
		}
		only(m, "role", "content", "tool_calls", "tool_call_id")
		if m["role"] == "developer" {
			m["role"] = "system"
		}
		each(m["tool_calls"], func(call map[string]any) { only(call, "id", "type", "function") })
		each(m["content"], func(part map[string]any) {
			switch kind := part["type"]; kind {
			case "text", "image_url", "input_audio":
				only(part, "type", kind.(string))
			}
			if image, ok := part["image_url"].(map[string]any); ok {
				only(image, "url")
			}
		})
	})
}

func number(n json.Number) float64 { f, _ := n.Float64(); return f }

func only(object map[string]any, names ...string) {
	for name := range object {
		if !slices.Contains(names, name) {
			delete(object, name)
		}
	}
}

// each calls visit for the objects in a list.
func each(list any, visit func(map[string]any)) {
	elements, _ := list.([]any)
	for _, e := range elements {
		if object, ok := e.(map[string]any); ok {
			visit(object)
		}
	}
}

func isEmptyValue(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func isDefaultValue(name string, v any) bool {
	switch name {
	case "n", "top_p":
		n, ok := v.(json.Number)
		return ok && number(n) == 1
	case "frequency_penalty", "presence_penalty", "top_logprobs":
		n, ok := v.(json.Number)
		return ok && number(n) == 0
	case "logprobs":
		return v == false
	case "tool_choice":
		return v == "auto"
	case "response_format":
		return reflect.DeepEqual(v, map[string]any{"type": "text"})
	}
	return false
}

// FuzzDialects has any body rewritten for each contract: what is sent is JSON
// with the same members, but for those that change, and has no need of a further change.
func FuzzDialects(f *testing.F) {
	for _, c := range everyContract() {
		for _, body := range everyBody(c, "m") {
			f.Add([]byte(body))
		}
	}
	f.Add([]byte(` { "messages" : [ { "content" : [ { "text" : "a" , "type" : "text" , "image_url" : null } ] , "role" : "developer" , "a" : 1 , "b" : {} } ] , "x" : [ ] , "model" : "x" , "stop" : [ "" ] } `))
	most := `{"model":"x","messages":[{"role":"user","content":"a"}],"stream":true`
	for i := range scan.MaxMembers - 3 {
		most += fmt.Sprintf(`,"x%d":0`, i)
	}
	f.Add([]byte(most + "}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, name := range []string{"starmagic", "theturbo", "evolink", "openai"} {
			checkVersion(t, contractOf(name), body)
		}
	})
}
