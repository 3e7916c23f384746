package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// An answer is what is known of one after it was read.
type answer struct {
	size   int64 // of the body in bytes, without the transfer coding
	lines  int64
	stream bool // in chunks, and ended by doneEvent

	sent    time.Time // just before the request's first byte
	began   time.Time // when the first byte of the body was there
	content time.Time // when a stream's last event with content was there
	done    time.Time // when the last byte of the body was there
}

// doneEvent is the last event of every stream.
const doneEvent = "data: [DONE]\n\n"

// tailLines are the lines of the events that follow a stream's content, where usage
// is asked for: the finish, the usage and doneEvent. The provider sends them at once.
const tailLines = 2 * 3

// same compares what does not depend on time.
func (a answer) same(b answer) error {
	if a.size != b.size || a.lines != b.lines || a.stream != b.stream {
		return fmt.Errorf("an answer of %d bytes, %d lines, complete stream: %t; the provider itself sends %d bytes, %d lines, %t",
			a.size, a.lines, a.stream, b.size, b.lines, b.stream)
	}
	return nil
}

// A meter counts what has come, while it comes. Many clients share one.
type meter struct {
	begun atomic.Int64 // answers whose body has begun
	ended atomic.Int64 // answers that were complete
	lines atomic.Int64 // of bodies; an event has two
}

// A client is one connection that is kept, and a reader of answers that takes
// nothing but what it must: HTTP/1.1, 200, a body of known length or in
// chunks. It allocates nothing and belongs to one goroutine.
type client struct {
	conn     net.Conn
	buffer   []byte
	from, to int // buffer[from:to] has come and is not yet taken
	meter    *meter
	lines    int64 // of a stream, up to the end of its content
	answer   answer
	tail     []byte // the last bytes of the body
}

// clientBuffer holds an answer's head, and the many events that one read may bring.
const clientBuffer = 32 << 10

func newClient(conn net.Conn, m *meter) *client {
	return &client{conn: conn, buffer: make([]byte, clientBuffer), meter: m, tail: make([]byte, 0, 2*len(doneEvent))}
}

// exchange sends a request and reads its answer to the end.
func (c *client) exchange(request []byte) (answer, error) {
	if c.from != c.to {
		return answer{}, errors.New("bytes came behind the end of an answer")
	}
	if _, err := c.conn.Write(request); err != nil {
		return answer{}, err
	}
	return c.read()
}

func (c *client) read() (answer, error) {
	c.answer, c.tail = answer{}, c.tail[:0]
	length, err := c.head()
	switch {
	case err != nil:
	case length >= 0:
		err = c.body(length)
	default:
		err = c.chunks()
		c.answer.stream = string(c.tail) == doneEvent
	}
	if err != nil {
		return c.answer, err
	}
	if c.answer.done.IsZero() {
		c.answer.done = time.Now()
	}
	c.meter.ended.Add(1)
	return c.answer, nil
}

// head reads up to the empty line and returns the body's length, inChunks for
// one that tells its length as it comes.
func (c *client) head() (int64, error) {
	for {
		unread := c.buffer[c.from:c.to]
		if end := bytes.Index(unread, []byte("\r\n\r\n")); end >= 0 {
			c.from += end + len("\r\n\r\n")
			length, err := parseHead(unread[:end+len("\r\n")])
			if err != nil {
				return 0, fmt.Errorf("%w:\n%s", err, unread[:min(len(unread), 800)])
			}
			return length, nil
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

const inChunks = -1

var (
	errNot200  = errors.New("an answer that is not HTTP/1.1 200")
	errFraming = errors.New("an answer whose length is not told in one way")
	errBareLF  = errors.New("an answer with a line feed alone in its head")
)

// parseHead reads a head whose every line ends in CR LF.
func parseHead(head []byte) (int64, error) {
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) || len(head) < 14 || head[12] != ' ' && head[12] != '\r' {
		return 0, errNot200
	}
	if bytes.Count(head, []byte("\n")) != bytes.Count(head, []byte("\r\n")) {
		return 0, errBareLF // other readers end a line there
	}
	var length int64
	told := 0
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.Trim(value, " \t")
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			n, err := number(value, 10)
			if err != nil {
				return 0, err
			}
			length = n
			told++
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			if !bytes.EqualFold(value, []byte("chunked")) {
				return 0, errFraming
			}
			length = inChunks
			told++
		}
	}
	if told != 1 {
		return 0, errFraming
	}
	return length, nil
}

