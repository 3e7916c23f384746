package simulator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"time"
)

// A fastConn is one connection of fast mode. It belongs to its goroutine.
type fastConn struct {
	fast  *Fast
	conn  net.Conn
	in    *bufio.Reader
	out   []byte // not yet written
	armed time.Time
	timer *time.Timer
}

func newFastConn(f *Fast, conn net.Conn) *fastConn {
	return &fastConn{fast: f, conn: conn, in: bufio.NewReaderSize(conn, fastMaxHead)}
}

// serve answers request after request until one side ends it.
func (c *fastConn) serve() {
	for {
		w, err := c.receive()
		if err == nil {
			err = c.answer(w)
		}
		var refused *Refusal
		if errors.As(err, &refused) {
			c.refuse(refused)
		}
		if err != nil || w.close {
			return
		}
	}
}

// receive reads a whole request; its error is a *Refusal unless the request
// never came in whole.
func (c *fastConn) receive() (wish, error) {
	c.arm()
	h, err := c.head()
	if err != nil {
		return wish{}, err
	}
	switch {
	case h.path != "/starmagic/v1/chat/completions":
		return wish{}, invalid(http.StatusNotFound, "", "unknown_url", "Invalid URL ("+h.method+" "+h.path+").")
	case h.method != http.MethodPost:
		return wish{}, invalid(http.StatusMethodNotAllowed, "", "method_not_allowed", "Not allowed to "+h.method+" on "+h.path+".")
	case h.length > fastMaxBody:
		return wish{}, fastTooLarge()
	}
	if h.waits {
		c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
		if err := c.flush(); err != nil {
			return wish{}, err
		}
	}
	w, err := c.body(h)
	w.close = h.close
	return w, err
}

func fastTooLarge() *Refusal {
	return invalid(http.StatusRequestEntityTooLarge, "", "body_too_large", "The body of the request is too large.")
}

// head reads up to the empty line.
func (c *fastConn) head() (fastHead, error) {
	for seen := 0; ; {
		read, err := c.in.Peek(max(c.in.Buffered(), seen+1))
		if end := bytes.Index(read, []byte("\r\n\r\n")); end >= 0 {
			h, refused := parseFastHead(read[:end])
			_, _ = c.in.Discard(end + len("\r\n\r\n")) // it is there
			if refused != nil {
				return h, refused
			}
			return h, nil
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return fastHead{}, malformed("head")
		}
		if err != nil {
			return fastHead{}, err
		}
		seen = len(read)
	}
}

// body reads and skims the body. One that does not fit the connection's buffer
// is read into one of the few large ones.
func (c *fastConn) body(h fastHead) (wish, error) {
	if !h.chunked && h.length <= fastMaxHead {
		raw, err := c.in.Peek(int(h.length))
		if err != nil {
			return wish{}, err
		}
		w, err := c.skim(raw)
		_, _ = c.in.Discard(len(raw)) // it is there
		return w, err
	}
	var large []byte
	select {
	case large = <-c.fast.large:
	case <-c.fast.closing:
		return wish{}, net.ErrClosed
	}
	defer func() { c.fast.large <- large }()
	var err error
	if h.chunked {
		large, err = c.chunks(large[:0])
	} else {
		large = slices.Grow(large[:0], int(h.length))[:h.length]
		_, err = io.ReadFull(c.in, large)
	}
	if err != nil {
		return wish{}, err
	}
	return c.skim(large)
}

func (c *fastConn) skim(raw []byte) (wish, error) {
	w, err := skimWish(raw)
	if err != nil {
		return w, notJSON()
	}
	return w, nil
}

