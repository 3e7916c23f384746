package sse

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep arrays and objects may nest, as in encoding/json.
const maxDepth = 10_000

// A validator walks one JSON text and checks all of its grammar (RFC 8259). It accepts what json.Valid accepts, bytes
// that are no UTF-8 inside strings included, in a fraction of its time: not a call per byte.
type validator struct {
	data    []byte
	pos     int
	depth   int
	objects [maxDepth/64 + 1]uint64 // which of the open brackets are braces
}

// A standing says where a validator stands.
type standing uint8

const (
	broken standing = iota // this is not JSON
	due                    // in front of a value
	over                   // behind a value, or in front of what closes an empty object or array
	whole                  // behind the text
)

// valid reports whether data is one JSON value.
func valid(data []byte) bool {
	v := validator{data: data}
	stands := due
	for stands == due {
		if stands = v.value(); stands == over {
			stands = v.next()
		}
	}
	return stands == whole
}

// value steps over a scalar, or into an object or array.
func (v *validator) value() standing {
	first := v.peek()
	switch first {
	case '{':
		return v.open('{', '}')
	case '[':
		return v.open('[', ']')
	}
	if !v.scalar(first) {
		return broken
	}
	return over
}

// next steps over the brackets that close behind a value, and over a comma.
func (v *validator) next() standing {
	for v.depth > 0 {
		closing := byte(']')
		if v.inObject() {
			closing = '}'
		}
		switch v.peek() {
		case closing:
			v.depth--
			v.pos++
		case ',':
			v.pos++
			return v.member(closing)
		default:
			return broken
		}
	}
	if v.peek(); v.pos < len(v.data) {
		return broken
	}
	return whole
}

// member steps in front of a member's or an element's value.
func (v *validator) member(closing byte) standing {
	if closing == '}' && !v.name() {
		return broken
	}
	return due
}

func (v *validator) open(bracket, closing byte) standing {
	if v.depth == maxDepth {
		return broken
	}
	bit := uint64(1) << (v.depth % 64)
	if bracket == '{' {
		v.objects[v.depth/64] |= bit
	} else {
		v.objects[v.depth/64] &^= bit
	}
	v.depth++
	v.pos++
	if v.peek() == closing {
		return over
	}
	return v.member(closing)
}

func (v *validator) inObject() bool {
	top := v.depth - 1
	return v.objects[top/64]>>(top%64)&1 == 1
}

// peek returns the next byte that is not white space, 0 at the end.
func (v *validator) peek() byte {
	for v.pos < len(v.data) {
		b := v.data[v.pos]
		if b > ' ' || b != ' ' && b != '\n' && b != '\r' && b != '\t' {
			return b
		}
		v.pos++
	}
	return 0
}

// name steps over a member's name and its colon.
func (v *validator) name() bool {
	if v.peek() != '"' || !v.str() || v.peek() != ':' {
		return false
	}
	v.pos++
	return true
}

// scalar steps over a string, number, true, false or null that begins with first.
func (v *validator) scalar(first byte) bool {
	switch first {
	case '"':
		return v.str()
	case 't':
		return v.word("true")
	case 'f':
		return v.word("false")
	case 'n':
		return v.word("null")
	}
	return v.number()
}

func (v *validator) word(word string) bool {
	if len(v.data)-v.pos < len(word) || string(v.data[v.pos:v.pos+len(word)]) != word {
		return false
	}
	v.pos += len(word)
	return true
}

// str steps over a string.
func (v *validator) str() bool {
	for i := v.pos + 1; ; {
		i += plainLen(v.data[i:])
		if i == len(v.data) || v.data[i] < ' ' {
			return false
		}
		if v.data[i] == '"' {
			v.pos = i + 1
			return true
		}
		n := escapeLen(v.data[i+1:])
		if n == 0 {
			return false
		}
		i += 1 + n
	}
}

// plainLen is the length of the text in front of the first quote, backslash or control character. It looks at eight
// bytes at once: of those that are looked for, the lowest is marked in its top bit, and none below it is.
func plainLen(text []byte) int {
	const each, top = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(text)-i >= 8; i += 8 {
		word := binary.LittleEndian.Uint64(text[i:])
		quote, backslash := word^each*'"', word^each*'\\'
		marks := (word - each*' ') &^ word
		marks |= (quote - each) &^ quote
		marks |= (backslash - each) &^ backslash
		if marks &= top; marks != 0 {
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	for i < len(text) && text[i] != '"' && text[i] != '\\' && text[i] >= ' ' {
		i++
	}
	return i
}

// escapeLen is the length of the escape whose backslash stands before rest, without it; 0: it is none.
func escapeLen(rest []byte) int {
	if len(rest) == 0 {
		return 0
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(rest) < 5 {
			return 0
		}
		for _, b := range rest[1:5] {
			if !isHex(b) {
				return 0
			}
		}
		return 5
	}
	return 0
}

func isHex(b byte) bool {
	return isDigit(b) || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// number steps over a number: digits without a leading zero, a fraction, an exponent.
func (v *validator) number() bool {
	v.accept("-")
	if !v.accept("0") && !v.digits() {
		return false
	}
	if v.accept(".") && !v.digits() {
		return false
	}
	if v.accept("eE") {
		v.accept("+-")
		return v.digits()
	}
	return true
}

// accept steps over the next byte if it is one of these.
func (v *validator) accept(these string) bool {
	if v.pos == len(v.data) {
		return false
	}
	for i := range len(these) {
		if v.data[v.pos] == these[i] {
			v.pos++
			return true
		}
	}
	return false
}

// digits steps over one digit or more.
func (v *validator) digits() bool {
	start := v.pos
	for v.pos < len(v.data) && isDigit(v.data[v.pos]) {
		v.pos++
	}
	return v.pos > start
}
