package watch

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// ErrUnsupported says that this system has no watcher, or that the connection has no descriptor: it is neither a
// [syscall.Conn] nor wraps one behind a method NetConn, as [tls.Conn] does.
var ErrUnsupported = errors.New("connection cannot be watched: it has no descriptor, or this system is not Linux")

// ErrClosed says that the watcher was closed before the connection was added.
var ErrClosed = errors.New("connection cannot be watched: the watcher is closed")

// Token names one watched connection. The zero Token names none.
//
// Descriptors are reused, often at once; tokens never are. An event that the kernel reported for a connection that has
// ended meanwhile carries a token that nobody holds any more, and so cannot hit the next connection on that descriptor.
type Token uint64

// Watcher reports connections whose peers have closed their end. New makes one; Close ends it.
type Watcher struct {
	poller *poller
	closed sync.Once
	done   chan struct{} // closed when the goroutine has ended
	err    error         // of the goroutine, then of closing; to be read after done

	// One lock for all: it is held for some 30 ns, and the kernel's own lock, in epoll_ctl, for 40 times as long.
	mu    sync.Mutex
	last  Token
	lefts map[Token]func()
}

// New returns a Watcher. On Linux it holds two of the process's resources until Close: a descriptor and a goroutine.
// Elsewhere it holds none, and its Add returns [ErrUnsupported].
func New() (*Watcher, error) {
	p, err := newPoller()
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	w := &Watcher{poller: p, done: make(chan struct{}), lefts: make(map[Token]func())}
	go func() {
		defer close(w.done)
		w.err = p.run(w.report)
	}()
	return w, nil
}

// Add watches c. The watcher's goroutine calls left at most once, when the peer closes its end: by a FIN, a RST or an
// error of the connection; it also does when that has already happened. Shutting down the own reading side (CloseRead)
// looks the same. One goroutine makes the calls of all connections, so left must neither block nor panic.
//
// Each connection can be added once in its life. The error wraps [ErrUnsupported] or [ErrClosed], or is the system's:
// ENOSPC, for one, says that the limit fs.epoll.max_user_watches is reached (epoll(7)). A connection that could not be
// added works as before, only that nobody learns early when its peer leaves.
func (w *Watcher) Add(c net.Conn, left func()) (Token, error) {
	raw, err := descriptor(c)
	if err != nil {
		return 0, fmt.Errorf("watch: %w", err)
	}
	// The entry comes first: the event may come before the call that asks for it returns.
	t := w.enter(left)
	var refused error
	err = raw.Control(func(fd uintptr) { refused = w.poller.add(int(fd), t) })
	if err == nil {
		err = refused
	}
	if err != nil {
		w.Remove(t)
		return 0, fmt.Errorf("watch: %w", err)
	}
	return t, nil
}

// Remove forgets a connection; call it before the connection is closed. A call of left that is under way may still
// return after it. Removing a token twice, or after left was called, does nothing.
func (w *Watcher) Remove(t Token) {
	// The kernel forgets a descriptor when it is closed. Removing it by its number here could hit its next owner.
	w.take(t)
}

// Len returns how many connections are watched: those added whose peer has not left and that were not removed.
func (w *Watcher) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lefts)
}

// Close forgets all connections, without closing them. When it returns, the goroutine has ended and no left is called
// any more; left itself must therefore not call it. Further calls return the same error.
func (w *Watcher) Close() error {
	w.closed.Do(func() {
		err := w.poller.close()
		<-w.done
		w.err = errors.Join(w.err, err)
		w.mu.Lock()
		defer w.mu.Unlock()
		clear(w.lefts)
	})
	return w.err
}

// enter keeps left under a new token.
func (w *Watcher) enter(left func()) Token {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	w.lefts[w.last] = left
	return w.last
}

// take removes the token's entry and returns it, nil when there is none.
func (w *Watcher) take(t Token) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.lefts[t]
	delete(w.lefts, t)
	return left
}

// report calls left for a token unless the connection was removed meanwhile.
func (w *Watcher) report(t Token) {
	if left := w.take(t); left != nil {
		left()
	}
}

// wraps bounds how many connections around connections are opened, against one that names itself.
const wraps = 8

// descriptor returns the way to c's descriptor, through the connections that wrap it.
func descriptor(c net.Conn) (syscall.RawConn, error) {
	for range wraps {
		if direct, ok := c.(syscall.Conn); ok {
			return direct.SyscallConn()
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = wrapper.NetConn()
	}
	return nil, ErrUnsupported
}