// chunks reads a body in chunks and the trailer behind it, which means nothing here.
func (c *fastConn) chunks(large []byte) ([]byte, error) {
	in := bytes.NewBuffer(large)
	n, err := in.ReadFrom(io.LimitReader(httputil.NewChunkedReader(c.in), fastMaxBody+1))
	switch {
	case n > fastMaxBody:
		return in.Bytes(), fastTooLarge()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(net.Error)):
		return in.Bytes(), err
	case err != nil:
		return in.Bytes(), malformed("transfer coding")
	}
	for trailer := 0; ; {
		line, err := c.in.ReadSlice('\n')
		trailer += len(line)
		switch {
		case trailer > fastMaxHead, errors.Is(err, bufio.ErrBufferFull):
			return in.Bytes(), malformed("trailer")
		case err != nil || len(line) == len("\r\n"):
			return in.Bytes(), err
		}
	}
}

func (c *fastConn) answer(w wish) error {
	s := c.fast.script
	switch {
	case w.stream:
		return c.stream(w, s.answer(w))
	case w == wish{}:
		c.out = append(c.out, s.plain...)
	default:
		c.out = s.appendPlain(c.out, w, s.answer(w))
	}
	return c.flush()
}

// stream sends the role's event, then the pieces' a gap apart, then the rest at once.
func (c *fastConn) stream(w wish, a *answer) error {
	o := c.fast.options
	c.out = appendStreamHead(c.out, w)
	if o.FirstToken > 0 {
		if err := c.pause(time.Now().Add(o.FirstToken)); err != nil {
			return err
		}
	}
	pieces := len(a.choices[0].pieces)
	next := time.Now()
	for n, event := range c.fast.script.frames[:1+pieces] {
		if err := c.event(n, event); err != nil {
			return err
		}
		if o.Gap > 0 && 0 < n && n < pieces {
			next = next.Add(o.Gap)
			if err := c.pause(next); err != nil {
				return err
			}
		}
	}
	for n, event := range c.fast.script.tail(w, a) {
		if err := c.event(1+pieces+n, event); err != nil {
			return err
		}
	}
	return c.flush()
}

// event writes the nth event, or leaves it for the write that it shares.
func (c *fastConn) event(n int, frame []byte) error {
	c.out = append(c.out, frame...)
	if (n+1)%c.fast.options.EventsPerWrite != 0 {
		return nil
	}
	return c.flush()
}

// pause writes what there is and waits for a moment, until Close at the latest.
// A moment that has passed is not waited for: an event may be late, the ones
// behind it are not.
func (c *fastConn) pause(until time.Time) error {
	if err := c.flush(); err != nil {
		return err
	}
	left := time.Until(until)
	if left <= 0 {
		return nil
	}
	if c.timer == nil {
		c.timer = time.NewTimer(left)
	} else {
		c.timer.Reset(left)
	}
	select {
	case <-c.timer.C:
		return nil
	case <-c.fast.closing:
		c.timer.Stop()
		return net.ErrClosed
	}
}

func (c *fastConn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	c.arm()
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// arm gives the other side fastPatience, or somewhat less: the deadline is set
// anew only when a part of it has passed, because setting it costs as much as
// skimming a request.
func (c *fastConn) arm() {
	now := time.Now()
	if now.Sub(c.armed) > fastPatience/4 {
		c.armed = now
		_ = c.conn.SetDeadline(now.Add(fastPatience)) // a closed connection says so at the next use
	}
}

// refuse answers and closes. What the client still sends is read for a moment,
// or the kernel would throw the answer away with it.
func (c *fastConn) refuse(bad *Refusal) {
	body := bad.body()
	c.out = fmt.Appendf(c.out[:0], "HTTP/1.1 %d %s\r\n", bad.Status, http.StatusText(bad.Status))
	if bad.Status == http.StatusMethodNotAllowed {
		c.out = append(c.out, "Allow: POST\r\n"...)
	}
	c.out = fmt.Appendf(c.out, "Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if err := c.flush(); err != nil {
		return
	}
	if tcp, ok := c.conn.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
		_ = c.conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, c.in, fastMaxBody) // only the time matters
	}
}
