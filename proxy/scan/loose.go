package scan

// MaxLoose bounds Document.Loose.
const MaxLoose = 1 << 15

// Loose is a nested member that not every provider takes, or a value that is
// written differently for some.
type Loose struct {
	Kind LooseKind
	// Empty says that the value is null, "", [] or {}.
	Empty bool
	// Key is the member's name as it stands in the body, quotes included; Value is the whole value.
	Key, Value Span

	object int // which object of the body the member belongs to
	prev   int // the end of the value before it in that object, -1 for the first member
	next   int // the start of the key behind it in that object, -1 for the last member
}

// LooseKind says what a Loose is.
type LooseKind uint8

// The kinds of Loose. Those that name a field stand for it whether it is empty or not.
const (
	LooseDeveloper      LooseKind = iota // the value "developer" of a message's role: not to be removed
	LooseToolCalls                       // messages[].tool_calls
	LooseToolCallID                      // messages[].tool_call_id
	LooseFunctionCall                    // messages[].function_call
	LooseAudio                           // messages[].audio
	LooseMessageMember                   // any other member of a message beside role and content
	LoosePartMember                      // of a content part: all but its type and what its type is about
	LooseImageMember                     // of image_url beside url
	LooseToolCallMember                  // of messages[].tool_calls[] beside id, type and function
	LooseToolMember                      // of tools[] beside type and function
	LooseFunctionMember                  // of tools[].function beside name, description and parameters
)

// Path is where such members stand, without indexes, such as "messages.content.image_url".
func (k LooseKind) Path() string {
	switch k {
	case LoosePartMember:
		return "messages.content"
	case LooseImageMember:
		return "messages.content.image_url"
	case LooseToolCallMember:
		return "messages.tool_calls"
	case LooseToolMember:
		return "tools"
	case LooseFunctionMember:
		return "tools.function"
	}
	return "messages"
}

// Extensions is a set of members of extra_body.
type Extensions uint8

// The members of extra_body. ExtensionOther stands for any other, google's other members included.
const (
	ExtensionCachedContent  Extensions = 1 << iota // google.cached_content
	ExtensionThinkingConfig                        // google.thinking_config
	ExtensionOther
)
