package sse

import "bytes"

// A cursor walks one JSON text and takes strings as they stand, escapes and all. It checks the structure (brackets,
// commas, colons, ends of strings) as far as it walks and not the spelling of what it steps over: it listens to bytes
// that travel on unchanged, and whoever needs certainty calls json.Valid. After a fault it stands at the end.
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

// more steps to the next member or element, and returns false when it stepped over the closing bracket instead.
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
		b = c.peek()
	}
	if b == 0 || b == closing || b == ',' {
		c.fail()
		return false
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
	start := c.pos + 1
	near := min(start+shortString, len(c.data))
	for i := start; i < near; i++ {
		switch c.data[i] {
		case '"':
			c.pos = i + 1
			return c.data[start:i]
		case '\\':
			i++
		}
	}
	return c.longStr(start)
}

func (c *cursor) longStr(start int) []byte {
	for i := start; ; i++ {
		n := bytes.IndexByte(c.data[i:], '"')
		if n < 0 {
			c.fail()
			return nil
		}
		i += n
		if !escaped(c.data[start:i]) {
			c.pos = i + 1
			return c.data[start:i]
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

// skipNested steps over an object or array of any depth in constant space.
func (c *cursor) skipNested() {
	for depth := 0; ; {
		switch c.peek() {
		case '"':
			c.str()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case 0:
			c.fail()
			return
		}
		c.pos++
		if depth == 0 {
			return
		}
	}
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
