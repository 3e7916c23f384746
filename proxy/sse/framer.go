package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrEventTooLong is wrapped by the error for an event beyond the maximum, server.max_event in the configuration.
var ErrEventTooLong = errors.New("the upstream sent an event that is too long")

const (
	startBuffer     = 4 << 10  // an idle stream holds no more than this
	maxWhole        = 64 << 10 // a longer event passes in fragments
	maxBuffer       = maxWhole + startBuffer
	defaultMaxEvent = 16 << 20
)

// byteOrderMark may stand before the first line of a stream and is no part of it.
const byteOrderMark = "\xef\xbb\xbf"

// A Framer cuts the bytes of one stream into events. It owns the only read buffer of its stream: 4 KiB at first, up to
// 68 KiB while an event needs it. NewFramer makes one that is ready for use, Reset makes any one so.
//
// It looks at each byte once, however the bytes arrive, so that an upstream which sends a long event in tiny pieces
// costs no more than one which sends it whole.
type Framer struct {
	maxEvent int
	err      error

	// buf[head:tail] is in memory: head is where the current event starts, line where its current line does.
	buf              []byte
	head, line, tail int
	// There is no LF in buf[line:lf] and no CR in buf[line:cr]: the searches go on from there.
	lf, cr int

	fields fields
	passed int // bytes of the current oversize event that were handed out; 0: the event is whole so far
	lead   int // 1 when the current event starts with the late LF of the event before, which is no part of its length

	begun   bool // the first line of the stream is over
	lateLF  bool // the last line ended in a CR at the tail: a LF may follow that belongs to it
	midLine bool // the beginning of the current line was handed out in a fragment
}

// NewFramer returns a Framer that refuses events of more than maxEvent bytes (below 1: 16 MiB). The length of an event
// counts its line ends, except the LF of a final CR LF.
func NewFramer(maxEvent int) *Framer {
	f := new(Framer)
	f.Reset(maxEvent)
	return f
}

// Reset prepares the Framer for another stream. It keeps its buffers, unless the last stream made them grow.
func (f *Framer) Reset(maxEvent int) {
	if maxEvent < 1 {
		maxEvent = defaultMaxEvent
	}
	buf, joined := f.buf, f.fields.joined
	if cap(buf) > startBuffer {
		buf = nil
	}
	if cap(joined) > startBuffer {
		joined = nil
	}
	*f = Framer{maxEvent: maxEvent, buf: buf, fields: fields{joined: joined}}
}

// Fill does one Read from src and returns what it returned; bytes and io.EOF may come together. Call it when Next has
// nothing more: the bytes of earlier events may move. After an event that was too long it reads nothing and returns
// Err; with a buffer full of events that nobody has taken it returns io.ErrShortBuffer.
func (f *Framer) Fill(src io.Reader) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if !f.makeRoom() {
		return 0, io.ErrShortBuffer
	}
	n, err := src.Read(f.buf[f.tail:])
	f.tail += n
	return n, err
}

// Next returns the next event in memory. False means that more bytes are needed, or that Err is not nil.
//
// A CR ends a line, and so an event, without waiting for a LF that may belong to it. When that LF comes later it is
// the first byte of the next Raw, so that the Raw slices always add up to the stream.
func (f *Framer) Next() (Event, bool) {
	if f.err != nil {
		return Event{}, false
	}
	f.takeLateLF()
	bound := f.head + f.lead + f.room()
	limit := min(bound, f.tail)
	for {
		end := f.lineEnd(limit)
		if end == limit {
			break
		}
		if !f.takeLine(end) {
			continue
		}
		if f.passed > 0 {
			return f.cut(FragmentLast, f.line), true
		}
		return f.cut(Whole, f.line), true
	}
	switch {
	case limit == bound && f.passed == 0 && f.maxEvent > maxWhole:
		return f.cut(FragmentFirst, limit), true
	case limit == bound:
		f.err = fmt.Errorf("%w: more than %d bytes (server.max_event)", ErrEventTooLong, f.maxEvent)
	case f.passed > 0 && f.head < f.tail:
		return f.cut(FragmentMiddle, f.tail), true
	}
	return Event{}, false
}

