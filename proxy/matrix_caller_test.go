package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// caller is a client on a socket of its own, which it can close as it likes.
type caller struct {
	t        testing.TB
	conn     *net.TCPConn
	in       *bufio.Reader
	response *http.Response // nil: no head came
	got      bytes.Buffer   // the body, without its transfer coding
	end      error          // how the body ended: nil, or the transfer was cut
	left     time.Time      // zero: it stayed
}

// patience bounds every wait for what must happen; nothing waits so long when all is well.
const patience = time.Minute

func newCaller(t testing.TB, address string) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	return &caller{t: t, conn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
}

func (c *caller) send(request string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, request)
	must(c.t, err)
}

// head waits for the answer's head.
func (c *caller) head() {
	c.t.Helper()
	response, err := http.ReadResponse(c.in, nil)
	must(c.t, err)
	c.response = response
}

// all reads the answer to its end, be it a clean one or not.
func (c *caller) all() {
	c.t.Helper()
	if c.response == nil {
		c.head()
	}
	_, c.end = c.got.ReadFrom(c.response.Body)
	if isTimeout(c.end) {
		c.t.Errorf("the answer did not end within %s: %q", patience, tail(c.got.String()))
	}
}

// read reads until so many tokens of the answer's text have come.
func (c *caller) read(tokens int64) {
	c.t.Helper()
	c.readUntil(func() bool { return spoken(c.got.String()) >= tokens })
}

// until reads until that text has come.
func (c *caller) until(text string) {
	c.t.Helper()
	c.readUntil(func() bool { return strings.Contains(c.got.String(), text) })
}

func (c *caller) readUntil(enough func() bool) {
	c.t.Helper()
	if c.response == nil {
		c.head()
	}
	var some [512]byte
	for !enough() {
		n, err := c.response.Body.Read(some[:])
		c.got.Write(some[:n])
		must(c.t, err)
	}
}

// readBytes reads until so many bytes of the answer have come.
func (c *caller) readBytes(n int64) {
	c.t.Helper()
	if c.response == nil {
		c.head()
	}
	_, err := io.CopyN(&c.got, c.response.Body, n)
	must(c.t, err)
}

// spoken counts the tokens of text, which are words, in a stream's events. The
// last may have broken off.
func spoken(stream string) (tokens int64) {
	for _, data := range eventsOf(stream) {
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			_, text, _ := strings.Cut(data, `"content":"`)
			tokens += int64(len(strings.Fields(text)))
		} else if len(chunk.Choices) > 0 {
			tokens += int64(len(strings.Fields(chunk.Choices[0].Delta.Content)))
		}
	}
	return tokens
}

// eventsOf is the data of a stream's events as a client reads them: whatever ends
// the lines, however many of them have data, and without what no blank line ends
// (WHATWG HTML, section 9.2.6).
func eventsOf(stream string) (events []string) {
	var data []string
	oneEnd := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	lines := strings.Split(oneEnd.Replace(strings.TrimPrefix(stream, "\uFEFF")), "\n")
	for _, line := range lines[:len(lines)-1] {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case name == "data":
			data = append(data, strings.TrimPrefix(value, " "))
		case line == "" && data != nil:
			events, data = append(events, strings.Join(data, "\n")), nil
		}
	}
	return events
}

// hangUp ends the client's side with a FIN: there is no telling whether it could still read.
func (c *caller) hangUp() {
	c.t.Helper()
	c.left = time.Now()
	must(c.t, c.conn.CloseWrite())
}

// reset ends the connection with an RST.
func (c *caller) reset() {
	c.t.Helper()
	c.left = time.Now()
	must(c.t, c.conn.SetLinger(0))
	must(c.t, c.conn.Close())
}

// closed waits until the gateway has closed the connection.
func (c *caller) closed() bool {
	_, err := io.Copy(io.Discard, c.in)
	return !isTimeout(err)
}

func tail(s string) string { return s[max(0, len(s)-600):] }
