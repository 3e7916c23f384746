package simulator

import (
	"context"
	"fmt"
	"net"
	"time"
)

// header writes the status line and the header; they leave with the next flush.
func (x *exchange) header(status int) {
	x.w.WriteHeader(status)
	x.record.note(func(e *Entry) { e.Status = status })
}

// send hands bytes of the body to the socket, up to where a fault cuts it, and
// returns how many those were.
func (x *exchange) send(body []byte) (int, error) {
	allowed, cut := x.fault.cutAfter(x.sent, len(body))
	if cut && x.fault.is(CutInside, ShortBody) {
		return x.tear(body, allowed)
	}
	if err := x.write(body[:allowed]); err != nil {
		return 0, err
	}
	if cut {
		return allowed, errCut
	}
	return allowed, nil
}

// write is one write to the socket: one HTTP chunk, where the body has chunks.
func (x *exchange) write(body []byte) error {
	if _, err := x.w.Write(body); err != nil {
		return x.lost()
	}
	if err := x.flush(); err != nil {
		return err
	}
	x.written(len(body))
	return nil
}

func (x *exchange) written(n int) {
	first := x.sent == 0 && n > 0
	x.sent += int64(n)
	x.record.note(func(e *Entry) {
		e.BytesWritten = x.sent
		if first {
			e.FirstByte = x.sim.options.Now()
		}
	})
}

func (x *exchange) flush() error {
	if err := x.control.Flush(); err != nil {
		return x.lost()
	}
	return nil
}

// tear begins a chunk of all these bytes and sends some of them.
func (x *exchange) tear(body []byte, allowed int) (int, error) {
	if err := x.raw(fmt.Appendf(nil, "%x\r\n%s", len(body), body[:allowed])); err != nil {
		return 0, err
	}
	x.written(allowed)
	return allowed, errCut
}

// malformedChunk sends what is no chunk.
func (x *exchange) malformedChunk() error {
	if err := x.raw([]byte("zz\r\nthis is no chunk\r\n")); err != nil {
		return err
	}
	return errCut
}

// raw sends bytes around the transfer coding, on the connection that is taken
// over from net/http. From then on nobody watches for the client to leave: only
// the end of the connection may follow.
func (x *exchange) raw(wire []byte) error {
	conn, err := x.takeOver()
	if err != nil {
		return errCut // there is no connection to break, which abandon says
	}
	stop := context.AfterFunc(x.r.Context(), func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // the server closes
	defer stop()
	if _, err := conn.Write(wire); err != nil {
		return x.lost()
	}
	return nil
}

// takeOver takes the connection from net/http. What was flushed has left it.
func (x *exchange) takeOver() (net.Conn, error) {
	if x.conn == nil {
		conn, _, err := x.control.Hijack()
		if err != nil {
			return nil, err
		}
		x.conn = conn
	}
	return x.conn, nil
}
