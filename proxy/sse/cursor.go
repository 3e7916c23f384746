package sse

import "bytes"

// A cursor walks one JSON text and takes strings as they stand, escapes and all. It checks the structure (brackets,
// commas, colons, ends of strings) as far as it walks and not the spelling of what it steps over: it listens to bytes
// that travel on unchanged, and whoever needs certainty calls ValidChunk. After a fault it stands at the end.
type cursor struct {
	data  []byte
	pos   int
	fresh bool // the last thing read was an opening bracket
	bad   bool
}

func (c *cursor) fail() {
	c.bad = true
	c.pos = len(c.data)
}

// peek returns the next byte that is not white space, 0 at the end.
func (c *cursor) peek() byte {
	for c.pos < len(c.data) {
		if b := c.data[c.pos]; b > ' ' {
			return b
		}
		c.pos++
	}
	return 0
}

// enter steps into the object or array that open begins; the caller knows from peek that it does.
func (c *cursor) enter() {
	c.pos++
	c.fresh = true
}

// more steps to the next member or element, and returns false when it stepped over the closing bracket instead. What
// stands in the place of a member but is none will fail when it is read.
func (c *cursor) more(closing byte) bool {
	b := c.peek()
	fresh := c.fresh
	c.fresh = false
	if b == closing {
		c.pos++
		return false
	}
	if !fresh {
		if b != ',' {
			c.fail()
			return false
		}
		c.pos++
	}
	return true
}

// key reads a member's name and its colon. The name is compared as it stands: no provider escapes letters in names.
func (c *cursor) key() []byte {
	name := c.str()
	if c.peek() != ':' {
		c.fail()
		return nil
	}
	c.pos++
	return name
}

// shortString is how far a byte-by-byte search for the end of a string beats bytes.IndexByte.
const shortString = 24

// str reads a string and returns what stands between its quotes.
func (c *cursor) str() []byte {
	if c.peek() != '"' {
		c.fail()
		return nil
	}
	rest := c.data[c.pos+1:]
	for i, b := range rest[:min(len(rest), shortString)] {
		if b == '"' {
			c.pos += i + 2
			return rest[:i]
		}
		if b == '\\' {
			break
		}
	}
	n := textLen(rest)
	if n < 0 {
		c.fail()
		return nil
	}
	c.pos += n + 2
	return rest[:n]
}

// textLen returns how much of rest is the text of a string that began before it, -1 when its closing quote is missing.
func textLen(rest []byte) int {
	for i := 0; ; i++ {
		n := bytes.IndexByte(rest[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		if !escaped(rest[:i]) {
			return i
		}
	}
}

// escaped reports whether the byte that follows before is escaped: whether before ends in an odd number of backslashes.
func escaped(before []byte) bool {
	n := len(before)
	for n > 0 && before[n-1] == '\\' {
		n--
	}
	return (len(before)-n)%2 == 1
}

// skip steps over a value.
func (c *cursor) skip() {
	switch c.peek() {
	case '"':
		c.str()
	case '{', '[':
		c.skipNested()
	default:
		c.scalar()
	}
}

// skipNested steps over an object or array of any depth in constant space. In a usage object, its usual victim, most
// strings are names of some length, which bytes.IndexByte passes fastest.
func (c *cursor) skipNested() {
	depth := 0
	for i := c.pos; i < len(c.data); i++ {
		switch c.data[i] {
		case '"':
			n := textLen(c.data[i+1:])
			if n < 0 {
				c.fail()
				return
			}
			i += n + 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				c.pos = i + 1
				return
			}
		}
	}
	c.fail()
}

// scalar reads a number, true, false or null, or whatever stands in its place.
func (c *cursor) scalar() []byte {
	c.peek()
	start := c.pos
	for c.pos < len(c.data) {
		b := c.data[c.pos]
		if b == ',' || b == '}' || b == ']' || b <= ' ' {
			break
		}
		c.pos++
	}
	if c.pos == start {
		c.fail()
	}
	return c.data[start:c.pos]
}
