package watch_test

import (
	"net"
	"testing"
	"time"

	"tollgate/proxy/watch"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

// newWatcher returns a watcher that ends with the test.
func newWatcher(t testing.TB) *watch.Watcher {
	t.Helper()
	w, err := watch.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// dial returns both ends of a TCP connection on the loopback. They are closed with the test.
func dial(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// open dials n connections.
func open(t testing.TB, n int) (clients, servers []*net.TCPConn) {
	t.Helper()
	for range n {
		c, s := dial(t)
		clients, servers = append(clients, c), append(servers, s)
	}
	return clients, servers
}

// add watches c and returns its token.
func add(t testing.TB, w *watch.Watcher, c net.Conn, left func()) watch.Token {
	t.Helper()
	token, err := w.Add(c, left)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// await waits for a call of left that must come.
func await(t testing.TB, left <-chan struct{}) {
	t.Helper()
	select {
	case <-left:
	case <-time.After(patience):
		t.Errorf("left was not called within %v", patience)
	}
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within %v: %s", patience, what)
			return
		}
	}
}

// settle returns when w has reported all that had happened: it reports in the order of the events.
func settle(t testing.TB, w *watch.Watcher) {
	t.Helper()
	client, server := dial(t)
	left := make(chan struct{})
	token := add(t, w, server, func() { close(left) })
	client.Close()
	await(t, left)
	w.Remove(token)
}
