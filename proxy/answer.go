package proxy

import (
	"errors"
	"io"
	"runtime/debug"
	"strconv"
	"time"

	"tollgate/telemetry"
	"tollgate/usage"

	"github.com/valyala/fasthttp"
)

// answer sends what the attempt brought. A plain answer is settled here, before
// a byte of it is released; a stream is settled by the relay, before its [DONE].
func (x *exchange) answer(ctx *fasthttp.RequestCtx) error {
	s := x.serving
	if !x.document.Stream {
		if err := x.end(usage.EndCompleted); err != nil {
			return err
		}
		s.close()
	}
	header := &ctx.Response.Header
	if len(s.dropped) > 0 {
		header.Set("X-Tollgate-Dropped", droppedHeader(s.dropped))
	}
	if s.answer != nil {
		x.delivered = true
		x.reply(ctx, s.answer)
		return nil
	}
	// The head is flushed with the first event, which is in hand by now.
	header.SetContentType("text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no") // nginx in front must not collect events
	x.send(ctx, -1)
	return nil
}

// WriteTo writes the answer: fasthttp calls it in the connection's goroutine
// after the handler has returned. An error makes fasthttp close the connection
// without the last chunk, so that a truncated answer looks truncated.
func (x *exchange) WriteTo(w io.Writer) (n int64, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			x.gateway.Log.Error("panic in an answer", telemetry.FieldRequestID, x.id, telemetry.FieldStack, string(debug.Stack()))
			err = errPanic
		}
	}()
	if x.plain != nil || x.serving == nil {
		return x.writePlain(w)
	}
	r := relay{x: x, s: x.serving, client: w}
	err = r.run()
	return r.written, err
}

func (x *exchange) writePlain(w io.Writer) (int64, error) {
	x.firstByte = since(x.accepted)
	n, err := w.Write(x.plain)
	if err == nil && x.unread != nil {
		err = x.linger(w)
	}
	return int64(n), err
}

// How much of a refused body is read after the answer, and for how long.
const (
	lingerBytes = 4 << 20
	lingerTime  = 500 * time.Millisecond
)

// linger sends the answer and then reads a little of what the client is still
// sending. Closing a connection with unread bytes resets it, and a reset can
// overtake the answer: the client would see a broken connection, not its 413.
func (x *exchange) linger(w io.Writer) error {
	if f, ok := w.(interface{ Flush() error }); ok {
		if err := f.Flush(); err != nil {
			return err
		}
	}
	if err := x.conn.SetReadDeadline(time.Now().Add(lingerTime)); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, x.unread, lingerBytes)
	if errors.Is(err, io.EOF) {
		return nil
	}
	// The answer is out; whatever else the client sends, it loses.
	return nil
}

func decimal(n int) string { return strconv.Itoa(n) }
