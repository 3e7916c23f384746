package sse

import "strings"

// A spelling is how a name, a number or the beginning of a line is written, in pieces: as much of it as it takes to tell
// the longest one that matters from all others.
type spelling struct {
	bytes  [len("reasoning_content") + 1]byte
	length int // what was added in all
}

func (s *spelling) add(b []byte) {
	if s.length < len(s.bytes) {
		copy(s.bytes[s.length:], b)
	}
	s.length += len(b)
}

// text returns what was spelled. A longer one than any that matters is cut, and equals none of them.
func (s *spelling) text() []byte { return s.bytes[:min(s.length, len(s.bytes))] }

func endsLine(b byte) bool { return b == '\n' || b == '\r' }

// lineHead takes a byte in front of the payload's part of a line, of a line that has none, or of a broken payload.
func (o *oversize) lineHead(b byte) {
	if o.line.length == 0 && strings.IndexByte(byteOrderMark, b) >= 0 {
		return
	}
	o.line.add([]byte{b})
	if string(o.line.text()) == "data:" {
		o.inData, o.hasData = true, true
	}
}

// endLine takes what ends a line. Of several names of the event, the last one counts.
func (o *oversize) endLine() {
	line := o.line.text()
	if skip, ok := valueOf(line, "event"); ok {
		o.alarm = string(line[skip:]) == "error"
	}
	o.hasData = o.hasData || string(line) == "data"
	o.inData = false
	o.line.length = 0
}
