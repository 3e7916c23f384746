package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tollgate/proxy/watch"
	"tollgate/telemetry"
)

// unsentBytes is how much the kernel may hold for one client beyond what is on its
// way to it.
const unsentBytes = 128 << 10

// watcher says when the other end of a connection is closed. Without it a client
// that left is noticed by the second or third write to it, keep-alive comments at
// the latest.
type watcher interface {
	// Add calls left at most once, at once when the end is closed already.
	Add(c net.Conn, left func()) (watch.Token, error)
	Remove(t watch.Token)
}

// connection is one client's connection. The watcher calls its left, which tells
// the exchange in progress.
type connection struct {
	net.Conn
	all    *connections
	token  watch.Token
	closed atomic.Bool

	reads   atomic.Uint32 // how often something came
	busy    atomic.Bool   // a request was read, and is not over
	gone    atomic.Bool   // the client closed its end
	current atomic.Pointer[exchange]
	// announced is the exchange of a request whose body waits for "100 Continue".
	announced atomic.Pointer[exchange]
}

// Read implements net.Conn.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

// spoke reports whether anything came, behind a TLS handshake if there is one.
func (c *connection) spoke() bool { return c.reads.Load() > 0 }

// left is called by the watcher.
func (c *connection) left() {
	c.gone.Store(true)
	if x := c.current.Load(); x != nil {
		x.clientLeft()
		// Whoever waits for it to take more need not wait for write_timeout.
		_ = c.SetWriteDeadline(time.Now())
	}
}

// attend makes x the exchange that hears of a departure, be it one that was
// noticed before.
func (c *connection) attend(x *exchange) {
	c.current.Store(x)
	if c.gone.Load() {
		x.clientLeft()
	}
}

// dismiss ends what attend began: the request is over.
func (c *connection) dismiss() {
	c.current.Store(nil)
	c.busy.Store(false)
}

func (c *connection) isTLS() bool {
	_, encrypted := c.Conn.(*tls.Conn)
	return encrypted
}

// Close implements net.Conn. It may be called several times.
func (c *connection) Close() error {
	c.forget()
	if encrypted, ok := c.Conn.(*tls.Conn); ok {
		// Its goodbye waits up to 5 s for a client that accepts nothing.
		const goodbye = 100 * time.Millisecond
		impatience := time.AfterFunc(goodbye, func() { _ = encrypted.NetConn().Close() })
		defer impatience.Stop()
	}
	return c.Conn.Close()
}

// abort closes the connection without a goodbye, and so without waiting.
func (c *connection) abort() {
	c.forget()
	if encrypted, ok := c.Conn.(*tls.Conn); ok {
		_ = encrypted.NetConn().Close() // it was to end anyway
		return
	}
	_ = c.Conn.Close()
}

// forget ends what is known of the connection.
func (c *connection) forget() {
	if c.closed.CompareAndSwap(false, true) {
		c.all.remove(c)
	}
	if x := c.announced.Swap(nil); x != nil {
		x.finish() // its body never came
	}
}

// connectionOf is the connection that fasthttp hands to a handler.
func connectionOf(c net.Conn) *connection {
	if known, ok := c.(*connection); ok {
		return known
	}
	return &connection{Conn: c} // one that no server of ours has accepted
}

// connections are those of one server, all of them watched.
type connections struct {
	watcher watcher
	log     *slog.Logger
	warned  atomic.Bool
	// vanished is how long a client's system may acknowledge nothing.
	vanished time.Duration

	mu   sync.Mutex
	open map[*connection]struct{}
}

// add takes a new connection in.
func (all *connections) add(raw net.Conn) *connection {
	c := &connection{Conn: raw, all: all}
	token, err := all.watcher.Add(raw, c.left)
	if err != nil && !errors.Is(err, watch.ErrUnsupported) && !all.warned.Swap(true) {
		all.log.Warn("connections are not watched: a client that leaves is noticed by the second or third write to it", telemetry.FieldError, err)
	}
	c.token = token
	_ = watch.KeepAlive(raw, all.vanished) // without it a client that lost its power is noticed later
	all.mu.Lock()
	all.open[c] = struct{}{}
	all.mu.Unlock()
	return c
}

func (all *connections) remove(c *connection) {
	all.mu.Lock()
	delete(all.open, c)
	all.mu.Unlock()
	all.watcher.Remove(c.token)
}

// close closes every connection that is open.
func (all *connections) close() {
	all.closeThose(func(*connection) bool { return true })
}

// closeStalled closes, until ctx is done, those that have no request in progress
// and make none: nothing came on them for half a second, or a part of a request that
// has not gone on for some seconds. To fasthttp they are busy.
func (all *connections) closeStalled(ctx context.Context) {
	const (
		look    = 500 * time.Millisecond
		patient = 8 // looks, for a part of a request
	)
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	type silence struct {
		reads uint32
		looks int
	}
	silent := make(map[*connection]silence)
	for {
		all.closeThose(func(c *connection) bool {
			s, known := silent[c]
			if reads := c.reads.Load(); !known || reads != s.reads || c.busy.Load() {
				silent[c] = silence{reads: reads}
				return false
			}
			s.looks++
			silent[c] = s
			return s.reads == 0 || s.looks >= patient
		})
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// wakeReaders ends the wait for requests that are still on their way.
func (all *connections) wakeReaders() {
	all.closeThose(func(c *connection) bool {
		_ = c.SetReadDeadline(time.Now()) // a closed connection needs none
		return false
	})
}

func (all *connections) closeThose(chosen func(*connection) bool) {
	all.mu.Lock()
	var open []*connection
	for c := range all.open {
		if chosen(c) {
			open = append(open, c)
		}
	}
	all.mu.Unlock()
	for _, c := range open {
		c.abort()
	}
}

// listener accepts the server's connections. It goes on after an error of Accept
// that passes: a process that has no descriptor left must not end because one
// more client has come.
type listener struct {
	net.Listener
	all   *connections
	tls   *tls.Config // nil: plain HTTP
	close sync.Once
}

// Close implements net.Listener. It may be called several times.
func (l *listener) Close() (err error) {
	l.close.Do(func() { err = l.Listener.Close() })
	return err
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	for wait := shortest; ; wait = min(2*wait, longest) {
		raw, err := l.Listener.Accept()
		if err == nil {
			boundUnsent(raw)
			if l.tls != nil {
				raw = tls.Server(raw, l.tls) // the handshake comes with the first read
			}
			return l.all.add(raw), nil
		}
		if !passes(err) {
			return nil, err
		}
		if wait == shortest {
			l.all.log.Error("cannot accept connections, trying again", telemetry.FieldError, err)
		}
		time.Sleep(wait)
	}
}

// passes tells the errors of Accept that end by themselves.
func passes(err error) bool {
	for _, number := range [...]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, number) {
			return true
		}
	}
	return false
}
