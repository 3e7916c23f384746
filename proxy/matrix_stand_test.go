package proxy

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"tollgate/simulator"
)

// stand is a provider behind an address of its own: the simulator, the bytes it
// sent, and a gate that may hold its first answer back.
type stand struct {
	*simulator.Simulator
	http *httptest.Server
	gate *gate

	mu    sync.Mutex
	asked []*transfer
	conns map[net.Conn]bool // that are open; those that the simulator took over, to cut them, are not
	cut   bool              // there was one
	ended time.Time         // when the gateway first closed one
}

// transfer is one request to a stand.
type transfer struct {
	from string // the gateway's end of the connection: the same for requests that share it

	mu   sync.Mutex
	sent bytes.Buffer // the answer's body without its transfer coding
	last time.Time    // when its last byte so far was sent
}

func newStand(t testing.TB, o simulator.Options) *stand {
	t.Helper()
	s := &stand{Simulator: simulator.New(o), conns: map[net.Conn]bool{}}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Config.ConnState = s.note
	s.http.Start()
	t.Cleanup(func() {
		s.http.CloseClientConnections() // what hangs would keep Close waiting
		s.http.Close()
	})
	return s
}

func (s *stand) serve(w http.ResponseWriter, r *http.Request) {
	one := &transfer{from: r.RemoteAddr}
	s.mu.Lock()
	s.asked = append(s.asked, one)
	held := s.gate
	if len(s.asked) > 1 {
		held = nil
	}
	s.mu.Unlock()
	s.Handler().ServeHTTP(&gatedWriter{ResponseWriter: w, transfer: one, gate: held, gone: r.Context().Done()}, r)
}

func (s *stand) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateHijacked:
		s.cut = true
		delete(s.conns, c)
	case http.StateClosed:
		delete(s.conns, c)
		if s.ended.IsZero() {
			s.ended = time.Now()
		}
	default:
		s.conns[c] = true
	}
}

// open is how many connections of the gateway are open.
func (s *stand) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// hasCut reports whether the simulator ended a connection itself.
func (s *stand) hasCut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut
}

// dawdled reports whether so much time went by between the last byte of an answer
// and its end that the gateway, which waits 100 ms for that, closed the connection.
func (s *stand) dawdled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 || s.ended.IsZero() {
		return false
	}
	first := s.asked[0]
	first.mu.Lock()
	defer first.mu.Unlock()
	return !first.last.IsZero() && s.ended.Sub(first.last) > 80*time.Millisecond
}

// busy reports whether an answer is being given.
func (s *stand) busy() bool {
	return slices.ContainsFunc(s.Truth(), func(e simulator.Entry) bool { return e.Ended.IsZero() })
}

// transfers are the requests so far.
func (s *stand) transfers() []*transfer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[:len(s.asked):len(s.asked)]
}

func (t *transfer) bytes() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent.String()
}

// spot is where an answer stops.
type spot struct {
	head   bool // before its head; else
	writes int  // behind so many writes, which are events in a stream, and
	bytes  int  // behind so many bytes of the next one
}

// gate holds an answer at a spot until it is opened, or until its reader is gone.
type gate struct {
	spot
	reached, opened chan struct{}
	once            sync.Once
}

func newGate(at *spot) *gate {
	if at == nil {
		return nil
	}
	return &gate{spot: *at, reached: make(chan struct{}), opened: make(chan struct{})}
}

func (g *gate) open() {
	if g != nil {
		g.once.Do(func() { close(g.opened) })
	}
}

// errReaderGone is what a gate says to an answer whose reader has left.
var errReaderGone = errors.New("the reader is gone")

func (g *gate) wait(gone <-chan struct{}) error {
	close(g.reached)
	select {
	case <-g.opened:
		return nil
	case <-gone:
		return errReaderGone
	}
}

// gatedWriter passes an answer on, as far as the gate lets it.
type gatedWriter struct {
	http.ResponseWriter
	transfer *transfer
	gate     *gate
	gone     <-chan struct{}
	writes   int
	lost     error // the reader has gone
}

// Unwrap serves http.ResponseController, through which the simulator flushes and hijacks.
func (w *gatedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *gatedWriter) WriteHeader(status int) {
	if w.gate != nil && w.gate.head {
		w.lost = w.gate.wait(w.gone)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	if w.lost != nil {
		return 0, w.lost
	}
	if w.gate == nil || w.gate.head || w.writes != w.gate.writes {
		w.writes++
		return w.pass(p)
	}
	w.writes++
	n, err := w.pass(p[:w.gate.bytes])
	if err == nil {
		err = http.NewResponseController(w.ResponseWriter).Flush()
	}
	if err == nil {
		err = w.gate.wait(w.gone)
	}
	if err != nil {
		return n, err
	}
	rest, err := w.pass(p[n:])
	return n + rest, err
}

func (w *gatedWriter) pass(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.transfer.mu.Lock()
	defer w.transfer.mu.Unlock()
	w.transfer.sent.Write(p[:n])
	w.transfer.last = time.Now()
	return n, err
}
