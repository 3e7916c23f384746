package scan

const (
	// MaxLoose bounds Document.Loose, and the members of one content part, tool or
	// tool call whose type stands behind them.
	MaxLoose = 1 << 15
	// LooseBytes is the size of one Loose in memory, in bytes: Document.Loose takes cap(Loose) times as many.
	LooseBytes = 20
)

// Loose is a nested member that not every provider takes, or a value that is
// written differently for some. It is small because a hostile body has one for
// every six bytes.
type Loose struct {
	// The offsets of the name, quotes included, and of the value.
	keyStart, keyEnd, valueStart, valueEnd uint32

	Kind LooseKind
	// Empty says that the value is null, "", [] or {}.
	Empty  bool
	action LooseAction // what the last AppendSplices decided
}

func looseAt(kind LooseKind, key, value Span) Loose {
	key = quoted(key)
	return Loose{
		Kind:     kind,
		keyStart: offset(key.Start), keyEnd: offset(key.End),
		valueStart: offset(value.Start), valueEnd: offset(value.End),
	}
}

// offset is an offset into a body, of which Parse takes no more than 2^31 bytes.
func offset(at int) uint32 { return uint32(at) }

// Key is the member's name as it stands in the body, quotes included.
func (l *Loose) Key() Span { return Span{int(l.keyStart), int(l.keyEnd)} }

// Value is the whole value.
func (l *Loose) Value() Span { return Span{int(l.valueStart), int(l.valueEnd)} }

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
	LooseToolCallMember                  // of messages[].tool_calls[] beside id, type and function, where the type is "function"
	LooseToolMember                      // of tools[] beside type and function, where the type is "function"
	LooseFunctionMember                  // of tools[].function beside name, description and parameters, where the type is "function"
	LooseStreamOption                    // of stream_options beside include_usage
)

// readLoose notes a member as loose and reads its value.
func (d *Document) readLoose(l *lexer, kind LooseKind, key Span) *Error {
	start, at := l.at, len(d.Loose)
	if err := d.addLoose(looseAt(kind, key, Span{})); err != nil {
		return err
	}
	if _, err := l.value(); err != nil {
		return err
	}
	d.Loose[at].end(d, Span{start, l.at})
	return nil
}

func (d *Document) addLoose(l Loose) *Error {
	if len(d.Loose) == MaxLoose {
		return &Error{
			Code: CodeInvalidValue, Offset: l.Key().Start,
			Reason: "has one of more than 32768 fields that not every provider takes",
		}
	}
	if n := len(d.Loose); n == cap(d.Loose) {
		// Append alone grows long slices in small steps, and would leave behind five times what it ends with.
		d.Loose = append(make([]Loose, 0, min(max(2*n, 16), MaxLoose)), d.Loose...)
	}
	d.Loose = append(d.Loose, l)
	return nil
}

// end gives a loose member its value, which has been read.
func (l *Loose) end(d *Document, value Span) {
	l.valueStart, l.valueEnd = offset(value.Start), offset(value.End)
	l.Empty = isEmpty(d.slice(value))
}

// quoted is the span of a string with its quotes.
func quoted(content Span) Span { return Span{content.Start - 1, content.End + 1} }

// LooseName is the member's name with its path, such as
// "messages.content.cache_control". A name that is not 1 to 64 letters, digits,
// "_", "-" and "." is given as "(unprintable)": the result is safe to show.
func (d *Document) LooseName(l *Loose) string {
	key := l.Key()
	var buf nameBuf
	name := safeParam(d.name(&buf, Span{key.Start + 1, key.End - 1}))
	if name == "" {
		name = "(unprintable)"
	}
	return l.Kind.Path() + "." + name
}

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
	case LooseStreamOption:
		return "stream_options"
	}
	return "messages"
}

// Extensions is a set of members of extra_body.
type Extensions uint8

// The members of extra_body. ExtensionOther stands for any other, google's
// other members included, and for a null wherever it stands.
const (
	ExtensionCachedContent  Extensions = 1 << iota // google.cached_content
	ExtensionThinkingConfig                        // google.thinking_config
	ExtensionOther
)