// Err wraps ErrEventTooLong after an event beyond the maximum, which ends the stream for this Framer; else it is nil.
func (f *Framer) Err() error { return f.err }

// Rest returns the bytes that Next has not handed out: at the end of the stream, an event without its blank line. It is
// empty after a fragment: there only the missing FragmentLast tells that the event is unfinished. It may also hold just
// the late LF of a complete event. Valid until the next Fill or Reset.
func (f *Framer) Rest() []byte { return f.buf[f.head:f.tail] }

// Final hands out Rest as an event, as though its blank line had come: call it once, at the end of the stream, when
// Next has nothing more. Browsers drop such an event, but providers do end a stream with a bare "data: [DONE]".
// Whether the payload is complete is for the Tap to say. False: nothing is left, or the event was too long.
func (f *Framer) Final() (Event, bool) {
	if f.err != nil || f.head == f.tail || f.passed > 0 {
		return Event{}, false
	}
	f.takeLateLF()
	f.fields.take(f.buf, f.lineStart(), f.tail)
	f.line = f.tail
	return f.cut(Whole, f.tail), true
}

// room is how long the current event may be, from head, before it is no longer whole or no longer allowed. It does not
// depend on how the bytes arrived, so neither does the outcome.
func (f *Framer) room() int {
	if f.passed > 0 {
		return f.maxEvent - f.passed
	}
	return min(maxWhole, f.maxEvent)
}

func (f *Framer) takeLateLF() {
	if !f.lateLF || f.line == f.tail {
		return
	}
	f.lateLF = false
	if f.buf[f.line] != '\n' {
		return
	}
	if f.line == f.head && f.passed == 0 {
		f.lead = 1
	}
	f.line++
}

// lineEnd returns the position of the CR or LF that ends the current line, or limit when none stands before it.
func (f *Framer) lineEnd(limit int) int {
	f.lf = seek(f.buf, max(f.lf, f.line), limit, '\n')
	f.cr = seek(f.buf, max(f.cr, f.line), limit, '\r')
	return min(f.lf, f.cr, limit)
}

// seek returns the first position of b at or after from, or limit. It costs nothing when b stands at from, which is
// how a CR that was found stays found while the lines before it are taken one by one.
func seek(buf []byte, from, limit int, b byte) int {
	if from >= limit || buf[from] == b {
		return from
	}
	if i := bytes.IndexByte(buf[from:limit], b); i >= 0 {
		return from + i
	}
	return limit
}

// takeLine takes the line whose CR or LF stands at end, and reports whether it is blank.
func (f *Framer) takeLine(end int) (blank bool) {
	start := f.lineStart()
	f.line = end + 1
	if f.buf[end] == '\r' {
		if f.line == f.tail {
			f.lateLF = true
		} else if f.buf[f.line] == '\n' {
			f.line++
		}
	}
	if f.midLine {
		f.midLine = false
		return false
	}
	if start < end && f.passed == 0 {
		f.fields.take(f.buf, start, end)
	}
	return start == end
}

// lineStart is where the text of the current line starts: after the byte order mark, in the first line of the stream.
func (f *Framer) lineStart() int {
	if f.begun {
		return f.line
	}
	f.begun = true
	if bytes.HasPrefix(f.buf[f.line:f.tail], []byte(byteOrderMark)) {
		return f.line + len(byteOrderMark)
	}
	return f.line
}

// cut hands out the bytes up to end and begins what follows.
func (f *Framer) cut(fragment Fragment, end int) Event {
	e := Event{Raw: f.buf[f.head:end], Fragment: fragment}
	if fragment == Whole {
		e.Data, e.Name = f.fields.data(f.buf), f.fields.name(f.buf)
	}
	switch fragment {
	case Whole, FragmentLast:
		f.passed = 0
	default:
		f.passed += end - f.head - f.lead
		f.midLine = f.midLine || f.line < end
		f.line = max(f.line, end)
	}
	f.fields.reset()
	f.head, f.lead = end, 0
	return e
}
