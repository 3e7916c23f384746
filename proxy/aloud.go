package proxy

import (
	"runtime/debug"
	"time"

	"tollgate/keys"
	"tollgate/telemetry"

	"github.com/valyala/fasthttp"
)

// aloud are the attempts of a stream whose client is sent keep-alive comments
// while it waits for the first event (server.keepalive_before_first_token). They
// go on in a goroutine of their own, since fasthttp begins an answer only when
// its handler has returned. A failure before the first comment has its status; one
// after it is an error event, for status 200 has gone out by then.
type aloud struct {
	done  chan error // of one value: how the attempts ended
	err   error
	over  bool       // done was received
	watch keys.Watch // over the key; the attempts have their own
}

// mayAnswerAloud reports whether a stream's answer may begin before its first event.
func (x *exchange) mayAnswerAloud() bool {
	return x.gateway.Config.KeepaliveBeforeFirstToken && x.document.Stream
}

// attemptAloud makes the attempts. It returns when they have ended, or when it
// is time for the first comment, which WriteTo sends.
func (x *exchange) attemptAloud(ctx *fasthttp.RequestCtx) error {
	a := &aloud{done: make(chan error, 1), watch: x.watch}
	x.gateway.background.Go(func() { a.done <- x.attemptGuarded() })
	patience := time.NewTimer(x.gateway.Config.KeepaliveComment)
	defer patience.Stop()
	select {
	case err := <-a.done:
		if err != nil {
			return err
		}
		return x.answer(ctx)
	case <-patience.C:
		x.aloud = a
		x.sendStream(ctx)
		return nil
	}
}

// attemptGuarded is attempt in a goroutine of its own, where a panic would end
// the process.
func (x *exchange) attemptGuarded() (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			x.log().Error("panic in a request", telemetry.FieldStack, string(debug.Stack()))
			err = errPanic
		}
	}()
	return x.attempt()
}

// wait sends comments until the attempts have ended. An error is how the answer
// ends: it has been told to the client.
func (a *aloud) wait(x *exchange, c *client) error {
	ticker := time.NewTicker(x.gateway.Config.KeepaliveComment)
	defer ticker.Stop()
	for !a.over {
		if a.watch.Severed() {
			x.sever() // again with each tick: an attempt may have been about to begin
		} else if err := c.write(keepalive()); err != nil {
			x.clientLeft()
			a.receive()
			break
		}
		select {
		case a.err = <-a.done:
			a.over = true
		case <-ticker.C:
		}
	}
	if a.err == nil {
		return nil
	}
	f := x.giveUp(a.err)
	_ = c.write(f.event()) // the unclean end says the same
	return errInterrupted
}

// receive waits for the end of the attempts.
func (a *aloud) receive() {
	if !a.over {
		a.err, a.over = <-a.done, true
	}
}

// abandon ends attempts whose answer could not even begin.
func (a *aloud) abandon(x *exchange) {
	if a.over {
		return
	}
	x.clientLeft()
	a.receive()
}
