package watch_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"tollgate/proxy/watch"

	"golang.org/x/sys/unix"
)

// control calls f with the connection's descriptor.
func control(t *testing.T, c *net.TCPConn, f func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if failed != nil {
		t.Fatal(failed)
	}
}

// vanish makes a peer silent as one that lost its power: its kernel drops every segment that arrives for it.
func vanish(t *testing.T, c *net.TCPConn) {
	t.Helper()
	drop := unix.SockFprog{Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	control(t, c, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &drop)
	})
}

func TestKeepAliveSetsTheLimit(t *testing.T) {
	_, server := dial(t)
	f := func(limit time.Duration, want int) {
		t.Helper()
		if err := watch.KeepAlive(server, limit); err != nil {
			t.Fatal(err)
		}
		control(t, server, func(fd int) error {
			got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
			if err == nil && got != want {
				t.Errorf("TCP_USER_TIMEOUT for %v is %d ms, want %d", limit, got, want)
			}
			return err
		})
	}
	f(30*time.Second, 30_000)
	f(2500*time.Microsecond, 2)
	f(time.Nanosecond, 1)
	f(1<<63-1, 1<<31-1)
	f(0, 0)
}

func TestKeepAliveRefuses(t *testing.T) {
	f := func(name string, c net.Conn, limit time.Duration, want error) {
		t.Helper()
		if err := watch.KeepAlive(c, limit); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	_, server := dial(t)
	_, closed := dial(t)
	closed.Close()
	f("in memory", near, time.Second, watch.ErrUnsupported)
	f("closed", closed, time.Second, net.ErrClosed)
	f("negative", server, -time.Second, unix.EINVAL)
}

func TestVanishedPeer(t *testing.T) {
	f := func(name string, prepare func(server *net.TCPConn) error) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatcher(t)
			client, server := dial(t)
			left := make(chan struct{})
			add(t, w, server, func() { close(left) })
			vanish(t, client)
			if err := prepare(server); err != nil {
				t.Fatal(err)
			}
			await(t, left)
		})
	}
	// Without the limit the kernel tries for a quarter of an hour.
	f("data unacknowledged", func(server *net.TCPConn) error {
		_, err := server.Write([]byte("data: {}\n\n"))
		return errors.Join(err, watch.KeepAlive(server, 500*time.Millisecond))
	})
	// Without the limit, a hundred probes of a second each.
	f("probes unanswered", func(server *net.TCPConn) error {
		return errors.Join(
			server.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 100}),
			watch.KeepAlive(server, 1500*time.Millisecond))
	})
}
