package proxy

import "github.com/valyala/fasthttp"

// expect decides about a request that waits for "100 Continue" before it sends
// its body (RFC 9110, section 10.1.1). Whoever will be refused for its head, its
// key, or for want of room is refused here, before the body is on its way. It
// returns the status with which fasthttp goes on: 100, or the final one.
func (g *Gateway) expect(ctx *fasthttp.RequestCtx) int {
	x := g.newExchange(ctx)
	x.reading = true // fasthttp has no body to discard, and forgets what it has buffered
	x.guard(ctx, g.foresee)
	if x.status != 0 {
		return x.status
	}
	x.reading = false
	x.conn.announced.Store(x)
	return fasthttp.StatusContinue
}

// foresee makes the stages that need no body.
func (g *Gateway) foresee(ctx *fasthttp.RequestCtx, x *exchange) error {
	if err := x.identify(ctx); err != nil {
		return err
	}
	if x.route != routeChat {
		return nil
	}
	if err := x.checkBody(ctx); err != nil {
		return err
	}
	return x.enter()
}

// takeAnnounced returns the exchange of a request that expect let through, once.
func (g *Gateway) takeAnnounced(ctx *fasthttp.RequestCtx) *exchange {
	return connectionOf(ctx.Conn()).announced.Swap(nil)
}

// readExpectation makes every expectation one that fasthttp asks expect about, in
// any spelling and also where it will be refused: else it would wait for the body
// first. It takes the header from a client that cannot mean it (RFC 9110, section
// 10.1.1: HTTP/1.0 has no interim answers).
func readExpectation(header *fasthttp.RequestHeader) (none fasthttp.RequestConfig) {
	switch {
	case len(header.Peek(fasthttp.HeaderExpect)) == 0:
	case header.IsHTTP11():
		header.Set(fasthttp.HeaderExpect, "100-continue")
	default:
		header.Del(fasthttp.HeaderExpect)
	}
	return none
}
