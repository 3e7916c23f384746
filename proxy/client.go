package proxy

import (
	"context"
	"io"
	"net"
	"time"
)

// client is the writing side of one answer. It gives a client write_timeout, or
// up to a quarter less, for each step, not for the whole answer, and little time
// once the gateway ends.
type client struct {
	w       io.Writer
	conn    net.Conn
	running context.Context
	stall   time.Duration
	rearmAt time.Time
	written int64
	gone    func() bool // the client has left
	stalled bool        // it was cut because it accepted nothing
	stop    func() bool
}

func newClient(x *exchange, w io.Writer) *client {
	c := &client{w: w, conn: x.conn, running: x.gateway.running, stall: x.gateway.Config.WriteTimeout, gone: x.gone}
	c.stop = context.AfterFunc(c.running, c.hurry)
	return c
}

// hurry wakes a write that waits for a client which accepts nothing, when the
// gateway ends: the answer's record is still to be made.
func (c *client) hurry() {
	_ = c.conn.SetWriteDeadline(time.Now().Add(haltGrace / 2)) // a closed connection needs none
}

func (c *client) write(p []byte) error {
	if c.gone() {
		return errClientGone
	}
	// fasthttp set the deadline once, for the whole answer; a stream lives longer.
	if now := time.Now(); now.After(c.rearmAt) && c.running.Err() == nil {
		if err := c.conn.SetWriteDeadline(now.Add(c.stall)); err != nil {
			return err
		}
		c.rearmAt = now.Add(c.stall / 4)
		if c.running.Err() != nil {
			c.hurry() // it came between the question and the deadline
		}
		if c.gone() {
			return errClientGone // so did this, and nobody would wake the write
		}
	}
	n, err := c.w.Write(p)
	c.written += int64(n)
	if err != nil {
		c.stalled = isTimeout(err) && !c.gone() && c.running.Err() == nil
	}
	return err
}

// flush sends what fasthttp's buffer of a plain answer holds. The writer of a
// stream flushes each write by itself.
func (c *client) flush() error {
	if f, ok := c.w.(interface{ Flush() error }); ok {
		return f.Flush()
	}
	return nil
}

func (c *client) close() { c.stop() }
