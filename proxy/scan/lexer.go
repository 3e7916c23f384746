package scan

// MaxDepth is how deep arrays and objects may be nested, the body's own object included.
const MaxDepth = 64

// lexer validates a JSON text (RFC 8259) from left to right. Its methods expect
// at to stand on the first byte of what they read and leave it behind the last.
type lexer struct {
	body  []byte
	at    int
	depth int // arrays and objects that are open
}

// kind tells which value begins at the current byte.
func (l *lexer) kind() Kind { return kindOf(l.cur()) }

// cur is the current byte, 0 at the end of the body; no JSON text holds a NUL byte.
func (l *lexer) cur() byte {
	if l.at < len(l.body) {
		return l.body[l.at]
	}
	return 0
}

func (l *lexer) space() {
	for l.at < len(l.body) {
		switch l.body[l.at] {
		case ' ', '\t', '\n', '\r':
			l.at++
		default:
			return
		}
	}
}

// value validates one value of any kind.
func (l *lexer) value() (Kind, *Error) {
	kind := l.kind()
	switch kind {
	case Object:
		return kind, l.object(nil)
	case Array:
		return kind, l.array(nil)
	case String:
		_, err := l.str()
		return kind, err
	case Number:
		return kind, l.number()
	case Bool, Null:
		return kind, l.literal()
	default:
		return kind, l.unexpected()
	}
}

// want tells the kind of the coming value if it is one of the set. A value of
// another kind is refused, once it has proved to be JSON at all.
func (l *lexer) want(set kinds, param string) (Kind, *Error) {
	kind, start := l.kind(), l.at
	if set.has(kind) {
		return kind, nil
	}
	if _, err := l.value(); err != nil {
		return kind, err
	}
	return kind, &Error{Code: CodeInvalidType, Param: param, Offset: start, Reason: "must be " + set.String()}
}

// wantString reads a string, and refuses anything else. The span is its raw
// content, without the quotes.
func (l *lexer) wantString(param string) (Span, *Error) {
	if _, err := l.want(aString, param); err != nil {
		return Span{}, err
	}
	return l.str()
}

// object validates an object. When each is given, it is called with the raw
// content of every key, without the quotes, and must read the value.
func (l *lexer) object(each func(key Span) *Error) *Error {
	if err := l.open(); err != nil {
		return err
	}
	if l.cur() == '}' {
		l.close()
		return nil
	}
	for {
		key, err := l.key()
		if err != nil {
			return err
		}
		if each != nil {
			err = each(key)
		} else {
			_, err = l.value()
		}
		if err != nil {
			return err
		}
		if more, err := l.more('}'); !more {
			return err
		}
	}
}

// array validates an array. When each is given, it is called for every element
// with the element's index, and must read it.
func (l *lexer) array(each func(i int) *Error) *Error {
	if err := l.open(); err != nil {
		return err
	}
	if l.cur() == ']' {
		l.close()
		return nil
	}
	for i := 0; ; i++ {
		var err *Error
		if each != nil {
			err = each(i)
		} else {
			_, err = l.value()
		}
		if err != nil {
			return err
		}
		if more, err := l.more(']'); !more {
			return err
		}
	}
}

func (l *lexer) open() *Error {
	if l.depth++; l.depth > MaxDepth {
		return &Error{Code: CodeTooDeep, Offset: l.at, Reason: "is nested more than 64 levels deep"}
	}
	l.at++
	l.space()
	return nil
}

func (l *lexer) close() {
	l.at++
	l.depth--
}

// key reads an object's key up to the value that follows its colon.
func (l *lexer) key() (Span, *Error) {
	if l.cur() != '"' {
		return Span{}, l.unexpected()
	}
	key, err := l.str()
	if err != nil {
		return Span{}, err
	}
	l.space()
	if l.cur() != ':' {
		return Span{}, l.unexpected()
	}
	l.at++
	l.space()
	return key, nil
}

// more reads what follows an element: a comma, and there is more; or the end.
func (l *lexer) more(end byte) (bool, *Error) {
	l.space()
	switch l.cur() {
	case ',':
		l.at++
		l.space()
		return true, nil
	case end:
		l.close()
		return false, nil
	}
	return false, l.unexpected()
}

func (l *lexer) literal() *Error {
	word := "null"
	switch l.cur() {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	}
	for i := range len(word) {
		if l.cur() != word[i] {
			return l.unexpected()
		}
		l.at++
	}
	return nil
}

// unexpected refuses the current byte.
func (l *lexer) unexpected() *Error {
	if l.at >= len(l.body) {
		return l.malformed("it ends too early")
	}
	return l.malformed("a character is out of place")
}

func (l *lexer) malformed(why string) *Error {
	return &Error{Code: CodeInvalidJSON, Offset: l.at, Reason: "is not valid JSON: " + why}
}
