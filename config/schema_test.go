package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("config.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON returns a parsed file as a schema validator wants it.
func asJSON(t testing.TB, node ast.Node) any {
	t.Helper()
	switch n := node.(type) {
	case *ast.StringNode:
		if n.GetToken().Type == token.StringType && exponent.MatchString(n.Value) {
			return asNumber(n.Value)
		}
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode, *ast.FloatNode:
		return asNumber(node.GetToken().Value)
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, value := range n.Values {
			list[i] = asJSON(t, value)
		}
		return list
	case ast.MapNode:
		object := make(map[string]any)
		for iter := n.MapRange(); iter.Next(); {
			object[iter.Key().GetToken().Value] = asJSON(t, iter.Value())
		}
		return object
	}
	return nil
}

// asNumber returns a number as JSON writes it, text that is none as it is. A float64 bounds its
// digits: the validator takes a hundred thousand of them, as 1.0e-99999 has, for seconds of work.
func asNumber(text string) any {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
}

// parsed returns the file as JSON and the loader's verdict on its form alone,
// with every variable set to the same text.
func parsed(t testing.TB, text string) (any, error) {
	t.Helper()
	src := &source{name: "config.yaml", text: text, of: reflect.TypeFor[Config]()}
	root, err := src.parse()
	if err != nil {
		return nil, err
	}
	if isNull(root) {
		return nil, nil
	}
	c := Default()
	d := &decoder{source: src, placed: make(map[string]position)}
	d.env.Lookup = func(string) (string, bool) { return "1", true }
	return asJSON(t, root), d.decode(root, reflect.ValueOf(&c).Elem())
}

func TestSchemaAcceptsTheExampleFile(t *testing.T) {
	document, err := parsed(t, string(exampleFile(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiledSchema(t).Validate(document); err != nil {
		t.Error(err)
	}
}

// The schema and the loader agree about names and types.
func TestSchemaAgreesWithTheLoader(t *testing.T) {
	schema := compiledSchema(t)
	f := func(text string, want bool) {
		t.Helper()
		document, err := parsed(t, text)
		if got := err == nil; got != want {
			t.Errorf("the loader accepts %q: %t, want %t (%v)", text, got, want, err)
		}
		err = schema.Validate(document)
		if got := err == nil; got != want {
			t.Errorf("the schema accepts %q: %t, want %t (%v)", text, got, want, err)
		}
	}
	f("{}", true)
	f("server:", true)
	f("server: {listen: , max_event: ~}", true)
	f("server: {max_event: 65536, max_answer: 64KiB, idle_timeout: 1h30m}", true)
	f("server: {max_event: ' 1 GB '}", true)
	f("server: {shutdown_delay: 0, keepalive_comment: '0', drain_timeout: '${N}s'}", true)
	f("server: {max_event: '${SIZE}', max_in_flight: '${N}', read_timeout: '${S}s'}", true)
	f("limits: {default: {requests_per_minute: 0}, max_keys: -1}", true)
	f("providers: {a: , b: {endpoints: [{api_keys: ['', '${KEY}']}]}}", true)
	f("models: {\"a.b/c\": {targets: [], timeouts: {connect: 300ms}}}", true)
	f("prices: [{input: 0.10, output: '12.00', cached_input: '', from: 2026-01-01}]", true)
	f("prices: [{input: 12}]", true)
	f("telemetry: {sample_ratio: 1e-1}", true)
	f("telemetry: {sample_ratio: 1.0e-99999}", true)

	f("sever: {}", false)
	f("server: []", false)
	f("server: {listen: 8080}", false)
	f("server: {listen: true}", false)
	f("server: {tls: {certificate: a.pem}}", false)
	f("server: {max_event: 1.5}", false)
	f("server: {max_event: 3 apples}", false)
	f("server: {max_event: -1}", false)
	f("server: {max_event: true}", false)
	f("server: {max_event: +64KiB}", false)
	f("server: {max_event: \"64KiB\\u00a0\"}", false)
	f("telemetry: {sample_ratio: '1e-1'}", false)
	f("server: {read_timeout: 30}", false)
	f("server: {read_timeout: -1}", false)
	f("server: {read_timeout: 0.5}", false)
	f("server: {read_timeout: 30 s}", false)
	f("server: {read_timeout: soon}", false)
	f("server: {max_in_flight: 1.5}", false)
	f("server: {max_in_flight: '10'}", false)
	f("server: {max_in_flight: lots}", false)
	f("providers: {a: {contract: theturbo}}", true)
	f("providers: {a: {contract: '${CONTRACT}'}}", true)
	f("providers: {a: {contract: }}", true)
	f("providers: {a: {contract: {base: theturbo, allow: [seed], max_stops: -1, stream_usage: pass}}}", true)
	f("providers: {a: {contract: {ranges: {temperature: {least: 0, most: 1.5}, n: , top_p: {}, seed: {least: -9.2e+18, most: '${N}'}}}}}", true)
	f("providers: {a: {contract: {ranges: {temperature: {least: '0', most: 1e3}}}}}", true)
	f("providers: {a: {contract: {words: {reasoning_effort: [low, high], response_format: []}}}}", true)

	f("providers: {a: {contract: [theturbo]}}", false)
	f("providers: {a: {contract: 7}}", false)
	f("providers: {a: {contract: {bas: theturbo}}}", false)
	f("providers: {a: {contract: {allow: seed}}}", false)
	f("providers: {a: {contract: {allow: [1]}}}", false)
	f("providers: {a: {contract: {ranges: {temperature: 1}}}}", false)
	f("providers: {a: {contract: {ranges: {temperature: {least: low}}}}}", false)
	f("providers: {a: {contract: {ranges: {temperature: {lest: 1}}}}}", false)
	f("providers: {a: {contract: {words: {reasoning_effort: low}}}}", false)
	f("providers: {a: {contract: {max_stops: some}}}", false)
	f("providers: []", false)
	f("providers: {a: []}", false)
	f("providers: {a: {endpoints: {}}}", false)
	f("providers: {a: {endpoints: [{api_keys: secret}]}}", false)
	f("providers: {a: {endpoints: [{api_keys: [1]}]}}", false)
	f("models: {a: {targets: [b]}}", false)
	f("prices: {}", false)
	f("prices: [{input: true}]", false)
}

// described returns the description of every option in the schema. The keys are
// patterns of the paths that the loader reports: providers\..+\.contract.
func described(t testing.TB) map[string]string {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	describe(root, root, "", out)
	if len(out) < 40 {
		t.Fatalf("the schema describes %d options only", len(out))
	}
	return out
}

func describe(root, schema map[string]any, path string, out map[string]string) {
	description, _ := schema["description"].(string)
	if reference, ok := schema["$ref"].(string); ok {
		schema, _ = root["$defs"].(map[string]any)[strings.TrimPrefix(reference, "#/$defs/")].(map[string]any)
	}
	forms, _ := schema["anyOf"].([]any)
	for _, form := range forms {
		if section, _ := form.(map[string]any); section["properties"] != nil { // beside a short form
			schema = section
		}
	}
	items, isList := schema["items"].(map[string]any)
	entry, isTable := schema["additionalProperties"].(map[string]any)
	properties, isSection := schema["properties"].(map[string]any)
	switch {
	case isSection:
		for name, property := range properties {
			describe(root, property.(map[string]any), strings.TrimPrefix(path+`\.`+name, `\.`), out)
		}
	case isTable:
		describe(root, entry, path+`\..+`, out)
		if inner, plain := out[path+`\..+`]; plain && inner == "" { // described with its table
			out[path+`\..+`] = description
		}
	case isList && items["$ref"] != nil:
		describe(root, items, path+`\[\d+\]`, out)
	default:
		out[path] = description
	}
}

func TestEveryOptionIsDescribed(t *testing.T) {
	for path, description := range described(t) {
		if !strings.HasSuffix(description, ".") {
			t.Errorf("%s: the field's comment must be a sentence, got %q", path, description)
		}
	}
}

// decodedExample returns the decoder that has read config.yaml.
func decodedExample(t *testing.T) *decoder {
	t.Helper()
	src := &source{name: "config.yaml", text: string(exampleFile(t)), of: reflect.TypeFor[Config]()}
	root, err := src.parse()
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	d := &decoder{source: src, placed: make(map[string]position)}
	if err := d.decode(root, reflect.ValueOf(&c).Elem()); err != nil {
		t.Fatal(err)
	}
	return d
}
