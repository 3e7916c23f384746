package scan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// str validates a string and returns its raw content, without the quotes and
// still escaped. Beyond RFC 8259 it refuses lone surrogates, which some readers
// turn into U+FFFD and others keep.
func (l *lexer) str() (Span, *Error) {
	start := l.at + 1
	l.at = start
	var wide uint64
	for {
		end, high := plain(l.body, l.at)
		l.at = end
		wide |= high
		switch b := l.cur(); {
		case b == '"':
			if wide != 0 && !utf8.Valid(l.body[start:end]) {
				l.at = start
				return Span{}, l.malformed("a string is not valid UTF-8")
			}
			l.at++
			return Span{start, end}, nil
		case b == '\\':
			if err := l.escape(); err != nil {
				return Span{}, err
			}
		case l.at == len(l.body):
			return Span{}, l.unexpected()
		default:
			return Span{}, l.malformed("a string holds a control character")
		}
	}
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// plain finds the end of a run of string bytes that need no attention: the
// next quote, backslash or control character, or the end of the body. high is
// not 0 when the run holds bytes beyond ASCII. It looks at eight bytes
// at a time: x-everyByte borrows into the top bit of exactly the bytes that are 0,
// up to the first such byte, and x-0x20*everyByte likewise for those below a space.
func plain(body []byte, at int) (end int, high uint64) {
	for ; len(body)-at >= 8; at += 8 {
		word := binary.LittleEndian.Uint64(body[at:])
		quote, slash := word^('"'*everyByte), word^('\\'*everyByte)
		stops := ((quote-everyByte)&^quote | (slash-everyByte)&^slash | (word-0x20*everyByte)&^word) & highBits
		if stops != 0 {
			n := bits.TrailingZeros64(stops) &^ 7
			return at + n/8, (high | word&(1<<n-1)) & highBits
		}
		high |= word
	}
	for ; at < len(body); at++ {
		b := body[at]
		if b == '"' || b == '\\' || b < ' ' {
			break
		}
		high |= uint64(b)
	}
	return at, high & highBits
}

// escape validates one escape sequence, or two that are a surrogate pair.
func (l *lexer) escape() *Error {
	r, n := unescapeRune(l.body[l.at:])
	switch {
	case n == 0:
		return l.malformed("an escape sequence is incomplete or unknown")
	case r == loneSurrogate:
		return l.malformed("a surrogate escape stands alone")
	}
	l.at += n
	return nil
}

const loneSurrogate rune = -1

// unescapeRune decodes the escape sequence that raw begins with and returns its
// length: 0 for one that is malformed or cut short. Half a surrogate pair is
// loneSurrogate.
func unescapeRune(raw []byte) (rune, int) {
	if len(raw) < 2 {
		return 0, 0
	}
	switch raw[1] {
	case '"', '\\', '/':
		return rune(raw[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		return unescapeUnicode(raw)
	}
	return 0, 0
}

func unescapeUnicode(raw []byte) (rune, int) {
	first, ok := hex4(raw)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(first):
		return first, 6
	}
	second, ok := hex4(raw[6:])
	if r := utf16.DecodeRune(first, second); ok && r != utf8.RuneError {
		return r, 12
	}
	return loneSurrogate, 6
}

// hex4 reads a backslash, a u and four hexadecimal digits.
func hex4(raw []byte) (r rune, ok bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	for _, b := range raw[2:6] {
		switch {
		case '0' <= b && b <= '9':
			b -= '0'
		case 'a' <= b|0x20 && b|0x20 <= 'f':
			b = b | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(b)
	}
	return r, true
}

// appendUnescaped appends the text of a string's raw content, up to the first
// escape sequence that is not whole; a validated string has none.
func appendUnescaped(dst, raw []byte) []byte {
	for {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:n]...)
		raw = raw[n:]
		r, n := unescapeRune(raw)
		if n == 0 {
			return dst
		}
		dst = utf8.AppendRune(dst, r)
		raw = raw[n:]
	}
}
