package watch_test

import (
	"net"
	"testing"
	"time"
)

func TestPeerLeaves(t *testing.T) {
	f := func(name string, leave func(t *testing.T, client, server *net.TCPConn)) {
		t.Helper()
		for _, when := range []string{"before Add", "after Add"} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWatcher(t)
				client, server := dial(t)
				if when == "before Add" {
					leave(t, client, server)
				}
				left := make(chan struct{}, 2)
				if _, err := w.Add(server, func() { left <- struct{}{} }); err != nil {
					t.Fatal(err)
				}
				if when == "after Add" {
					leave(t, client, server)
				}
				select {
				case <-left:
				case <-time.After(patience):
					t.Fatal("left was not called")
				}
				if n := w.Len(); n != 0 {
					t.Errorf("Len %d after left", n)
				}
			})
		}
	}
	f("FIN", func(_ *testing.T, client, _ *net.TCPConn) { client.Close() })
	f("RST", func(_ *testing.T, client, _ *net.TCPConn) { client.SetLinger(0); client.Close() })
	f("half-close", func(_ *testing.T, client, _ *net.TCPConn) { client.CloseWrite() })
	f("FIN behind unread bytes", func(_ *testing.T, client, _ *net.TCPConn) {
		client.Write([]byte("POST /v1/chat/completions HTTP/1.1\r\n"))
		client.Close()
	})
}
