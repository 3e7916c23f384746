package usage

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape appends the text of a JSON string's body to dst. A surrogate without its
// partner becomes U+FFFD, as everywhere; what is no escape at all is kept as it
// stands, because a text that is only counted need not be refused.
func unescape(dst, body []byte) []byte {
	for {
		at := bytes.IndexByte(body, '\\')
		if at < 0 {
			return append(dst, body...)
		}
		dst = append(dst, body[:at]...)
		r, n := readEscape(body[at:])
		if n == 0 {
			dst = append(dst, '\\')
			body = body[at+1:]
			continue
		}
		dst = utf8.AppendRune(dst, r)
		body = body[at+n:]
	}
}

// readEscape reads the escape that s begins with: the character, and the length of
// the escape, 0 when it is none.
func readEscape(s []byte) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
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
		return readUnicodeEscape(s)
	}
	return 0, 0
}

const unicodeEscapeLen = len(`\u0000`)

// readUnicodeEscape reads an escape of four hexadecimal digits, or the two that make a surrogate pair.
func readUnicodeEscape(s []byte) (rune, int) {
	first, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, unicodeEscapeLen
	}
	if second, ok := hex4(s[unicodeEscapeLen:]); ok {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return r, 2 * unicodeEscapeLen
		}
	}
	return utf8.RuneError, unicodeEscapeLen
}

// hex4 reads the four hexadecimal digits of the escape that s begins with.
func hex4(s []byte) (rune, bool) {
	if len(s) < unicodeEscapeLen || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s[2:unicodeEscapeLen] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// wholeCharacters is how much of a JSON string's body ends with a whole character:
// all of it, but for an escape, a surrogate pair or UTF-8 that has only begun.
func wholeCharacters(body []byte) int {
	tail := max(0, len(body)-unicodeEscapeLen)
	if at := bytes.LastIndexByte(body[tail:], '\\'); at >= 0 && beginsEscape(body, tail+at) {
		escape := body[tail+at:]
		r, isUnicode := hex4(escape)
		begun := len(escape) == 1 || escape[1] == 'u' && !isUnicode
		if begun || isUnicode && r >= 0xD800 && r <= 0xDBFF && len(escape) == unicodeEscapeLen {
			return tail + at
		}
		return len(body)
	}
	for at := len(body) - 1; at >= 0 && at > len(body)-utf8.UTFMax; at-- {
		if utf8.RuneStart(body[at]) {
			if !utf8.FullRune(body[at:]) {
				return at
			}
			break
		}
	}
	return len(body)
}

// beginsEscape says whether the backslash at that place is not itself escaped.
func beginsEscape(body []byte, at int) bool {
	begins := true
	for at--; at >= 0 && body[at] == '\\'; at-- {
		begins = !begins
	}
	return begins
}
