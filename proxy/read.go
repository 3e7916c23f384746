package proxy

import (
	"errors"
	"io"
	"strings"
	"time"

	"tollgate/proxy/scan"

	"github.com/valyala/fasthttp"
)

// pooledBody is the largest body buffer kept for reuse, in bytes: a pool of
// buffers as large as the largest image would be memory that never comes back.
const pooledBody = 256 << 10

// enter counts the request as in flight, or refuses it before its body is read.
func (x *exchange) enter() error {
	g := x.gateway
	if !x.entered.CompareAndSwap(false, true) {
		return nil // when it was announced
	}
	switch count := g.inFlight.Add(1); {
	case g.running.Err() != nil: // asked after counting: Close waits for whoever it can still see
		x.leave()
		return errDraining
	case count > int64(g.Config.MaxInFlight):
		x.leave()
		return errInFlight
	}
	return nil
}

// checkBody refuses a body by what its head says of it.
func (x *exchange) checkBody(ctx *fasthttp.RequestCtx) error {
	encoding := string(ctx.Request.Header.ContentEncoding())
	switch {
	case !x.framed:
		return errLengthRequired
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return errEncodedBody
	case ctx.Request.Header.ContentLength() > int(x.gateway.Config.MaxRequestBody):
		return errBodyTooLarge
	}
	return nil
}

// read takes the body into memory, within both bounds, and scans it. fasthttp's
// own body readers are not used: they do not enforce a limit on a streamed body,
// and give an error's text in place of a body that broke.
func (x *exchange) read(ctx *fasthttp.RequestCtx) error {
	if err := x.checkBody(ctx); err != nil {
		return err
	}
	limit := int(x.gateway.Config.MaxRequestBody)
	length := ctx.Request.Header.ContentLength() // -1: chunked
	stream := ctx.RequestBodyStream()
	if stream == nil && length != 0 {
		return errBodyBroken
	}
	x.reading = true
	began := time.Now()
	err := x.fill(stream, length, limit)
	x.abroad += since(began)
	if err != nil {
		return err
	}
	x.bodyRead = true
	x.document, _ = x.gateway.documents.Get().(*scan.Document)
	if err := x.document.Parse(*x.body); err != nil {
		return err
	}
	return x.holdLoose()
}

// holdLoose counts what a body with very many nested members takes beside its
// bytes: a place for each, and a splice where it is removed.
func (x *exchange) holdLoose() error {
	const freely = 256
	n := len(x.document.Loose)
	if n > freely && !x.reserve(int64(n)*2*scan.LooseBytes, x.gateway.roomOfBodies()) {
		return errBodyMemory
	}
	return nil
}

// fill reads the body into memory that grows with what has arrived: a declared
// length costs nothing until a part of it was sent. Of a declared length exactly
// so much is read; a chunked body is read past its trailer. Both leave the connection at the
// next request. A chunked body that was cut between two chunks reads as a clean
// end; the scan refuses it, since a truncated document is not valid.
func (x *exchange) fill(stream io.Reader, length, limit int) error {
	most := limit
	if length >= 0 {
		most = length
	}
	if err := x.takeBuffer(length, most); err != nil {
		return err
	}
	for filled := 0; ; {
		if filled == length {
			return nil
		}
		if filled == len(*x.body) {
			if filled == most {
				return x.expectEnd(stream)
			}
			if !x.growBuffer(length, most) {
				return errBodyMemory
			}
		}
		n, err := stream.Read((*x.body)[filled:])
		filled += n
		switch {
		case filled == length:
		case errors.Is(err, io.EOF) && length < 0:
			*x.body = (*x.body)[:filled]
			return nil
		case err != nil:
			return x.bodyFault(err)
		}
	}
}

// prefetched is how much of a body with a length fasthttp reads before it calls
// its handler, in bytes.
const prefetched = 8 << 10

