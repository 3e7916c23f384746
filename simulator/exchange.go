package simulator

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How an exchange can end before its answer does. The last two are planned, by a fault.
var (
	errClientGone   = errors.New("the client left")
	errServerClosed = errors.New("the server closed")
	errCut          = errors.New("the connection was cut by a fault")
	errEnded        = errors.New("the body was ended by a fault") // cleanly
)

// An exchange is one request and its answer. It belongs to its connection's goroutine.
type exchange struct {
	sim       *Simulator
	contract  *contract // nil: no provider has this path
	behaviour Behaviour
	w         http.ResponseWriter
	control   *http.ResponseController
	r         *http.Request
	record    *record
	fault     *Fault   // nil: none struck
	conn      net.Conn // taken over from net/http; nil: not

	framer *framer
	held   batch
	events int   // sent
	told   int64 // tokens of the chunks up to now
	sent   int64 // bytes of the body
}

func (s *Simulator) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{
		sim:     s,
		w:       w,
		control: http.NewResponseController(w),
		r:       r,
		record:  &record{most: s.options.TruthBytes},
	}
	x.record.entry = Entry{
		Method:   r.Method,
		Path:     r.URL.Path,
		Header:   seenHeader(r),
		Received: s.options.Now(),

		Connection: connectionOf(r.Context()),
	}
	if p, known := s.paths[r.URL.Path]; known {
		x.record.entry.Provider = p
		now := s.played(p)
		x.behaviour, x.contract = now.behaviour, now.contract
	}
	x.framer = newFramer(x.behaviour.Style)
	return x
}

// serve is the life of an exchange.
func (x *exchange) serve() {
	stop := x.watch()
	defer stop()
	q, err := x.receive()
	if err == nil {
		x.strike(q)
		err = x.deliver(q)
	}
	var refused *Refusal
	switch {
	case err == nil, errors.Is(err, errEnded):
		x.record.note(func(e *Entry) { e.CleanEnd = true })
	case errors.As(err, &refused):
		x.refuse(refused)
	default:
		x.abandon(err)
	}
}

// receive reads the request and checks it; its error is a *Refusal unless the
// request never came in whole.
func (x *exchange) receive() (*ask, error) {
	switch {
	case x.contract == nil:
		return nil, unknownPath(x.r)
	case x.r.Method != http.MethodPost:
		x.w.Header().Set("Allow", http.MethodPost)
		return nil, wrongMethod(x.r)
	}
	raw, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, x.sim.options.MaxBody))
	x.record.body(raw)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, invalid(http.StatusRequestEntityTooLarge, "", "body_too_large", "The body of the request is too large.")
	case err != nil:
		return nil, x.lost()
	}
	if bad := x.authorise(); bad != nil {
		return nil, bad
	}
	if check := x.contract.headers; check != nil {
		if bad := check(x.r.Header); bad != nil {
			return nil, bad
		}
	}
	body, bad := x.contract.read(raw)
	if bad != nil {
		return nil, bad
	}
	x.record.asked(body)
	return understand(x.behaviour.Deviations.heeded(body)), nil
}

func (x *exchange) authorise() *Refusal {
	key, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		return invalid(http.StatusUnauthorized, "", "invalid_api_key",
			"You didn't provide an API key. Send it in the header Authorization: Bearer YOUR_API_KEY.")
	case !x.behaviour.accepts(key):
		return invalid(http.StatusUnauthorized, "", "invalid_api_key", "Incorrect API key provided.")
	}
	return nil
}

// strike finds the fault that this request meets.
func (x *exchange) strike(q *ask) {
	x.fault = x.sim.faults.strike(x.contract.provider, q.model)
	x.record.note(func(e *Entry) { e.Fault = x.fault.String() })
}

func (x *exchange) refuse(bad *Refusal) {
	contentType, body := x.behaviour.Deviations.refusal(bad)
	x.record.note(func(e *Entry) {
		e.Status, e.ErrorCode = bad.Status, bad.Code
		e.FirstByte = x.sim.options.Now()
		e.BytesWritten, e.CleanEnd = int64(len(body)), true
	})
	write(x.w, bad.Status, contentType, body)
}

// abandon ends an exchange whose answer is not whole, so that it cannot be
// taken for a whole one: the connection ends without the transfer coding's end.
func (x *exchange) abandon(why error) {
	switch {
	case errors.Is(why, errClientGone):
		x.record.left(x.sim.options.Now())
	case errors.Is(why, errServerClosed):
		x.record.note(func(e *Entry) { e.Closed = true })
	}
	conn, err := x.takeOver()
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's way to say the same
	}
	if tcp, ok := conn.(interface{ SetLinger(seconds int) error }); ok && x.fault != nil && x.fault.Reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// watch notes the moment at which the client leaves, whatever the exchange is
// doing then, and ends a write that nobody will read: net/http reads on while a
// handler runs, and so sees the end of the connection when it comes. Its result
// ends the watch.
func (x *exchange) watch() (stop func() bool) {
	ctx := x.r.Context()
	return context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), errServerClosed) {
			x.record.left(x.sim.options.Now())
		}
		_ = x.control.SetWriteDeadline(time.Unix(1, 0)) // a Handler without a connection has no such write
	})
}

// lost says why the other side can no longer be reached.
func (x *exchange) lost() error {
	if errors.Is(context.Cause(x.r.Context()), errServerClosed) {
		return errServerClosed
	}
	return errClientGone
}

// pause waits, until the client leaves or the server closes at the latest.
func (x *exchange) pause(d time.Duration) error {
	gone := x.r.Context().Done()
	if d <= 0 {
		select {
		case <-gone:
			return x.lost()
		default:
			return nil
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-gone:
		return x.lost()
	}
}

// hang stays silent as long as the fault says.
func (x *exchange) hang() error {
	if x.fault.For > 0 {
		return x.pause(x.fault.For)
	}
	<-x.r.Context().Done()
	return x.lost()
}

func unknownPath(r *http.Request) *Refusal {
	return invalid(http.StatusNotFound, "", "unknown_url", "Invalid URL ("+r.Method+" "+r.URL.Path+").")
}

func wrongMethod(r *http.Request) *Refusal {
	return invalid(http.StatusMethodNotAllowed, "", "method_not_allowed", "Not allowed to "+r.Method+" on "+r.URL.Path+".")
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	write(w, status, "application/json", body)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left has nothing to be told
}
