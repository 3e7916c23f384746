package proxy

import (
	"errors"
	"io"

	"tollgate/proxy/scan"

	"github.com/valyala/fasthttp"
)

// pooledBody is the largest body buffer kept for reuse, in bytes: a pool of
// buffers as large as the largest image would be memory that never comes back.
const pooledBody = 256 << 10

// chunkedStep is how much memory a chunked body reserves at a time, in bytes.
const chunkedStep = 64 << 10

// enter counts the request as in flight, or refuses it before its body is read.
func (x *exchange) enter() error {
	g := x.gateway
	if g.running.Err() != nil {
		return errDraining
	}
	if g.inFlight.Add(1) > int64(g.Config.MaxInFlight) {
		g.inFlight.Add(-1)
		return errInFlight
	}
	x.entered = true
	return nil
}

// read takes the body into memory, within both bounds, and scans it. fasthttp's
// own body readers are not used: they do not enforce a limit on a streamed body,
// and give an error's text in place of a body that broke.
func (x *exchange) read(ctx *fasthttp.RequestCtx) error {
	length := ctx.Request.Header.ContentLength()
	var err error
	switch {
	case length > int(x.gateway.Config.MaxRequestBody):
		return errBodyTooLarge
	case length >= 0:
		err = x.readFixed(ctx.RequestBodyStream(), length)
	default:
		err = x.readChunked(ctx.RequestBodyStream())
	}
	if err != nil {
		return err
	}
	x.bodyRead = true
	x.document, _ = x.gateway.documents.Get().(*scan.Document)
	return x.document.Parse(*x.body)
}

// readFixed reads exactly the declared length, which leaves the connection at
// the next request.
func (x *exchange) readFixed(stream io.Reader, length int) error {
	if !x.reserve(int64(length)) {
		return errBodyMemory
	}
	x.takeBuffer(length)
	if length == 0 {
		return nil
	}
	if stream == nil {
		return errBodyBroken
	}
	if _, err := io.ReadFull(stream, *x.body); err != nil {
		return bodyFault(err)
	}
	return nil
}

// readChunked reads to the last chunk and past the trailer. A body that was
// cut between two chunks reads as a clean end; the scan refuses it, since a
// truncated document is not valid.
func (x *exchange) readChunked(stream io.Reader) error {
	if stream == nil {
		return errBodyBroken
	}
	if !x.reserve(chunkedStep) {
		return errBodyMemory
	}
	x.takeBuffer(chunkedStep)
	limit := int(x.gateway.Config.MaxRequestBody)
	filled := 0
	for {
		n, err := stream.Read((*x.body)[filled:])
		filled += n
		switch {
		case filled > limit:
			return errBodyTooLarge
		case errors.Is(err, io.EOF):
			*x.body = (*x.body)[:filled]
			return nil
		case err != nil:
			return bodyFault(err)
		}
		if filled == len(*x.body) && !x.growBuffer() {
			return errBodyMemory
		}
	}
}

// bodyFault tells a client that was too slow from one that broke off. fasthttp's
// own error texts quote the body.
func bodyFault(err error) error {
	if isTimeout(err) {
		return errReadTimeout
	}
	return errBodyBroken
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// bodyCopies is how often a body stands in memory: as it came, and rewritten
// for the provider being asked.
const bodyCopies = 2

// reserve counts the memory of n more bytes of body, or refuses.
func (x *exchange) reserve(n int64) bool {
	g := x.gateway
	n *= bodyCopies
	if g.bodyMemory.Add(n) > int64(g.Config.MaxBodyMemory) {
		g.bodyMemory.Add(-n)
		return false
	}
	x.reserved += n
	return true
}

func (x *exchange) takeBuffer(length int) {
	if length <= pooledBody {
		x.body, _ = x.gateway.bodies.Get().(*[]byte)
		if cap(*x.body) < length {
			*x.body = make([]byte, length, roundToPowerOfTwo(length))
		}
		*x.body = (*x.body)[:length]
		return
	}
	body := make([]byte, length)
	x.body = &body
}

// growBuffer doubles the body's buffer, one byte beyond the limit at most, so
// that a body that is too large is seen to be.
func (x *exchange) growBuffer() bool {
	old := *x.body
	length := min(2*len(old), int(x.gateway.Config.MaxRequestBody)+1)
	if !x.reserve(int64(length - len(old))) {
		return false
	}
	grown := make([]byte, length)
	copy(grown, old)
	x.body = &grown
	return true
}

func roundToPowerOfTwo(n int) int {
	size := 1 << 10
	for size < n {
		size *= 2
	}
	return size
}
