package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Running is a simulator that listens.
type Running struct {
	server   *http.Server
	listener net.Listener
	cancel   context.CancelCauseFunc
	served   chan error

	mu       sync.Mutex
	closed   bool
	handlers sync.WaitGroup
}

// Start listens on a TCP address ("127.0.0.1:0" for any free port) and serves
// until Close is called. One simulator may be started several times.
func (s *Simulator) Start(addr string) (*Running, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("simulator: listen on %s: %w", addr, err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		panic("BUG: a TCP address gave no TCP listener")
	}
	r := &Running{listener: countedListener{tcp, s}, cancel: cancel, served: make(chan error, 1)}
	r.server = &http.Server{
		Handler:           r.counted(s.Handler()),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withConnection,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	go func() { r.served <- r.server.Serve(r.listener) }()
	return r, nil
}

// Addr is the address on which the simulator listens.
func (r *Running) Addr() string { return r.listener.Addr().String() }

// URL is the simulator's base URL; a provider's API begins at
// URL() + "/" + provider + "/v1".
func (r *Running) URL() string { return "http://" + r.Addr() }

// Close ends everything at once: answers in flight are cut, and hangs end. It
// waits until their handlers have returned, or until ctx ends, which is its
// error then. Closing again does nothing.
func (r *Running) Close(ctx context.Context) error {
	if !r.stop() {
		return nil
	}
	r.cancel(errServerClosed)
	closing := r.server.Close() // ends writes that a client's silence blocks
	serving := <-r.served
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		r.handlers.Wait()
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		return fmt.Errorf("simulator: close: %w", context.Cause(ctx))
	}
	if !errors.Is(serving, http.ErrServerClosed) {
		return fmt.Errorf("simulator: serve: %w", serving)
	}
	return closing
}

// counted lets Close wait for the handlers. After stop, requests still in the
// accept queue are turned away, so that the count only falls.
func (r *Running) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.enter() {
			panic(http.ErrAbortHandler)
		}
		defer r.handlers.Done()
		next.ServeHTTP(w, req)
	})
}

func (r *Running) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.handlers.Add(1)
	}
	return !r.closed
}

// stop reports whether this call was the first.
func (r *Running) stop() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.closed
	r.closed = true
	return first
}
