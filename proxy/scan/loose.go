package scan

// MaxLoose bounds Document.Loose, and the members of one content part whose type stands behind them.
const MaxLoose = 1 << 15

// Loose is a nested member that not every provider takes, or a value that is
// written differently for some.
type Loose struct {
	Kind LooseKind
	// Empty says that the value is null, "", [] or {}.
	Empty bool
	// Key is the member's name as it stands in the body, quotes included; Value is the whole value.
	Key, Value Span
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

// readLoose notes a member as loose and reads its value.
func (d *Document) readLoose(l *lexer, kind LooseKind, key Span) *Error {
	start, at := l.at, len(d.Loose)
	if err := d.addLoose(Loose{Kind: kind, Key: quoted(key)}); err != nil {
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
			Code: CodeInvalidValue, Offset: l.Key.Start,
			Reason: "has one of more than 32768 fields that not every provider takes",
		}
	}
	d.Loose = append(d.Loose, l)
	return nil
}

// end gives a loose member its value, which has been read.
func (l *Loose) end(d *Document, value Span) {
	l.Value = value
	l.Empty = isEmpty(d.slice(value))
}

// quoted is the span of a string with its quotes.
func quoted(content Span) Span { return Span{content.Start - 1, content.End + 1} }

// LooseName is the member's name with its path, such as
// "messages.content.cache_control". A name that is not 1 to 64 letters, digits,
// "_", "-" and "." is given as "(unprintable)": the result is safe to show.
func (d *Document) LooseName(l *Loose) string {
	raw := d.slice(Span{l.Key.Start + 1, l.Key.End - 1})
	name := ""
	if len(raw) <= MaxName*maxEscape {
		var buf [MaxName * maxEscape]byte
		if unescaped := appendUnescaped(buf[:0], raw); len(unescaped) <= MaxName {
			name = safeParam(unescaped)
		}
	}
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
