package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/keys"
	"tollgate/proxy/scan"
	"tollgate/proxy/sse"
	"tollgate/ratelimit"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/valyala/fasthttp"
)

// Leg carries one request to a provider. Do returns when the response head is
// there; its body ends with an error when the transfer was cut, and when ctx
// is cancelled.
type Leg interface {
	Do(ctx context.Context, r *upstream.Request) (*upstream.Response, error)
}

// Recorder keeps what requests cost. It retains none of the records it is given.
type Recorder interface {
	// Intend puts on record that a provider is about to be asked; after an error it must not be.
	Intend(r *usage.Record) error
	// Note puts on record how a request goes on: an attempt that failed, a checkpoint.
	Note(r *usage.Record)
	// Settle makes the bill of a request durable: nil means that it survives a crash.
	Settle(ctx context.Context, r *usage.Record) error
}

// Spending answers what a key has spent.
type Spending interface {
	Sum(ctx context.Context, q usage.Query) ([]usage.Row, error)
}

// Plan is what requests are answered by, and what may be exchanged while some are
// in progress: each keeps the plan that it began with.
type Plan struct {
	Table  *upstream.Table
	Prices *usage.PriceBook
	// MaxCompletionTokens bounds what an answer is taken for when its tokens are reserved.
	MaxCompletionTokens int64
}

// Options are the parts that a Gateway joins. All are required, but for Recordable,
// and for Traces and Metrics: without them none are made.
type Options struct {
	Config    Config
	Keys      *keys.Directory
	Limiter   *ratelimit.Limiter
	Forecast  *ratelimit.Forecast
	Plan      Plan
	Leg       Leg
	Recorder  Recorder
	Spending  Spending
	Estimator *usage.Estimator
	Traces    *telemetry.Traces
	Metrics   *telemetry.Metrics
	Log       *slog.Logger

	// Recordable says why the Recorder takes no intents now; nil: it takes them. Requests are then refused before
	// they spend anything of their keys' limits.
	Recordable func() error
}

// Gateway is the life of every request. It is safe for concurrent use.
type Gateway struct {
	Options
	plan    atomic.Pointer[Plan] // the one in force; Options has the first
	trusted networks             // of server.trusted_proxies

	// running is the parent of every upstream request: it ends, with errShutdown
	// as its cause, when the time for draining is over. It is never a fasthttp
	// context, whose Done fires when a shutdown starts.
	running context.Context
	halt    context.CancelCauseFunc
	// staying ends when a shutdown begins: answers that nobody waits for end with it.
	staying context.Context
	abandon context.CancelFunc
	// retiring closes each connection with its answer.
	retiring atomic.Bool

	inFlight   atomic.Int64
	drains     atomic.Int64 // answers read on without their clients
	bodyMemory atomic.Int64
	rests      atomic.Int64   // rests of answers being read for their connections' sake
	background sync.WaitGroup // those, and prompt counters

	documents sync.Pool // *scan.Document
	fields    sync.Pool // *fields
	bodies    sync.Pool // *[]byte of up to pooledBody bytes
	framers   sync.Pool // *sse.Framer
	drafts    sync.Pool // *usage.Record
}

// New returns a Gateway. Serve it through NewServer, end it with Close.
func New(o Options) *Gateway {
	g := &Gateway{Options: o, trusted: trustedNetworks(o.Config)}
	g.Follow(o.Plan)
	g.running, g.halt = context.WithCancelCause(context.Background())
	g.staying, g.abandon = context.WithCancel(context.Background())
	g.documents.New = func() any { return new(scan.Document) }
	g.fields.New = func() any { return new(fields) }
	g.bodies.New = func() any { return new([]byte) }
	g.framers.New = func() any { return sse.NewFramer(int(o.Config.MaxEvent)) }
	g.drafts.New = func() any { return new(usage.Record) }
	return g
}

// Follow puts another plan into force, for the requests that begin from now on.
func (g *Gateway) Follow(p Plan) {
	if p.Table != nil {
		for _, model := range p.Table.Names() {
			g.Metrics.RetriesOf(model)
		}
		for _, e := range p.Table.Endpoints() {
			g.Metrics.RejectionsOf(e.Provider)
		}
	}
	g.plan.Store(&p)
}

// Close cancels every upstream request that is still open: their answers end
// with an error event and leave their records. It waits until all have, at most
// until ctx is done, and returns an error when some have not; and then for what
// the gateway does in the background, which ends by itself in a moment.
func (g *Gateway) Close(ctx context.Context) error {
	g.Retire()
	g.abandon()
	g.halt(errShutdown)
	const look = 2 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for g.inFlight.Load() > 0 || g.drains.Load() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d answers did not end: %w", g.inFlight.Load()+g.drains.Load(), ctx.Err())
		case <-ticker.C:
		}
	}
	g.background.Wait()
	return nil
}

