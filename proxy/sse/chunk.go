package sse

// A chunk is one payload while it is read, and what it said. Nothing of it is believed before the walk has come to a
// good end, except the text, which goes to the sink at once.
type chunk struct {
	cursor
	tap        *Tap
	choices    int    // elements of the choices array
	ended      bitset // choices with a finish_reason in this chunk
	reasons    reasons
	usage      []byte // the usage object, nil without one
	id, model  []byte
	texts      int    // strings that went to the sink
	text       []byte // the last of them
	textEnd    int    // the position behind it
	choicesEnd int    // the position behind the choices, where a frame may end; 0: there is no frame to remember
	framed     int    // elements of the choices that end there
	content    bool   // there was text, or media
	failed     bool   // there was an error on top
}

// read walks the payload. It follows the path to every member that it acts on: text that a model made up cannot stand
// at such a path, not even where a provider sends tool arguments as an object.
func (c *chunk) read() {
	if c.peek() != '{' {
		c.fail()
		return
	}
	dull := !c.jump() // so far there was nothing that matters
	if dull {
		c.enter()
	}
	for c.more('}') {
		switch string(c.key()) {
		case "choices":
			c.readChoices()
			if dull {
				c.choicesEnd, c.framed = c.pos, c.choices
			}
			dull = false
		case "usage":
			c.readUsage()
			dull = false
		case "error":
			c.failed = c.truthy() || c.failed
			dull = false
		case "id":
			c.id = c.optionalString()
		case "model":
			c.model = c.optionalString()
		default:
			c.skip()
		}
	}
	if c.peek() != 0 {
		c.fail()
	}
}

// optionalString steps over a value and returns it when it is a string, else nil.
func (c *chunk) optionalString() []byte {
	if c.peek() == '"' {
		return c.str()
	}
	c.skip()
	return nil
}

// readUsage takes an object. Null is how a provider says that usage comes later; anything else says nothing.
func (c *chunk) readUsage() {
	if c.peek() != '{' {
		c.skip()
		return
	}
	start := c.pos
	c.skipNested()
	c.usage = c.data[start:c.pos]
}

// truthy steps over a value and reports whether it is one that the OpenAI clients take for an error: they ask for its
// truth value, so that null, false, 0 and "" are none.
func (c *chunk) truthy() bool {
	switch c.peek() {
	case '"':
		return len(c.str()) > 0
	case '{', '[':
		c.skipNested()
		return true
	}
	return truthyScalar(c.scalar())
}

func truthyScalar(scalar []byte) bool {
	switch string(scalar) {
	case "null", "false", "0", "":
		return false
	}
	return true
}

func (c *chunk) readChoices() {
	if c.peek() != '[' {
		c.skip()
		return
	}
	c.enter()
	for c.more(']') {
		c.choices++
		if c.peek() == '{' {
			c.readChoice(c.choices - 1)
		} else {
			c.skip()
		}
	}
}

// readChoice reads one choice. Its index may come after its finish_reason; without one its position counts.
func (c *chunk) readChoice(index int) {
	var reason []byte
	c.enter()
	for c.more('}') {
		switch string(c.key()) {
		case "index":
			index = number(c.value())
		case "delta", "message":
			c.readDelta()
		case "text":
			c.readText()
		case "finish_reason":
			reason = c.optionalString()
		default:
			c.skip()
		}
	}
	if len(reason) > 0 {
		c.ended.add(index)
		c.reasons.add(reason)
	}
}

func (c *chunk) readDelta() {
	if c.peek() != '{' {
		c.skip()
		return
	}
	reasoned := false
	c.enter()
	for c.more('}') {
		switch string(c.key()) {
		case "content", "refusal", "tool_calls", "function_call", "audio", "images":
			c.readText()
		case "reasoning_content", "reasoning":
			// One is the other's old name, and servers that changed the name send both with the same text.
			if reasoned {
				c.skip()
				continue
			}
			before := c.texts
			c.readText()
			reasoned = c.texts > before
		default:
			c.skip()
		}
	}
}

// readText takes a value as text: a string, or the strings inside an array or object.
func (c *chunk) readText() {
	switch c.peek() {
	case '"':
		s := c.str()
		c.say(s, c.pos)
	case '{', '[':
		c.readParts()
	default:
		c.scalar()
	}
}

// readParts finds the text in content parts, tool calls and audio, at any depth and in constant space: the strings
// under the names that those use for what the model wrote. A string in an array goes by the last name before it.
func (c *chunk) readParts() {
	meaning := isText
	for depth := 0; ; {
		switch c.peek() {
		case '"':
			s := c.str()
			end := c.pos
			if c.peek() == ':' {
				meaning = meaningOf(s)
				break
			}
			if meaning == isText {
				c.say(s, end)
			}
			c.content = c.content || meaning == isMedia && len(s) > 0
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

// A meaning says what a string inside a delta is, by the name of its member.
type meaning uint8

const (
	isOther meaning = iota
	isText
	isMedia // an answer, but no text
)

func meaningOf(name []byte) meaning {
	switch string(name) {
	case "text", "thinking", "refusal", "name", "arguments", "input", "transcript":
		return isText
	case "data", "url", "b64_json":
		return isMedia
	}
	return isOther
}

// say hands on a string whose closing quote stands before end.
func (c *chunk) say(escaped []byte, end int) {
	if len(escaped) == 0 {
		return
	}
	c.content = true
	c.texts++
	c.text, c.textEnd = escaped, end
	c.tap.contentBytes += int64(len(escaped))
	if c.tap.Text != nil {
		c.tap.Text.AddJSON(escaped)
	}
}

// value steps over a value and returns it when it is a scalar.
func (c *chunk) value() []byte {
	switch c.peek() {
	case '"', '{', '[':
		c.skip()
		return nil
	}
	return c.scalar()
}
