package proxy

import (
	"errors"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"tollgate/keys"
	"tollgate/proxy/scan"
	"tollgate/ratelimit"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/valyala/fasthttp"
)

// exchange is all state of one request, from its head to the last byte of its
// answer. It is the answer's body too: fasthttp calls WriteTo after the handler
// has returned and Close on every path, so Close is where a request ends.
type exchange struct {
	gateway  *Gateway
	plan     *Plan
	id       string
	accepted time.Time
	conn     *connection
	route    route
	method   string
	http11   bool
	tail     string // what follows the path of the route: a model id, a query

	from     netip.Addr // the client
	key      *keys.Key
	watch    keys.Watch // over the key; one goroutine at a time asks it
	permit   ratelimit.Permit
	taken    bool        // permit was asked for
	returned bool        // and is ended
	framed   bool        // the head is beyond doubt, and says where the body ends
	reading  bool        // some of the request's body may have been read
	bodyRead bool        // the request's body was read to its end
	known    bool        // accepted, and its key is authenticated
	entered  atomic.Bool // counted as in flight
	reserved int64       // bytes of max_body_memory, for the request
	held     int64       // bytes of max_body_memory, for a plain answer

	body     *[]byte
	document *scan.Document
	model    *upstream.Model
	choice   upstream.Route
	fields   *fields // until the body is given back
	admitted bool    // a usage record is owed
	settled  bool
	finished bool

	trail       trail
	attempts    int
	intended    bool // the last attempt is on record, and not how it failed
	reached     bool // and its provider may have got the request
	thrift      bool // a further attempt was not made, for too many requests need one
	forbidden   int8 // how many of the attempts were
	lastOutcome upstream.Outcome
	lastLimit   error    // the time limit that ended the last attempt; nil: none did
	serving     *serving // the attempt that answers, once there is one
	departure   departure
	aloud       *aloud // the attempts, when they go on while the answer has begun

	span     *telemetry.RequestSpan
	abroad   time.Duration // how long the gateway waited for others: the client's body, providers
	settling time.Duration // how long a stream's record took, after its first byte

	record       usage.Record
	allowance    allowance  // of the answer's tokens
	prompt       promptText // for an estimate after the body was given back
	promptTokens chan int64 // the prompt's count, or a goroutine is making it; nil: nobody has counted
	delivered    bool       // content has reached the client
	textOut      int64      // bytes of the answer's text that have

	status    int
	errorCode string // as the client saw it
	errorType string // the same in Tollgate's own words, of which there are few
	firstByte time.Duration
	unread    io.Reader // what is left of a refused request
	plain     []byte    // the answer, when it is not a stream
}

func (g *Gateway) newExchange(ctx *fasthttp.RequestCtx) *exchange {
	x := &exchange{
		gateway:  g,
		plan:     g.plan.Load(),
		id:       telemetry.NewRequestID(),
		accepted: time.Now(),
		conn:     connectionOf(ctx.Conn()),
		method:   string(ctx.Method()),
		http11:   ctx.Request.Header.IsHTTP11(),
	}
	x.conn.busy.Store(true)
	return x
}

// send hands the response to fasthttp: common headers, and the exchange as
// its body. A negative length is a stream.
func (x *exchange) send(ctx *fasthttp.RequestCtx, length int) {
	x.status = ctx.Response.StatusCode()
	header := &ctx.Response.Header
	header.Set("X-Request-Id", x.id)
	x.showLimits(header)
	if x.gateway.retiring.Load() {
		ctx.SetConnectionClose() // the connection has no future here
	}
	if !x.bodyRead && !x.discardBody(ctx) {
		// fasthttp would parse what is left of the body as the next request.
		ctx.SetConnectionClose()
		if x.unread == nil {
			x.unread = ctx.RequestBodyStream()
		}
	}
	ctx.Response.SetBodyStream(x, length)
}

// reply sends a plain JSON answer that the gateway itself wrote.
func (x *exchange) reply(ctx *fasthttp.RequestCtx, body []byte) {
	ctx.Response.Header.SetContentType("application/json")
	x.plain = body
	x.send(ctx, len(body))
}

// refuse answers err through the error table. A request that was admitted
// leaves its record here when no answer could.
func (x *exchange) refuse(ctx *fasthttp.RequestCtx, err error) {
	ctx.Response.Reset()
	f := x.giveUp(err)
	if x.aloud != nil {
		x.aloud.abandon(x) // the attempts read the body
	}
	x.releaseBody() // a refused client may take its time
	x.plain = f.write(&ctx.Response)
	x.nameUpstream(ctx, x.refuser(err))
	x.send(ctx, len(x.plain))
}

