package watch_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"tollgate/proxy/watch"
)

// visitor is one of many short connections: it knows whether its client may be reported as gone.
type visitor struct {
	leaving atomic.Bool // set before the client closes
	calls   atomic.Int32
	left    chan struct{}
}

// reported is the callback of the visitor.
func (v *visitor) reported(t *testing.T) {
	if !v.leaving.Load() {
		t.Error("a connection was reported whose client had not left")
	}
	if v.calls.Add(1) == 1 {
		close(v.left)
	}
}

// visit opens, watches and ends one connection, in one of three ways, and returns its server's descriptor.
func visit(t *testing.T, w *watch.Watcher, ln net.Listener, v *visitor, way int) uintptr {
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Error(err)
		return 0
	}
	server, err := ln.Accept()
	if err != nil {
		t.Error(err)
		return 0
	}
	fd := number(t, server)
	v.left = make(chan struct{})
	token, err := w.Add(server, func() { v.reported(t) })
	if err != nil {
		t.Error(err)
		return 0
	}
	leave := func() { v.leaving.Store(true); client.Close() }
	switch way {
	case 0: // the client leaves and is noticed
		leave()
		await(t, v.left)
		w.Remove(token)
		server.Close()
	case 1: // the server ends it: nobody is to be called
		w.Remove(token)
		server.Close()
		client.Close()
	case 2: // both at once: the event may come after the descriptor has its next owner
		leave()
		w.Remove(token)
		server.Close()
	}
	return fd
}

// number returns the connection's descriptor.
func number(t testing.TB, c net.Conn) (fd uintptr) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = n })
	}
	if err != nil {
		t.Error(err)
	}
	return fd
}

// Thousands of connections share a few descriptors. An event of one must never reach another.
func TestReusedDescriptors(t *testing.T) {
	const workers, each = 8, 600
	w := newWatcher(t)
	var (
		visitors [workers][each]visitor
		ways     [workers][each]int
		used     sync.Map
		all      sync.WaitGroup
	)
	for i := range workers {
		// One listener for each worker: it accepts what it has dialled.
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		all.Go(func() {
			for j := range each {
				ways[i][j] = rand.IntN(3)
				used.Store(visit(t, w, ln, &visitors[i][j], ways[i][j]), nil)
			}
		})
	}
	all.Wait()
	settle(t, w)

	descriptors := 0
	used.Range(func(any, any) bool { descriptors++; return true })
	if descriptors > workers*each/10 {
		t.Errorf("%d connections had %d descriptors: too few were reused to show anything", workers*each, descriptors)
	}
	for i := range visitors {
		for j := range visitors[i] {
			calls := visitors[i][j].calls.Load()
			if ok := [3]bool{calls == 1, calls == 0, calls <= 1}[ways[i][j]]; !ok {
				t.Errorf("a connection that ended in way %d was reported %d times", ways[i][j], calls)
			}
		}
	}
	if n := w.Len(); n != 0 {
		t.Errorf("Len %d after all have gone, want 0", n)
	}
}

// The kernel hands out events in batches. While one is being worked off, a connection whose event lies further back in
// it can end, and its descriptor go to another.
func TestStaleEventHitsNobody(t *testing.T) {
	w := newWatcher(t)
	clients, servers := open(t, 3)
	turn, next := make(chan struct{}), make(chan struct{})
	pause := func() { turn <- struct{}{}; <-next }
	add(t, w, servers[0], pause)
	add(t, w, servers[1], pause)
	stale := add(t, w, servers[2], func() { t.Error("left was called for a removed connection") })

	clients[0].Close()
	<-turn // both events arrive while the watcher is busy, and so in one batch
	clients[1].Close()
	clients[2].Close()
	next <- struct{}{}
	<-turn // the watcher is at the first of the batch, the second is the one to come
	heir := inherit(t, servers[2], func() { w.Remove(stale) })
	token := add(t, w, heir, func() { t.Error("left was called for a connection whose client is there") })
	next <- struct{}{}
	settle(t, w)
	w.Remove(token)
}

// inherit ends c and returns a new connection that has its descriptor.
func inherit(t *testing.T, c net.Conn, before func()) net.Conn {
	t.Helper()
	const tries = 32 // lower numbers may be free
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range tries {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
	}
	wanted := number(t, c)
	before()
	c.Close()
	for range tries {
		heir, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { heir.Close() })
		if number(t, heir) == wanted {
			return heir
		}
	}
	t.Fatalf("none of %d connections has the descriptor %d", tries, wanted)
	return nil
}