// Retire makes each answer from now on close its connection: clients come back
// to another replica.
func (g *Gateway) Retire() { g.retiring.Store(true) }

// InFlight returns how many chat completions are in progress, without those
// whose client has left.
func (g *Gateway) InFlight() int { return int(g.inFlight.Load()) }

// Drains returns how many answers are read on whose client has left.
func (g *Gateway) Drains() int { return int(g.drains.Load()) }

// Handle is the fasthttp handler. It answers every request through an
// exchange, whose finish runs when fasthttp closes the answer's body.
func (g *Gateway) Handle(ctx *fasthttp.RequestCtx) {
	x := g.takeAnnounced(ctx)
	if x == nil {
		x = g.newExchange(ctx)
	}
	x.guard(ctx, g.serve)
}

// guard answers what the stages refuse, and a panic in them: in a handler it
// would end the process.
func (x *exchange) guard(ctx *fasthttp.RequestCtx, stages func(*fasthttp.RequestCtx, *exchange) error) {
	defer func() {
		if cause := recover(); cause != nil {
			// The stack names code, never the request: its text may be a prompt.
			x.log().Error("panic in a request", telemetry.FieldStack, string(debug.Stack()))
			x.refuseAfterPanic(ctx)
		}
	}()
	if err := stages(ctx, x); err != nil {
		x.refuse(ctx, err)
	}
}

// serve chooses what the request is about. Nothing of it is believed before
// its head was checked byte by byte.
func (g *Gateway) serve(ctx *fasthttp.RequestCtx, x *exchange) error {
	if err := x.identify(ctx); err != nil {
		return err
	}
	switch x.route {
	case routeChat:
		return g.complete(ctx, x)
	case routeModels:
		return x.listModels(ctx)
	case routeModel:
		return x.showModel(ctx)
	case routeUsage:
		return x.showUsage(ctx)
	}
	return errUnknownPath
}

// identify checks the head and finds out whose request it is, once.
func (x *exchange) identify(ctx *fasthttp.RequestCtx) error {
	if x.known {
		return nil
	}
	err := x.accept(ctx)
	x.from = x.gateway.clientAddress(x.conn, &ctx.Request.Header)
	x.trace(ctx)
	if err != nil {
		return err
	}
	if err := x.authenticate(ctx); err != nil {
		return err
	}
	x.known = true
	return nil
}

// complete is the life of a chat completion: the table of contents of this
// package. The order of the stages is the security property. The attempts have one of
// their own, intend: each is on record before it is made. Relay, settle and finish
// follow when fasthttp asks the exchange for the answer's body.
func (g *Gateway) complete(ctx *fasthttp.RequestCtx, x *exchange) error {
	if err := x.enter(); err != nil { // may one more request be in progress?
		return err
	}
	x.conn.attend(x)                    // from here on it matters whether the client is there
	if err := x.read(ctx); err != nil { // what is asked?
		return err
	}
	if err := x.authorize(); err != nil { // may this key ask that?
		return err
	}
	if err := x.choose(); err != nil { // who could answer?
		return err
	}
	if err := g.recordable(); err != nil { // could it be billed?
		return err
	}
	if err := x.admit(); err != nil { // may this key spend now?
		return err
	}
	if x.mayAnswerAloud() {
		return x.attemptAloud(ctx)
	}
	if err := x.attempt(); err != nil { // who does answer?
		return err
	}
	return x.answer(ctx)
}

// refuseUnparsed answers what fasthttp itself could not parse; its errors hold
// bytes of the request, so none of their text is shown or logged.
func (g *Gateway) refuseUnparsed(ctx *fasthttp.RequestCtx, err error) {
	if !connectionOf(ctx.Conn()).spoke() {
		// No request: a connection that was opened ahead, a TLS handshake that failed.
		g.Log.Debug("connection without a request")
		ctx.SetStatusCode(fasthttp.StatusRequestTimeout)
		return
	}
	x := g.takeAnnounced(ctx) // and its body did not come
	if x == nil {
		x = g.newExchange(ctx)
		x.method = "" // fasthttp's guess would be GET
	}
	var tooSmall *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &tooSmall):
		err = errHeadTooLarge
		x.unread = x.conn // the client may still be sending it
	case isTimeout(err) && g.running.Err() != nil:
		err = errDraining
	case isTimeout(err):
		err = errReadTimeout
	default:
		err = errUnparsable
	}
	x.refuse(ctx, err)
}

// since is a duration from then, never negative.
func since(then time.Time) time.Duration { return max(0, time.Since(then)) }
