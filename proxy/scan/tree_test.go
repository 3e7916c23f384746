package scan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// tree is a JSON value as encoding/json reads it, with duplicate members and in
// the order of the body.
type tree struct {
	raw      json.RawMessage
	members  []*branch
	elements []*tree
}

// branch is one member of an object.
type branch struct {
	name  string
	value *tree
	gone  bool
}

func readTree(t failer, raw json.RawMessage) *tree {
	t.Helper()
	out := &tree{raw: bytes.TrimSpace(raw)}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	must := func(err error) {
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
	}
	first, err := decoder.Token()
	must(err)
	if _, nested := first.(json.Delim); !nested {
		return out
	}
	for decoder.More() {
		name := ""
		if first == json.Delim('{') {
			key, err := decoder.Token()
			must(err)
			name, _ = key.(string)
		}
		var value json.RawMessage
		must(decoder.Decode(&value))
		if first == json.Delim('{') {
			out.members = append(out.members, &branch{name: name, value: readTree(t, value)})
		} else {
			out.elements = append(out.elements, readTree(t, value))
		}
	}
	return out
}

// String writes the value without white space between its tokens, and without what is gone.
func (v *tree) String() string {
	var parts []string
	switch v.raw[0] {
	case '{':
		for _, m := range v.members {
			if !m.gone {
				parts = append(parts, strconv.Quote(m.name)+":"+m.value.String())
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	case '[':
		for _, e := range v.elements {
			parts = append(parts, e.String())
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return string(v.raw)
}

// get is the member of that name, null when there is none.
func (v *tree) get(name string) *tree {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return &tree{raw: json.RawMessage("null")}
}

func (v *tree) has(name string) bool {
	return slices.ContainsFunc(v.members, func(m *branch) bool { return m.name == name })
}

// isFunction says whether a tool, or a call of one, is of a function.
func (v *tree) isFunction() bool { return v.get("type").text() == "function" }

func (v *tree) text() string {
	var s string
	if json.Unmarshal(v.raw, &s) != nil {
		return ""
	}
	return s
}

func (v *tree) isNull() bool { return string(v.raw) == "null" }

func (v *tree) isEmpty() bool {
	switch v.String() {
	case "null", `""`, "[]", "{}":
		return true
	}
	return false
}

// looseBranch is what Parse must note as one Loose.
type looseBranch struct {
	*branch
	kind LooseKind
}

// loose walks a request for what not every provider takes.
func (v *tree) loose() []looseBranch {
	var out []looseBranch
	for _, m := range v.members {
		switch m.name {
		case "messages":
			for _, message := range m.value.elements {
				out = append(out, message.looseInMessage()...)
			}
		case "tools":
			for _, tool := range m.value.elements {
				out = append(out, tool.besideFunction(LooseToolMember, "type", "function")...)
			}
		case "stream_options":
			out = append(out, m.value.beside(LooseStreamOption, "include_usage")...)
		}
	}
	return out
}

func (v *tree) looseInMessage() []looseBranch {
	kinds := map[string]LooseKind{
		"tool_calls": LooseToolCalls, "tool_call_id": LooseToolCallID, "function_call": LooseFunctionCall, "audio": LooseAudio,
	}
	var out []looseBranch
	for _, m := range v.members {
		kind, named := kinds[m.name]
		switch {
		case m.name == "role" && m.value.text() == "developer":
			out = append(out, looseBranch{m, LooseDeveloper})
		case m.name == "content":
			for _, part := range m.value.elements {
				out = append(out, part.looseInPart()...)
			}
		case named:
			out = append(out, looseBranch{m, kind})
		case m.name != "role":
			out = append(out, looseBranch{m, LooseMessageMember})
		}
		if kind == LooseToolCalls {
			for _, call := range m.value.elements {
				out = append(out, call.besideFunction(LooseToolCallMember, "id", "type", "function")...)
			}
		}
	}
	return out
}

func (v *tree) looseInPart() []looseBranch {
	own := v.get("type").text()
	switch own {
	case "text", "image_url", "input_audio":
		return v.beside(LoosePartMember, "type", own)
	}
	return nil
}

// besideFunction is beside for what belongs to a function, and nothing else.
func (v *tree) besideFunction(kind LooseKind, names ...string) []looseBranch {
	if !v.isFunction() {
		return nil
	}
	return v.beside(kind, names...)
}

// beside is the members that have none of the names, and those within members
// whose own members Parse reads.
func (v *tree) beside(kind LooseKind, names ...string) []looseBranch {
	var out []looseBranch
	for _, m := range v.members {
		taken := false
		for _, name := range names {
			taken = taken || m.name == name
		}
		if !taken {
			out = append(out, looseBranch{m, kind})
		}
		switch {
		case kind == LoosePartMember && m.name == "image_url":
			out = append(out, m.value.beside(LooseImageMember, "url")...)
		case kind == LooseToolMember && m.name == "function":
			out = append(out, m.value.beside(LooseFunctionMember, "name", "description", "parameters")...)
		}
	}
	return out
}
