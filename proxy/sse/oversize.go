package sse

import (
	"bytes"
	"strings"
)

// An oversize reads the payload of an event that is never in memory whole: it can stop at any byte and go on with the
// next fragment. It looks for what decides whether an answer is complete and what it cost: finish reasons, usage, error,
// and the text of the choices, by the names that a model's words stand under. Media is let pass. Choices, usage and
// errors are read as a chunk reads them: how long an event is must not change which answers are finished.
type oversize struct {
	field    int  // how much of dataField the current line began with, all of it in front of a value; -1: another field's line
	depth    int  // open brackets
	begun    bool // the payload's first bracket was seen
	inString bool
	escape   bool // the next byte of the string is escaped
	key      [len("reasoning_content") + 1]byte
	length   int    // of the current or last string, number or literal; key holds as much of it as fits
	part     member // the top-level member around the current position
	next     member // the member whose value comes next
	due      bool   // an element of the choices may come next
	position int    // elements of the choices so far
	index    int    // of the current choice, -1 when what it has is none
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
	listDepth   = 2
	choiceDepth = 3
)

// dataField begins the lines that the payload stands in.
const dataField = "data:"

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
		case o.field < len(dataField) && !endsLine(raw[0]):
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

func endsLine(b byte) bool { return b == '\n' || b == '\r' }

// lineHead takes a byte in front of the payload's part of a line, or of a line that has none.
func (o *oversize) lineHead(b byte) {
	switch {
	case o.field >= 0 && b == dataField[o.field]:
		o.field++
	case o.field != 0 || strings.IndexByte(byteOrderMark, b) < 0:
		o.field = -1
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

// spelled returns the last string, number or literal. A longer one than any that matters is cut, and equals none of them.
func (o *oversize) spelled() []byte { return o.key[:min(o.length, len(o.key))] }

// between takes a byte outside all strings.
func (o *oversize) between(b byte) {
	if o.due && b > ' ' {
		o.due = false
		if b != ']' {
			o.position++
		}
	}
	switch b {
	case '"':
		o.inString = o.begun
		o.length = 0
		o.beginText()
	case ':':
		o.name()
	case ',':
		o.endScalar()
		o.next = otherMember
		o.due = o.depth == listDepth && o.part == choicesMember
	case '{', '[':
		o.open(b)
	case '}', ']':
		o.endScalar()
		o.close()
	case '\n', '\r':
		o.endScalar()
		o.field = 0
	default:
		o.scalar(b)
	}
}

// name makes the string before a colon the name of what comes next. Of two members of one name, the last one counts.
func (o *oversize) name() {
	key := string(o.spelled())
	o.length = 0
	switch {
	case o.depth == topDepth:
		o.part = topMember(key)
		o.next = o.part
	case o.depth == choiceDepth && o.part == choicesMember && key == "index":
		o.next, o.index = indexMember, -1
	case o.depth == choiceDepth && o.part == choicesMember && key == "finish_reason":
		o.next, o.finished = finishMember, false
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
	case o.next == choicesMember && b == '[':
		o.due = true
	case o.next == choicesMember:
		o.part = otherMember
	case o.depth == choiceDepth && o.part == choicesMember:
		o.index, o.finished, o.reasoned = o.position-1, false, otherMember
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

// scalar takes a byte of a number or literal, or white space.
func (o *oversize) scalar(b byte) {
	switch {
	case b <= ' ':
		o.endScalar()
	case o.next == indexMember || o.next == errorMember:
		o.spell([]byte{b})
	}
}

// endScalar takes what ends a number or literal, if one has begun.
func (o *oversize) endScalar() {
	if o.length == 0 {
		return
	}
	switch o.next {
	case indexMember:
		o.index = number(o.spelled())
	case errorMember:
		o.failed = o.failed || truthyScalar(o.spelled())
	default:
		return
	}
	o.next = otherMember
}
