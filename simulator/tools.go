package simulator

import "slices"

// The tools and tool_choice of the two pages that document them have the same
// shape, OpenAI's; StarMagic shows it by example, TheTurbo by a whole request.

func tools() rule {
	return list(0, object(
		required("type", oneOf("function")),
		required("function", object(
			required("name", text),
			optional("description", text),
			optional("parameters", anyObject),
		)),
	))
}

func toolChoice() rule {
	mode := oneOf("none", "auto", "required")
	named := object(
		required("type", oneOf("function")),
		required("function", object(required("name", text))),
	)
	return func(at string, v any) *Refusal {
		switch v.(type) {
		case string:
			return mode(at, v)
		case members:
			return named(at, v)
		}
		return wrongType(at, "a string or an object", v)
	}
}

// toolChoiceIsOffered refuses a choice that no tool of the request can meet. It
// runs on the whole body, after the rules of both fields.
func toolChoiceIsOffered(_ string, v any) *Refusal {
	body := v.(members)
	if body.text("tool_choice") == "required" && len(body.list("tools")) == 0 {
		return invalidValue("tool_choice", "'required' needs at least one tool")
	}
	if name := body.object("tool_choice").object("function").text("name"); name != "" && findTool(body, name) == nil {
		return invalidValue("tool_choice", "'"+name+"' is not among the tools")
	}
	return nil
}

// streamOptionsNeedStream: "Streaming response options. Can be set when stream
// is true." Like toolChoiceIsOffered it can only strike where the fields are taken.
func streamOptionsNeedStream(_ string, v any) *Refusal {
	body := v.(members)
	if _, set := body["stream_options"]; set && !body.flag("stream") {
		return invalidValue("stream_options", "it can be set when stream is true only")
	}
	return nil
}

// wantedTool is the function that the answer shall call; nil for none. A
// provider that may call a tool does so, with the first unless one is named,
// and answers in words once it has been given a tool's result.
func wantedTool(body members) members {
	messages := body.list("messages")
	last, _ := messages[len(messages)-1].(members)
	if body.text("tool_choice") == "none" || last.text("role") == "tool" {
		return nil
	}
	return findTool(body, body.object("tool_choice").object("function").text("name"))
}

// findTool returns the function of that name, the first one for an empty name.
func findTool(body members, name string) members {
	for _, t := range body.list("tools") {
		tool, _ := t.(members)
		if f := tool.object("function"); name == "" || f.text("name") == name {
			return f
		}
	}
	return nil
}

// exampleDepth is how deeply example nests; deeper objects and arrays are empty.
const exampleDepth = 4

// example is a small value that satisfies a JSON Schema as far as type, enum,
// items, properties and required go: an object has its required properties, or
// all of them when it requires none.
func example(schema members, depth int) any {
	if allowed := schema.list("enum"); len(allowed) > 0 {
		return allowed[0]
	}
	switch schemaType(schema) {
	case "string":
		return "example"
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "null":
		return nil
	case "array":
		if depth == 0 {
			return []any{}
		}
		return []any{example(schema.object("items"), depth-1)}
	}
	made := map[string]any{}
	if depth == 0 {
		return made
	}
	properties, wanted := schema.object("properties"), schema.list("required")
	for _, name := range properties.names() {
		if len(wanted) == 0 || slices.Contains(wanted, any(name)) {
			made[name] = example(properties.object(name), depth-1)
		}
	}
	return made
}

// schemaType is a schema's type, the first one when it lists several.
func schemaType(schema members) string {
	if several := schema.list("type"); len(several) > 0 {
		first, _ := several[0].(string)
		return first
	}
	return schema.text("type")
}
