package head

// The bytes of a token (RFC 9110, section 5.6.2), one bit each: below '@' and from '@' on.
const (
	tokenLow  = 0x3FF<<'0' | 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
	tokenHigh = letters<<('A'-64) | letters<<('a'-64) | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
)

// The bytes of a Host value, that is of uri-host and port (RFC 3986, section 3.2.2).
const (
	hostLow  = 0x3FF<<'0' | 1<<'!' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' | 1<<'*' | 1<<'+' | 1<<',' | 1<<'-' | 1<<'.' | 1<<':' | 1<<';' | 1<<'='
	hostHigh = letters<<('A'-64) | letters<<('a'-64) | 1<<('['-64) | 1<<(']'-64) | 1<<('_'-64) | 1<<('~'-64)
)

const letters = 1<<26 - 1

func isToken(name []byte) bool {
	for _, b := range name {
		if !isOneOf(b, tokenLow, tokenHigh) {
			return false
		}
	}
	return len(name) > 0
}

func isHost(value []byte) bool {
	for _, b := range value {
		if !isOneOf(b, hostLow, hostHigh) {
			return false
		}
	}
	return true
}

func isOneOf(b byte, low, high uint64) bool {
	switch {
	case b < 64:
		return low>>b&1 != 0
	case b < 128:
		return high>>(b-64)&1 != 0
	}
	return false
}

// isText says whether value holds only what RFC 9110, section 5.5, allows in a
// field value: visible characters, spaces, tabs, and bytes beyond ASCII.
func isText(value []byte) bool {
	for _, b := range value {
		if (b < ' ' && b != '\t') || b == 0x7F {
			return false
		}
	}
	return true
}

// is compares without regard to ASCII case only. bytes.EqualFold would also
// take U+212A for a "k", and so "chun\u212Aed" for "chunked".
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// parseLength reads a Content-Length: digits without sign or leading zero, at
// most 18 of them, which no int64 overflows.
func parseLength(value []byte) (int64, bool) {
	if len(value) == 0 || len(value) > 18 || (value[0] == '0' && len(value) > 1) {
		return 0, false
	}
	var n int64
	for _, b := range value {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	return n, true
}

// trim removes the optional white space (spaces and tabs) around a field value.
func trim(value []byte) []byte {
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	return value
}
