package upstream

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// dyingConn is a connection that the other side has given up: from some moment
// on, a write takes `accepts` bytes and fails.
type dyingConn struct {
	net.Conn
	dead    *atomic.Bool
	accepts int
}

func (c *dyingConn) Write(p []byte) (int, error) {
	if !c.dead.Load() {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:min(c.accepts, len(p))])
	if err == nil {
		err = syscall.EPIPE
	}
	return n, err
}

// TestDeadKeptConnection sends a second request over a kept connection that is
// dead. Where nothing was written it is sent over a new one, whole and once;
// where a byte was, it is not sent again: the provider may have charged for it.
func TestDeadKeptConnection(t *testing.T) {
	f := func(name, body string, accepts, wantArrived int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var arrived atomic.Int64
			s := served(t, func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				if err == nil && string(got) != body {
					t.Errorf("%d bytes arrived, want the %d sent", len(got), len(body))
				}
				if err == nil {
					arrived.Add(1)
				}
				_, _ = io.WriteString(w, "{}")
			})
			transport := newTransport(t, TransportOptions{})
			var dead atomic.Bool
			dial, dials := transport.http.DialContext, 0
			transport.http.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if dials++; err != nil || dials > 1 {
					return conn, err
				}
				return &dyingConn{conn, &dead, accepts}, nil
			}
			candidate := at(t, s.URL)
			ask := func() error {
				answer, err := transport.Do(t.Context(), &Request{Candidate: candidate, Body: []byte(body)})
				if err != nil {
					return err
				}
				defer func() { _ = answer.Body.Close() }()
				_, err = io.ReadAll(answer.Body)
				return err
			}
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			dead.Store(true)
			err := ask()
			if got := int(arrived.Load()); got != wantArrived || (err == nil) != (wantArrived == 2) {
				t.Errorf("%d requests arrived, want %d; the second ended with %v", got, wantArrived, err)
			}
		})
	}
	long := string(bytes.Repeat([]byte("x"), 100<<10))
	f("nothing written", strings.Repeat("x", 100), 0, 2)
	f("nothing written of a long body", long, 0, 2)
	f("one byte written", strings.Repeat("x", 100), 1, 1)
	f("half of a long body written", long, 50<<10, 1)
}

// countingConn counts what is written at a time.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// TestSmallRequestIsOneWrite holds the leg to one system call, and one packet,
// for what most requests are. (A longer body needs more.)
func TestSmallRequestIsOneWrite(t *testing.T) {
	f := func(size int, want int64) {
		t.Helper()
		var writes atomic.Int64
		s := served(t, func(w http.ResponseWriter, r *http.Request) {
			got, _ := io.ReadAll(r.Body)
			_, _ = w.Write(got)
		})
		transport := newTransport(t, TransportOptions{})
		dial := transport.http.DialContext
		transport.http.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return countingConn{conn, &writes}, err
		}
		body := strings.Repeat("x", size)
		answer, err := transport.Do(t.Context(), &Request{Candidate: at(t, s.URL), Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		if err != nil || string(got) != body {
			t.Errorf("%d bytes came back, want %d (%v)", len(got), size, err)
		}
		_ = answer.Body.Close()
		if n := writes.Load(); n > want {
			t.Errorf("%d bytes took %d writes, want %d", size, n, want)
		}
	}
	f(0, 1)
	f(300, 1)
	f(smallBody, 1)
	f(smallBody+1, 2)
}
