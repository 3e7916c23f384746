package sse

import (
	"bytes"
	"encoding/json"
)

// An oversize reads the payload of an event that is never in memory whole: it can stop at any byte and go on with the
// next fragment. It looks for what decides whether an answer is complete and what it cost: finish reasons, usage, error,
// and the text of the choices, by the names that a model's words stand under. Media is let pass. The field names of the
// protocol and the line ends lie outside all strings and are noise to it.
type oversize struct {
	depth    int  // open brackets
	begun    bool // the payload's first bracket was seen
	inString bool
	escape   bool // the next byte of the string is escaped
	key      [len("reasoning_content")]byte
	length   int    // of the current or last string; key holds as much of it as fits
	part     member // the top-level member around the current position
	next     member // the member whose value comes next
	position int    // choices so far
	index    int    // of the current choice
	finished bool   // the current choice has a finish_reason
	ended    bitset
	failed   bool
	capture  bool // the current position is inside the usage object
	usage    []byte
	inText   bool   // the current string is text of a choice
	reasoned member // reasoningMember or oldReasoningMember, whichever the current choice had first: they are the same text
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
	textMember
	reasoningMember
	oldReasoningMember
)

// How deep a payload's brackets are at the names that matter.
const (
	topDepth    = 1
	choiceDepth = 3
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
	switch {
	case !o.begun || o.depth != 0 || o.inString:
		return KindInvalid
	case json.Valid(o.usage):
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
		if o.inString {
			said := o.inText
			n = o.inside(raw)
			if said {
				o.say(raw[:n])
			}
		} else {
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
		o.spell(raw[:n])
		return n
	case raw[n] == '\\':
		o.escape = true
		o.spell(raw[:n+1]) // the backslash keeps an escaped name from being taken for a plain one
	default:
		o.inString = false
		o.spell(raw[:n])
		o.stringValue()
	}
	return n + 1
}

func (o *oversize) spell(s []byte) {
	if o.length < len(o.key) {
		copy(o.key[o.length:], s)
	}
	o.length += len(s)
}

// between takes a byte outside all strings.
func (o *oversize) between(b byte) {
	switch b {
	case '"':
		o.inString = o.begun
		o.length = 0
		o.beginText()
	case ':':
		o.name()
	case ',':
		o.next = otherMember
	case '{', '[':
		o.open(b)
	case '}', ']':
		o.close()
	default:
		o.scalar(b)
	}
}

// name makes the string before a colon the name of what comes next.
func (o *oversize) name() {
	if o.length == 0 || o.length > len(o.key) {
		return
	}
	key := string(o.key[:o.length])
	switch {
	case o.depth == topDepth:
		o.part = topMember(key)
		o.next = o.part
	case o.depth == choiceDepth && o.part == choicesMember && key == "index":
		o.next, o.index = indexMember, 0
	case o.depth == choiceDepth && o.part == choicesMember && key == "finish_reason":
		o.next = finishMember
	case o.depth >= choiceDepth && o.part == choicesMember:
		o.next = textMemberOf(key)
	}
}

// textMemberOf knows the names that a model's words stand under, in a choice, in its delta and in the parts of that.
func textMemberOf(key string) member {
	switch key {
	case "content", "text", "thinking", "refusal", "name", "arguments", "input", "transcript":
		return textMember
	case "reasoning_content":
		return reasoningMember
	case "reasoning":
		return oldReasoningMember
	}
	return otherMember
}

// beginText notes whether the string that begins is text. Of reasoning that comes under both of its names, one counts.
func (o *oversize) beginText() {
	switch o.next {
	case textMember:
		o.inText = true
	case reasoningMember, oldReasoningMember:
		if o.reasoned == otherMember {
			o.reasoned = o.next
		}
		o.inText = o.reasoned == o.next
	}
}

func topMember(key string) member {
	switch key {
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
	if o.length > 0 {
		o.finished = o.finished || o.next == finishMember
		o.failed = o.failed || o.next == errorMember
	}
	o.next = otherMember
}

func (o *oversize) open(b byte) {
	o.begun = true
	o.depth++
	o.failed = o.failed || o.next == errorMember
	switch {
	case o.next == usageMember && b == '{':
		o.capture = true
		o.usage = o.usage[:0]
	case o.depth == choiceDepth && o.part == choicesMember:
		o.index, o.finished, o.reasoned = o.position, false, otherMember
		o.position++
	}
	o.next = otherMember
}

func (o *oversize) close() {
	if o.depth == choiceDepth && o.part == choicesMember && o.finished {
		o.ended.add(o.index)
		o.finished = false
	}
	o.depth--
	if o.depth == topDepth {
		o.capture = false
	}
	o.next = otherMember
}

// scalar takes a byte of a number or literal, or white space. The first byte tells a true value from null, false and 0.
func (o *oversize) scalar(b byte) {
	switch {
	case b <= ' ':
	case o.next == indexMember && '0' <= b && b <= '9' && o.index < maxChoices:
		o.index = 10*o.index + int(b-'0')
	case o.next == errorMember:
		o.failed = o.failed || b == 't' || b == '-' || '1' <= b && b <= '9'
		o.next = otherMember
	}
}
