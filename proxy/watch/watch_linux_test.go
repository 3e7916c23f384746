package watch_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"tollgate/proxy/watch"
)

func TestPeerLeaves(t *testing.T) {
	f := func(name string, leave func(client *net.TCPConn)) {
		t.Helper()
		run := func(when string, before, after func(*net.TCPConn)) {
			t.Run(name+", "+when, func(t *testing.T) {
				w := newWatcher(t)
				client, server := dial(t)
				left := make(chan struct{}, 1)
				before(client)
				add(t, w, server, func() { left <- struct{}{} })
				after(client)
				await(t, left)
				if n := w.Len(); n != 0 {
					t.Errorf("Len %d after left, want 0", n)
				}
			})
		}
		stay := func(*net.TCPConn) {}
		run("watched", stay, leave)
		run("already gone when added", leave, stay)
	}
	f("FIN", func(c *net.TCPConn) { c.Close() })
	f("RST", func(c *net.TCPConn) { c.SetLinger(0); c.Close() })
	f("half-close", func(c *net.TCPConn) { c.CloseWrite() })
	f("FIN behind unread bytes", func(c *net.TCPConn) {
		c.Write([]byte("POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\n\r\n"))
		c.Close()
	})
}

func TestLeftIsCalledOnce(t *testing.T) {
	w := newWatcher(t)
	client, server := dial(t)
	var calls atomic.Int32
	token := add(t, w, server, func() { calls.Add(1) })
	client.CloseWrite()
	settle(t, w)
	client.SetLinger(0)
	client.Close()
	settle(t, w)
	w.Remove(token)
	if n := calls.Load(); n != 1 {
		t.Errorf("left called %d times, want 1", n)
	}
}

// A connection may stay open long after its client has left: a provider is being read to its end.
func TestConnectionThatWasLeftDoesNotWakeTheWatcher(t *testing.T) {
	const others = 5
	w := newWatcher(t)
	client, server := dial(t)
	left := make(chan struct{})
	add(t, w, server, func() { close(left) })
	client.CloseWrite()
	await(t, left)
	before := w.Polls()
	for range others {
		settle(t, w)
	}
	if n := w.Polls() - before; n > 4*others {
		t.Errorf("the watcher asked for events %d times for %d of them", n, others)
	}
}

func TestWrappedConnectionIsWatched(t *testing.T) {
	w := newWatcher(t)
	client, server := dial(t)
	left := make(chan struct{})
	add(t, w, wrapped{wrapped{server}}, func() { close(left) })
	client.Close()
	await(t, left)
}

func TestRemovedConnectionIsForgotten(t *testing.T) {
	w := newWatcher(t)
	client, server := dial(t)
	token := add(t, w, server, func() { t.Error("left was called for a removed connection") })
	if n := w.Len(); n != 1 {
		t.Errorf("Len %d after Add, want 1", n)
	}
	w.Remove(0)
	w.Remove(token + 1)
	if n := w.Len(); n != 1 {
		t.Errorf("Len %d after tokens that name nothing, want 1", n)
	}
	w.Remove(token)
	w.Remove(token)
	if n := w.Len(); n != 0 {
		t.Errorf("Len %d after Remove, want 0", n)
	}
	client.Close()
	settle(t, w)
}

// A connection that streams must not keep the watcher busy.
func TestDataDoesNotWakeTheWatcher(t *testing.T) {
	const writes = 500
	w := newWatcher(t)
	client, server := dial(t)
	token := add(t, w, server, func() { t.Error("left was called for arriving data") })
	settle(t, w)
	before := w.Polls()
	var b [8]byte
	for range writes {
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			if _, err := way[0].Write(b[:]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(way[1], b[:]); err != nil {
				t.Fatal(err)
			}
		}
	}
	client.Write(b[:]) // stays unread
	settle(t, w)
	if n := w.Polls() - before; n > 10 {
		t.Errorf("%d writes woke the watcher %d times", writes, n)
	}
	w.Remove(token)
}

func TestAddRefuses(t *testing.T) {
	w := newWatcher(t)
	f := func(name string, c net.Conn, want error) {
		t.Helper()
		n := w.Len()
		token, err := w.Add(c, func() { t.Errorf("%s: left was called", name) })
		if token != 0 || !errors.Is(err, want) {
			t.Errorf("%s: Add = %d, %v, want 0 and %v", name, token, err, want)
		}
		if w.Len() != n {
			t.Errorf("%s: Len %d, want %d", name, w.Len(), n)
		}
	}
	client, server := dial(t)
	left := make(chan struct{})
	token := add(t, w, server, func() { close(left) })
	f("second Add", server, os.ErrExist)
	client.Close()
	await(t, left)
	w.Remove(token)
	f("second Add after it left", server, os.ErrExist)

	_, closed := dial(t)
	closed.Close()
	f("closed connection", closed, net.ErrClosed)
	f("never opened", &net.TCPConn{}, syscall.EINVAL)

	w.Close()
	_, server = dial(t)
	f("closed watcher", server, watch.ErrClosed)
}

// left may use the watcher that calls it.
func TestWatcherIsUsableFromLeft(t *testing.T) {
	w := newWatcher(t)
	clients, servers := open(t, 2)
	left := make(chan struct{})
	var first atomic.Uint64
	first.Store(uint64(add(t, w, servers[0], func() {
		w.Remove(watch.Token(first.Load()))
		if _, err := w.Add(servers[1], func() { close(left) }); err != nil {
			t.Error(err)
		}
	})))
	for _, c := range clients {
		c.Close()
	}
	await(t, left)
}

// The token travels through the kernel in two halves, each with a sign.
func TestLargeTokens(t *testing.T) {
	f := func(before watch.Token) {
		t.Helper()
		w := newWatcher(t)
		w.StartAfter(before)
		for i := range watch.Token(2) {
			client, server := dial(t)
			left := make(chan struct{})
			if token := add(t, w, server, func() { close(left) }); token != before+i+1 {
				t.Errorf("token %#x, want %#x", token, before+i+1)
			}
			client.Close()
			await(t, left)
		}
	}
	f(0)
	f(1<<31 - 1)
	f(1<<32 - 2)
	f(1<<63 - 2)
	f(1<<64 - 3)
}

// More peers leave at once than one call to the kernel returns.
func TestManyLeaveAtOnce(t *testing.T) {
	const n = 3 * 128
	w := newWatcher(t)
	hold, held := dial(t)
	entered, release := make(chan struct{}), make(chan struct{})
	add(t, w, held, func() { close(entered); <-release })
	clients, servers := open(t, n)
	var calls [n]atomic.Int32
	for i, s := range servers {
		add(t, w, s, func() { calls[i].Add(1) })
	}
	hold.Close()
	await(t, entered)
	for _, c := range clients {
		c.Close()
	}
	close(release)
	settle(t, w)
	for i := range calls {
		if got := calls[i].Load(); got != 1 {
			t.Errorf("left of connection %d called %d times, want 1", i, got)
		}
	}
	if got := w.Len(); got != 0 {
		t.Errorf("Len %d, want 0", got)
	}
}
