package sse

import "bytes"

// An oversize reads the payload of an event that is never in memory whole: it can stop at any byte and go on with the
// next fragment. It looks for what decides whether an answer is complete and what it cost: finish reasons, usage, error,
// and the text of the choices. All of it is read as a chunk reads it: how long an event is must change neither which
// answers are finished nor how much they said.
//
// It knows less of an event than a chunk does: it counts brackets and does not check what stands between them, it may
// take names for text where a text member nests deeper than 64 brackets, and [DONE] is a broken payload to it.
type oversize struct {
	line     spelling // the current line up to the payload's part of it, or as much of a line that has none as matters
	inData   bool     // the current line is of the payload
	hasData  bool     // a line of the field data was seen
	alarm    bool     // the event is named error
	depth    int      // open brackets
	braces   uint64   // which of the innermost open brackets are braces: 1, the innermost last
	begun    bool     // the payload's first bracket was seen
	broken   bool     // the payload is no object, or something stands behind it
	inString bool
	escape   bool     // the next byte of the string is escaped
	naming   bool     // a string that begins here is a name
	key      spelling // the current or last string, number or literal
	part     member   // the top-level member around the current position
	next     member   // the member whose value comes next
	due      bool     // an element of the choices may come next
	position int      // elements of the choices so far
	index    int      // of the current choice, -1 when what it has is none
	finished bool     // the current choice has a finish_reason
	ended    bitset
	failed   bool
	capture  bool // the current position is inside the usage object
	usage    []byte
	inDelta  bool    // what was opened last at the depth of a delta is one
	saying   bool    // the last name in the choice or its delta is one that text stands under
	meaning  meaning // of the strings there, by the last name before them
	thinking bool    // the last name in the delta is one of the reasoning
	thought  bool    // the delta had reasoning: what stands under its other name is the same text
	inText   bool    // the current string is text of a choice
	sink     TextSink
	textSize int64 // bytes that went to the sink
}

// A member is a name on the path to something that matters.
type member uint8

const (
	otherMember member = iota
	choicesMember
	usageMember
	errorMember
	indexMember
	finishMember
	deltaMember
)

// How deep a payload's brackets are at the names that matter.
const (
	topDepth    = 1
	listDepth   = 2
	choiceDepth = 3
	deltaDepth  = 4
)

func (t *Tap) observeFragment(e Event) Kind {
	t.over = true
	if e.Fragment == FragmentFirst {
		t.scan = oversize{usage: t.scan.usage[:0], sink: t.Text}
	}
	o := &t.scan
	o.feed(e.Raw)
	t.contentBytes += o.textSize
	o.textSize = 0
	if e.Fragment != FragmentLast {
		return KindContent
	}
	if !o.hasData {
		return KindComment
	}
	kind := t.endOversize()
	if o.alarm {
		return KindError
	}
	return kind
}

// endOversize believes what the payload said, now that it has come to its end.
func (t *Tap) endOversize() Kind {
	o := &t.scan
	switch {
	case !o.begun || o.broken || o.depth != 0 || o.inString:
		return KindInvalid
	case valid(o.usage):
		t.keepUsage(o.usage)
	}
	if o.failed {
		return KindError
	}
	t.ended.addAll(o.ended)
	if !o.ended.empty() {
		return KindFinish
	}
	return KindContent
}

func (o *oversize) feed(raw []byte) {
	for len(raw) > 0 {
		n := 1
		captured := o.capture
		switch {
		case o.inString:
			said := o.inText
			n = o.inside(raw)
			if said {
				o.say(raw[:n])
			}
		case (!o.inData || o.broken) && !endsLine(raw[0]):
			o.lineHead(raw[0])
			raw = raw[1:]
			continue
		default:
			o.between(raw[0])
		}
		if captured || o.capture {
			o.take(raw[:n])
		}
		raw = raw[n:]
	}
}

// take captures bytes of the usage object. One that outgrows any real usage is not one.
func (o *oversize) take(b []byte) {
	if len(o.usage)+len(b) > keepUsageBytes {
		o.capture = false
		o.usage = o.usage[:0]
		return
	}
	o.usage = append(o.usage, b...)
}

// say hands on bytes of a text, the closing quote perhaps among them.
func (o *oversize) say(b []byte) {
	if !o.inString {
		o.inText = false
		b = b[:len(b)-1]
	}
	o.thought = o.thought || o.thinking && len(b) > 0
	o.textSize += int64(len(b))
	if o.sink != nil && len(b) > 0 {
		o.sink.AddJSON(b)
	}
}

