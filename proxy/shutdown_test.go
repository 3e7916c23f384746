package proxy

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// TestShutdownOvertakesServe ends a server that has only just begun, or not yet:
// Serve returns, and nobody is accepted any more.
func TestShutdownOvertakesServe(t *testing.T) {
	g := newRig(t, legFunc(nil), rigOptions{}).gateway
	f := func(name string, begin func(ln net.Listener, serve, shutdown func())) {
		t.Helper()
		server, err := NewServer(g)
		must(t, err)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer ln.Close()
		served := make(chan error, 1)
		begin(ln, func() { served <- server.Serve(ln) }, func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			must(t, server.Shutdown(ctx))
		})
		select {
		case err := <-served:
			must(t, err)
		case <-time.After(patience):
			t.Fatalf("%s: Serve did not return", name)
		}
		if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			conn.Close()
			t.Errorf("%s: the listener is open", name)
		}
	}
	f("before", func(_ net.Listener, serve, shutdown func()) { shutdown(); go serve() })
	f("before, and the listener is closed", func(ln net.Listener, serve, shutdown func()) {
		shutdown()
		must(t, ln.Close())
		go serve()
	})
	for range 20 {
		f("at the same time", func(_ net.Listener, serve, shutdown func()) { go serve(); shutdown() })
	}
}

// TestLeavingBetweenTwoDeadlines lets a client leave after it was asked whether it
// has, and before its write gets a new deadline: the write must not wait for one
// that nobody will move any more.
func TestLeavingBetweenTwoDeadlines(t *testing.T) {
	conn := &departingConn{}
	c := &client{w: conn, conn: conn, running: context.Background(), stall: time.Minute, gone: func() bool { return conn.left }}
	if err := c.write([]byte("x")); err == nil || conn.written {
		t.Errorf("the write began, with %s until its deadline: %v", time.Until(conn.deadline), err)
	}
}

// departingConn is left by its client while it is given its first deadline.
type departingConn struct {
	net.Conn
	left, written bool
	deadline      time.Time
}

func (c *departingConn) SetWriteDeadline(at time.Time) error {
	c.left, c.deadline = true, at
	return nil
}

func (c *departingConn) Write([]byte) (int, error) {
	c.written = true
	return 0, io.ErrClosedPipe
}