// refuser is the provider whose refusal an error is; empty: it is nobody's.
func (x *exchange) refuser(err error) string {
	if refusal := (*refusalError)(nil); errors.As(err, &refusal) {
		return x.record.Provider
	}
	return ""
}

// giveUp settles a request that gets no answer, and says what its client is told.
func (x *exchange) giveUp(err error) Failure {
	if x.admitted && !x.settled {
		end := endReasonOf(err)
		if x.serving != nil && end == usage.EndUpstreamFailed {
			end = usage.EndUpstreamCut // there was an answer, and it is the gateway that failed
		}
		x.delivered = false // and is not
		if ledger := x.end(end); ledger != nil {
			err = ledger
		}
	}
	if x.gone() {
		err = errClientGone // whatever it was, nobody is told
	}
	f := failureOf(err)
	x.errorCode, x.errorType = f.Code, errorTypeOf(err, f)
	return f
}

// reportAs gives the request's report the code of an error that its client was not
// told, and returns its status.
func (x *exchange) reportAs(err error) (status int) {
	f := failureOf(err)
	x.errorCode, x.errorType = f.Code, f.Code
	return f.Status
}

// refuseAfterPanic answers a request on which the gateway itself failed. What
// panicked once may do so again while the request is settled, and a panic in a
// handler ends the process.
func (x *exchange) refuseAfterPanic(ctx *fasthttp.RequestCtx) {
	defer func() {
		if recover() != nil {
			x.settled = true
			x.refuse(ctx, errPanic)
		}
	}()
	x.refuse(ctx, errPanic)
}

// Read is never called: SupportsBodyWriteTo sends fasthttp to WriteTo.
func (x *exchange) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (x *exchange) SupportsBodyWriteTo() bool { return true }

// Close ends the exchange. fasthttp calls it on every path, after WriteTo when
// there was one. It is idempotent.
func (x *exchange) Close() error {
	x.finish()
	return nil
}

// finish releases everything the request held, exactly once, and reports it.
func (x *exchange) finish() {
	if x.finished {
		return
	}
	x.finished = true
	if x.aloud != nil {
		x.aloud.abandon(x)
	}
	// Deferred, so that a panic in one of them costs none of the others.
	defer x.leave()        // last: a shutdown waits for it
	defer x.endDeparture() // and for this
	defer x.conn.dismiss()
	defer x.report()
	defer x.letGo()
	defer x.releaseBody()
	if x.serving != nil {
		defer x.endAttempt()
		defer x.serving.close()
	}
	defer x.endPermit() // of what was not settled
	if x.admitted && !x.settled {
		// Nobody took the answer: not even its head could be sent.
		_ = x.end(usage.EndClientGone) // settle has logged what went wrong
	}
}

// leave takes back what enter counted.
func (x *exchange) leave() {
	if x.entered.CompareAndSwap(true, false) {
		x.gateway.inFlight.Add(-1)
	}
}

// releaseBody gives the request's body and its share of max_body_memory back.
// The relay calls it when the first byte is forwarded, since no other provider
// can be asked from then on.
func (x *exchange) releaseBody() {
	g := x.gateway
	if x.document != nil {
		if x.admitted && !x.settled && x.promptTokens == nil {
			x.prompt = samplePrompt(x.document)
		}
		x.document.Reset()
		g.documents.Put(x.document)
		x.document = nil
	}
	if x.fields != nil {
		g.fields.Put(x.fields)
		x.fields = nil
	}
	if x.body != nil {
		if cap(*x.body) <= pooledBody {
			g.bodies.Put(x.body)
		}
		x.body = nil
	}
	g.bodyMemory.Add(-x.reserved)
	x.reserved = 0
}

// hold counts n more bytes of a plain answer against max_body_memory, or refuses.
func (x *exchange) hold(n int) bool {
	g := x.gateway
	if !g.takeMemory(int64(n), g.Config.MaxBodyMemory) {
		return false
	}
	x.held += int64(n)
	return true
}

// letGo gives back what hold counted.
func (x *exchange) letGo() {
	x.gateway.bodyMemory.Add(-x.held)
	x.held = 0
}