// inside takes bytes of a string, up to its end or an escape if there is one among them, and returns how many.
func (o *oversize) inside(raw []byte) int {
	if o.escape {
		o.escape = false
		return 1
	}
	n := bytes.IndexAny(raw[:min(len(raw), 64)], `"\`)
	switch {
	case n < 0:
		n = min(len(raw), 64)
		o.key.add(raw[:n])
		return n
	case raw[n] == '\\':
		o.escape = true
		o.key.add(raw[:n+1]) // the backslash keeps an escaped name from being taken for a plain one
	default:
		o.inString = false
		o.key.add(raw[:n])
		o.stringValue()
	}
	return n + 1
}

// between takes a byte outside all strings.
func (o *oversize) between(b byte) {
	if b > ' ' && o.depth == 0 && (o.begun || b != '{') {
		o.broken = true
		return
	}
	if o.due && b > ' ' {
		o.due = false
		if b != ']' {
			o.position++
		}
	}
	switch b {
	case '"':
		o.inString = true
		o.key.length = 0
		o.inText = o.saying && o.meaning == isText && !o.naming
	case ':':
		o.name()
	case ',':
		o.endScalar()
		o.next = otherMember
		o.naming = o.braces&1 == 1
		o.due = o.depth == listDepth && o.part == choicesMember
	case '{', '[':
		o.open(b)
	case '}', ']':
		o.endScalar()
		o.close()
	case '\n', '\r':
		o.endScalar()
		o.endLine()
	default:
		o.scalar(b)
	}
}

// name makes the string before a colon the name of what comes next. Of two members of one name, the last one counts.
func (o *oversize) name() {
	key := o.key.text()
	o.key.length = 0
	o.naming = false
	switch {
	case o.depth == topDepth:
		o.part = topMember(key)
		o.next = o.part
	case o.part != choicesMember:
	case o.depth == choiceDepth:
		o.choiceName(key)
	case o.depth == deltaDepth && o.inDelta:
		o.deltaName(key)
	default:
		o.meaning = meaningOf(key)
	}
}

func (o *oversize) choiceName(key []byte) {
	o.saying, o.meaning = string(key) == "text", isText
	switch string(key) {
	case "index":
		o.next, o.index = indexMember, -1
	case "finish_reason":
		o.next, o.finished = finishMember, false
	case "delta", "message":
		o.next = deltaMember
	}
}

func (o *oversize) deltaName(key []byte) {
	o.saying, o.thinking, o.meaning = false, false, isText
	switch string(key) {
	case "content", "refusal", "tool_calls", "function_call", "audio", "images":
		o.saying = true
	case "reasoning_content", "reasoning":
		o.saying, o.thinking = !o.thought, true
	}
}

func topMember(key []byte) member {
	switch string(key) {
	case "choices":
		return choicesMember
	case "usage":
		return usageMember
	case "error":
		return errorMember
	}
	return otherMember
}

func (o *oversize) stringValue() {
	if o.key.length > 0 {
		o.finished = o.finished || o.next == finishMember
		o.failed = o.failed || o.next == errorMember
	}
	o.next = otherMember
}

func (o *oversize) open(b byte) {
	o.begun = true
	o.depth++
	o.naming = b == '{'
	o.braces <<= 1
	if o.naming {
		o.braces |= 1
	}
	o.failed = o.failed || o.next == errorMember
	switch {
	case o.next == usageMember && b == '{':
		o.capture = true
		o.usage = o.usage[:0]
	case o.next == choicesMember && b == '[':
		o.due = true
	case o.next == choicesMember:
		o.part = otherMember
	case o.depth == choiceDepth && o.part == choicesMember:
		o.index, o.finished = o.position-1, false
	case o.depth == deltaDepth:
		o.inDelta, o.thought = o.next == deltaMember, false
	}
	o.next = otherMember
}

func (o *oversize) close() {
	if o.depth == choiceDepth && o.part == choicesMember {
		if o.finished {
			o.ended.add(o.index)
		}
		o.finished, o.saying = false, false
	}
	o.depth--
	o.braces >>= 1
	if o.depth == topDepth {
		o.capture = false
	}
	o.next = otherMember
}

// scalar takes a byte of a number or literal, or white space.
func (o *oversize) scalar(b byte) {
	switch {
	case b <= ' ':
		o.endScalar()
	case o.next == indexMember || o.next == errorMember:
		o.key.add([]byte{b})
	}
}

// endScalar takes what ends a number or literal, if one has begun.
func (o *oversize) endScalar() {
	if o.key.length == 0 {
		return
	}
	switch o.next {
	case indexMember:
		o.index = number(o.key.text())
	case errorMember:
		o.failed = o.failed || truthyScalar(o.key.text())
	default:
		return
	}
	o.next = otherMember
}
