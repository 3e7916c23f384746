package simulator

import (
	"bytes"
	"fmt"
)

// Style is how the events of a stream are written. Every style says the same,
// by the letter of the standard
// (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
type Style string

// The styles. The zero value is LF.
const (
	// LF ends lines with a line feed; an event is one line, and one write.
	LF Style = "lf"
	// CRLF ends lines with a carriage return and a line feed.
	CRLF Style = "crlf"
	// CR ends lines with a carriage return alone.
	CR Style = "cr"
	// NoSpace writes "data:" without the space behind it, where data does not begin with one.
	NoSpace Style = "no_space"
	// Fields puts a comment, event:, id: and retry: before each data line and an unknown field behind it.
	Fields Style = "fields"
	// DataLines spreads an event over several data lines: it is split behind commas between members of its JSON.
	DataLines Style = "data_lines"
	// BOM begins the stream with a byte order mark.
	BOM Style = "bom"
	// Batched sends three events with each write. The truth log counts an event when it leaves.
	Batched Style = "batched"
	// Torn spreads each event over writes of 1, 2, 3... up to 11 bytes.
	Torn Style = "torn"
	// Mixed has Fields, DataLines and Torn, and the three ends of lines in turn, one for each event.
	Mixed Style = "mixed"
)

// Styles returns all styles, in the order of this package's constants.
func Styles() []Style {
	return []Style{LF, CRLF, CR, NoSpace, Fields, DataLines, BOM, Batched, Torn, Mixed}
}

// ParseStyle reads the name of a style; its error lists them.
func ParseStyle(name string) (Style, error) {
	found, err := named(name, Styles())
	if err != nil {
		return "", fmt.Errorf("style: %w", err)
	}
	return found, nil
}

// A framer writes the events of one stream.
type framer struct {
	ends   []string // of lines, one for each event in turn
	space  bool
	fields bool
	lines  bool
	bom    bool
	batch  int // events in a write
	torn   bool

	framed int // events and comments
}

func newFramer(s Style) *framer {
	f := &framer{ends: []string{"\n"}, space: true, batch: 1}
	switch s {
	case CRLF:
		f.ends = []string{"\r\n"}
	case CR:
		f.ends = []string{"\r"}
	case NoSpace:
		f.space = false
	case Fields:
		f.fields = true
	case DataLines:
		f.lines = true
	case BOM:
		f.bom = true
	case Batched:
		f.batch = 3
	case Torn:
		f.torn = true
	case Mixed:
		f.fields, f.lines, f.torn = true, true, true
		f.ends = []string{"\r\n", "\n", "\r"}
	}
	return f
}

// event writes one event. Line feeds in its data begin new data lines, as they must.
func (f *framer) event(data []byte) []byte {
	out, end := f.next()
	if f.fields {
		out = fmt.Appendf(out, ": event %d%sevent: message%sid: %d%sretry: 3000%s", f.framed, end, end, f.framed, end, end)
	}
	lines := bytes.Split(data, []byte("\n"))
	if f.lines && len(lines) == 1 {
		lines = betweenMembers(data)
	}
	for _, line := range lines {
		out = append(out, "data:"...)
		if f.space || bytes.HasPrefix(line, []byte(" ")) { // one is taken off by whoever listens
			out = append(out, ' ')
		}
		out = append(out, line...)
		out = append(out, end...)
	}
	if f.fields {
		out = append(out, "unknown: field"+end...)
	}
	return append(out, end...)
}

// comment is what resellers keep a connection alive with.
func (f *framer) comment() []byte {
	out, end := f.next()
	return append(out, ": PROCESSING"+end+end...)
}

// next is what the next event begins with, and the end of its lines.
func (f *framer) next() (begin []byte, end string) {
	if f.bom && f.framed == 0 {
		begin = []byte("\uFEFF")
	}
	f.framed++
	return begin, f.end()
}

// end is the end of lines of the last event that was written.
func (f *framer) end() string { return f.ends[(f.framed-1)%len(f.ends)] }

// parts are the writes that bytes leave in.
func (f *framer) parts(whole []byte) [][]byte {
	if !f.torn && len(whole) > 0 {
		return [][]byte{whole}
	}
	const most = 11
	var found [][]byte
	for size := 1; len(whole) > 0; size = size%most + 1 {
		part := whole[:min(size, len(whole))]
		found = append(found, part)
		whole = whole[len(part):]
	}
	return found
}

// betweenMembers splits JSON behind the commas between the members of its outermost object.
func betweenMembers(data []byte) [][]byte {
	var (
		lines        [][]byte
		begin, depth int
	)
	for at := 0; at < len(data); at++ {
		switch data[at] {
		case '"':
			length := stringEnd(data[at:])
			if length < 0 {
				return [][]byte{data} // no JSON
			}
			at += length - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 1 {
				lines = append(lines, bytes.Clone(data[begin:at+1]))
				begin = at + 1
			}
		}
	}
	return append(lines, data[begin:])
}
