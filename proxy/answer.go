package proxy

import (
	"io"
	"runtime/debug"
	"strconv"
	"time"

	"tollgate/crash"
	"tollgate/telemetry"
	"tollgate/usage"

	"github.com/valyala/fasthttp"
)

// answer sends what the attempt brought. A plain answer is settled here, before
// a byte of it is released; a stream is settled by the relay, before its [DONE].
func (x *exchange) answer(ctx *fasthttp.RequestCtx) error {
	s := x.serving
	if !x.document.Stream {
		x.detach()
		end := s.endOfWhole()
		if x.gone() {
			end = usage.EndClientGone
		}
		x.delivered = end == usage.EndCompleted // with the next lines
		if err := x.end(end); err != nil {
			return err
		}
		crash.Point("plain.before_answer")
		s.close()
		x.endAttempt()
		if end == usage.EndClientGone {
			return errClientGone
		}
	}
	header := &ctx.Response.Header
	if len(s.dropped) > 0 {
		header.Set("X-Tollgate-Dropped", droppedHeader(s.dropped))
	}
	x.nameUpstream(ctx, s.attempt.Provider.Name)
	if s.answer != nil {
		x.reply(ctx, s.answer)
		return nil
	}
	x.sendStream(ctx) // its head is flushed with the first event, which is in hand by now
	return nil
}

// nameUpstream says on the response who answers, if anybody does, and how many were asked.
func (x *exchange) nameUpstream(ctx *fasthttp.RequestCtx, provider string) {
	if x.attempts == 0 || !x.gateway.Config.UpstreamHeaders {
		return
	}
	header := &ctx.Response.Header
	if provider != "" {
		header.Set("X-Tollgate-Upstream", provider)
	}
	header.Set("X-Tollgate-Attempts", strconv.Itoa(x.attempts))
}

func (x *exchange) sendStream(ctx *fasthttp.RequestCtx) {
	header := &ctx.Response.Header
	header.SetContentType("text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no") // nginx in front must not collect events
	x.send(ctx, -1)
}

// WriteTo writes the answer: fasthttp calls it in the connection's goroutine
// after the handler has returned. An error makes fasthttp close the connection
// without the last chunk, so that a truncated answer looks truncated.
func (x *exchange) WriteTo(w io.Writer) (n int64, err error) {
	c := newClient(x, w)
	defer c.close()
	defer func() {
		if cause := recover(); cause != nil {
			x.log().Error("panic in an answer", telemetry.FieldStack, string(debug.Stack()))
			n, err = c.written, errPanic
			if x.aloud != nil {
				x.aloud.abandon(x)
			}
			if x.admitted {
				_ = x.end(usage.EndUpstreamCut) // not the client's doing; settle logs what goes wrong
			}
		}
	}()
	if x.aloud != nil {
		if err = x.aloud.wait(x, c); err != nil {
			return c.written, err
		}
	}
	if x.plain != nil || x.serving == nil {
		if err = x.writePlain(c); err != nil {
			x.undelivered(c)
		}
		crash.Point("plain.after_answer")
	} else {
		r := relay{x: x, s: x.serving, client: c}
		err = r.run()
	}
	return c.written, err
}

// undelivered reports a plain answer that did not arrive whole. Its record stands:
// the answer was given, and its figures are known.
func (x *exchange) undelivered(c *client) {
	if c.stalled {
		x.reportAs(errStalled)
	} else {
		x.reportAs(errClientGone)
	}
}

// writePlain sends an answer that is in memory, step by step, so that a client
// which keeps accepting has as long as it needs. It is flushed here: fasthttp
// would hold it back while a pipelined request behind it is answered.
func (x *exchange) writePlain(c *client) error {
	const step = 64 << 10
	for rest := x.plain; len(rest) > 0; {
		n := min(step, len(rest))
		if err := c.write(rest[:n]); err != nil {
			return err
		}
		if x.firstByte == 0 {
			x.firstByte = since(x.accepted)
		}
		rest = rest[n:]
	}
	if err := c.flush(); err != nil {
		return err
	}
	if x.unread != nil {
		x.linger()
	}
	return nil
}

// How much of a refused body is read after the answer, and for how long.
const (
	lingerBytes = 4 << 20
	lingerTime  = 500 * time.Millisecond
)

// linger reads a little of what a refused client is still sending. Closing a
// connection with unread bytes resets it, and a reset can overtake the answer:
// the client would see a broken connection, not its 413.
func (x *exchange) linger() {
	if x.conn.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, x.unread, lingerBytes) // the answer is out; the rest is the client's loss
	}
}
