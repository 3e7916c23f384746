package usage

import (
	"bytes"
	"encoding/json"
)

// maxPlainDepth is how deep the objects of an honest usage object are nested, and then some.
const maxPlainDepth = 4

// validJSON is json.Valid, at a sixth of its price for what providers usually send.
func validJSON(raw []byte) bool { return isPlainObject(raw) || json.Valid(raw) }

// isPlainObject says whether raw is surely an object in JSON. What is unusual in a
// usage object (an escape, a fraction, a list) it leaves to encoding/json.
func isPlainObject(raw []byte) bool {
	rest, plain := afterPlainObject(skipSpace(raw), maxPlainDepth)
	return plain && len(skipSpace(rest)) == 0
}

// afterPlainObject returns what follows the plain object that s begins with.
func afterPlainObject(s []byte, depth int) (rest []byte, plain bool) {
	s, plain = afterByte(s, '{')
	if !plain || depth == 0 {
		return nil, false
	}
	if rest, empty := afterByte(s, '}'); empty {
		return rest, true
	}
	for {
		if s, plain = afterPlainString(skipSpace(s)); !plain {
			return nil, false
		}
		if s, plain = afterByte(s, ':'); !plain {
			return nil, false
		}
		if s, plain = afterPlainValue(skipSpace(s), depth); !plain {
			return nil, false
		}
		if rest, last := afterByte(s, '}'); last {
			return rest, true
		}
		if s, plain = afterByte(s, ','); !plain {
			return nil, false
		}
	}
}

// afterPlainValue does so for a value. That nothing else is glued to it is for the
// caller to see, who goes on with a comma or a brace.
func afterPlainValue(s []byte, depth int) (rest []byte, plain bool) {
	if len(s) == 0 {
		return nil, false
	}
	switch c := s[0]; {
	case c == '{':
		return afterPlainObject(s, depth-1)
	case c == '"':
		return afterPlainString(s)
	case c == '0':
		return s[1:], true
	case c >= '1' && c <= '9':
		for len(s) > 0 && s[0] >= '0' && s[0] <= '9' {
			s = s[1:]
		}
		return s, true
	case c == 'n':
		return bytes.CutPrefix(s, []byte("null"))
	}
	return nil, false
}

// afterPlainString does so for a string without escapes.
func afterPlainString(s []byte) (rest []byte, plain bool) {
	if len(s) == 0 || s[0] != '"' {
		return nil, false
	}
	for i, c := range s[1:] {
		switch {
		case c == '"':
			return s[i+2:], true
		case c < ' ' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

// afterByte does so for one character, with space before it.
func afterByte(s []byte, c byte) (rest []byte, plain bool) {
	s = skipSpace(s)
	if len(s) == 0 || s[0] != c {
		return nil, false
	}
	return s[1:], true
}
