package sse

import "bytes"

// maxFrame bounds what a Tap remembers of a chunk.
const maxFrame = 2 << 10

// A frame is a chunk around its text: most chunks of a stream differ in nothing but one string. The walk depends on the
// bytes alone, so behind the same head, a string and the same tail it would come to where it came before.
type frame struct {
	head []byte // up to and including the string's opening quote
	tail []byte // from behind the string's closing quote to the end of the choices
	// choices is how many of them there are: of more choices in the same payload, the positions go on from there.
	choices int
}

// remember keeps the frame of a chunk that brought one string of text and nothing else up to the end of its choices.
func (c *chunk) remember() {
	if c.texts != 1 || c.textEnd > c.choicesEnd || c.choicesEnd > maxFrame || !c.ended.empty() {
		return
	}
	f := &c.tap.frame
	f.head = append(f.head[:0], c.data[:c.textEnd-len(c.text)-1]...)
	f.tail = append(f.tail[:0], c.data[c.textEnd:c.choicesEnd]...)
	f.choices = c.framed
}

// jump reads a chunk that has the frame of an earlier one, up to the end of its choices. False: it has not, and nothing
// was read. A string without text is no match, because what follows may then count where it did not before.
func (c *chunk) jump() bool {
	f := &c.tap.frame
	if len(f.head) == 0 || !bytes.HasPrefix(c.data, f.head) {
		return false
	}
	start := c.pos
	c.pos = len(f.head) - 1
	text := c.str()
	if len(text) == 0 || !bytes.HasPrefix(c.data[c.pos:], f.tail) {
		c.pos, c.bad = start, false
		return false
	}
	c.say(text, c.pos)
	c.pos += len(f.tail)
	c.choices = f.choices
	return true
}