// chunks reads a body in chunks, up to the empty line behind the last one.
func (c *client) chunks() error {
	for {
		size, err := c.chunkSize()
		if err != nil {
			return err
		}
		if size == 0 {
			return c.lineEnd() // a trailer would be news
		}
		if err := c.body(size); err != nil {
			return err
		}
		if err := c.lineEnd(); err != nil {
			return err
		}
	}
}

func (c *client) chunkSize() (int64, error) {
	for {
		unread := c.buffer[c.from:c.to]
		if end := bytes.Index(unread, []byte("\r\n")); end >= 0 {
			c.from += end + len("\r\n")
			return number(unread[:end], 16)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

func (c *client) lineEnd() error {
	for c.to-c.from < len("\r\n") {
		if err := c.fill(); err != nil {
			return err
		}
	}
	if c.buffer[c.from] != '\r' || c.buffer[c.from+1] != '\n' {
		return fmt.Errorf("a chunk that goes on behind its length, with %q", c.buffer[c.from:min(c.to, c.from+20)])
	}
	c.from += len("\r\n")
	return nil
}

// body takes so many bytes.
func (c *client) body(length int64) error {
	for length > 0 {
		if c.from == c.to {
			if err := c.fill(); err != nil {
				return err
			}
		}
		n := min(length, int64(c.to-c.from))
		c.take(c.buffer[c.from : c.from+int(n)])
		c.from += int(n)
		length -= n
	}
	return nil
}

func (c *client) take(part []byte) {
	if c.answer.size == 0 {
		c.answer.began = time.Now()
		c.meter.begun.Add(1)
	}
	lines := int64(bytes.Count(part, []byte{'\n'}))
	c.meter.lines.Add(lines)
	c.answer.lines += lines
	c.answer.size += int64(len(part))
	if c.answer.content.IsZero() && c.answer.lines >= c.lines {
		c.answer.content = time.Now()
	}
	c.tail = append(c.tail, part[max(0, len(part)-len(doneEvent)):]...)
	c.tail = append(c.tail[:0], c.tail[max(0, len(c.tail)-len(doneEvent)):]...)
	if string(c.tail) == doneEvent {
		c.answer.done = time.Now() // the end of the transfer coding may come later
	}
}

// fill reads what has come, and waits for it.
func (c *client) fill() error {
	if c.from > 0 {
		c.to = copy(c.buffer, c.buffer[c.from:c.to])
		c.from = 0
	}
	if c.to == len(c.buffer) {
		return errors.New("a head or a chunk's length without an end")
	}
	n, err := c.conn.Read(c.buffer[c.to:])
	c.to += n
	if n > 0 {
		return nil
	}
	return fmt.Errorf("in the middle of an answer: %w", err)
}

// number reads 1 to 15 digits, without a sign or anything else.
func number(text []byte, base int64) (int64, error) {
	const digits = "00112233445566778899aAbBcCdDeEfF"
	var n int64
	for _, b := range text {
		at := int64(strings.IndexByte(digits, b))
		if at < 0 || at/2 >= base {
			return 0, fmt.Errorf("%q is not a length", text)
		}
		n = n*base + at/2
	}
	if len(text) == 0 || len(text) > 15 {
		return 0, fmt.Errorf("%q is not a length", text)
	}
	return n, nil
}