// discardBody reads the body of a refused request, where that takes no waiting,
// and reports whether the connection stands at the next request. A client that
// is refused at every second request then need not connect anew each time.
func (x *exchange) discardBody(ctx *fasthttp.RequestCtx) bool {
	length := ctx.Request.Header.ContentLength()
	stream := ctx.RequestBodyStream()
	if !x.framed || x.reading || stream == nil || length < 0 || length > prefetched || x.method != fasthttp.MethodPost {
		return false
	}
	n, err := io.CopyN(io.Discard, stream, int64(length))
	x.bodyRead = err == nil && n == int64(length)
	return x.bodyRead
}

// expectEnd reads the end of a chunked body that has reached the limit.
func (x *exchange) expectEnd(stream io.Reader) error {
	var one [1]byte
	for {
		switch n, err := stream.Read(one[:]); {
		case n > 0:
			return errBodyTooLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return x.bodyFault(err)
		}
	}
}

// bodyFault tells a client that was too slow, or met the gateway's end, from one
// that broke off. fasthttp's own error texts quote the body.
func (x *exchange) bodyFault(err error) error {
	switch {
	case isTimeout(err) && x.gateway.running.Err() != nil:
		return errDraining
	case isTimeout(err):
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

// reserve counts the memory of n more bytes of body within a limit, or refuses.
func (x *exchange) reserve(n int64, limit Size) bool {
	g := x.gateway
	n *= bodyCopies
	if !g.takeMemory(n, limit) {
		return false
	}
	x.reserved += n
	return true
}

// roomOfBodies is what all bodies may take together. The room of one answer is left:
// what a provider has been paid for must not be lost to requests that have come since.
func (g *Gateway) roomOfBodies() Size { return g.Config.MaxBodyMemory - g.Config.MaxAnswer }

// roomOfLargeBodies leaves an eighth of that to bodies of at most a first step, unless a
// single large one needs it: whoever sends a few of those, slowly, must not shut out the others.
func (g *Gateway) roomOfLargeBodies() Size {
	return max(g.roomOfBodies()/8*7, bodyCopies*(g.Config.MaxRequestBody+1))
}

// takeMemory counts n more bytes of bodies, or refuses. A refused count is never
// seen by others, who may want less.
func (g *Gateway) takeMemory(n int64, limit Size) bool {
	for {
		taken := g.bodyMemory.Load()
		if taken+n > int64(limit) {
			return false
		}
		if g.bodyMemory.CompareAndSwap(taken, taken+n) {
			return true
		}
	}
}

// firstStep is how much of a body is taken on credit, in bytes.
const firstStep = 64 << 10

// takeBuffer begins with a pooled buffer of at most firstStep bytes. Of a body whose
// declared length (-1: none) says that it is large, nothing is read where there is no
// room for large ones.
func (x *exchange) takeBuffer(declared, most int) error {
	length, room := min(most, firstStep), x.gateway.roomOfBodies()
	if declared > firstStep {
		room = x.gateway.roomOfLargeBodies()
	}
	if !x.reserve(int64(length), room) {
		return errBodyMemory
	}
	x.body, _ = x.gateway.bodies.Get().(*[]byte)
	if cap(*x.body) < length {
		*x.body = make([]byte, length, roundToPowerOfTwo(length))
	}
	*x.body = (*x.body)[:length]
	return nil
}

// earnest is the part of a declared length that must have come before the rest of
// it is believed.
const earnest = 16

// growBuffer doubles the body's buffer, at most to the length given. A declared
// length (-1: none) that is believed gets all its memory at once: large bodies that
// took it bit by bit would each hold what another one needs, until all are refused.
func (x *exchange) growBuffer(declared, most int) bool {
	old := *x.body
	length := min(2*len(old), most)
	if len(old) >= declared/earnest {
		length = max(length, declared)
	}
	if !x.reserve(int64(length-len(old)), x.gateway.roomOfLargeBodies()) {
		return false
	}
	if length <= cap(old) {
		*x.body = old[:length]
		return true
	}
	grown := make([]byte, length)
	copy(grown, old)
	*x.body = grown
	return true
}

func roundToPowerOfTwo(n int) int {
	size := 1 << 10
	for size < n {
		size *= 2
	}
	return size
}
