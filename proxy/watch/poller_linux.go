package watch

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many events are taken from the kernel at once. More wait there.
const batch = 128

// poller is one epoll instance.
type poller struct {
	fd    int
	file  *os.File // owns fd, and registers it with Go's poller
	raw   syscall.RawConn
	polls atomic.Uint64 // how often the kernel was asked for events

	mu     sync.RWMutex // held to use fd, so that it is not closed and given to somebody else meanwhile
	closed bool
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Non-blocking is what makes os.NewFile hand the descriptor to Go's poller: an epoll instance is readable when it
	// has events, and waiting for that parks a goroutine instead of blocking a thread.
	err = os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if err == nil {
		p.raw, err = p.file.SyscallConn()
	}
	if err == nil {
		// It fails when Go's poller did not take the descriptor: run would spin.
		err = p.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// add asks for one event when the peer of the socket fd has closed its end. Edge-triggered, so that a connection whose
// peer has left is reported once and not at every call; without EPOLLIN, so that arriving data reports nothing.
// EPOLLERR and EPOLLHUP come unasked.
func (p *poller) add(fd int, t Token) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(t), Pad: int32(t >> 32)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event))
}

// run calls report for each event until the poller is closed.
func (p *poller) run(report func(Token)) error {
	var (
		events [batch]unix.EpollEvent
		n      int
		failed error
	)
	take := func(fd uintptr) bool {
		p.polls.Add(1)
		n, failed = unix.EpollWait(int(fd), events[:], 0)
		return n != 0 || failed != nil // false waits until the epoll instance is readable
	}
	for {
		if err := p.raw.Read(take); err != nil {
			if p.isClosed() {
				return nil
			}
			return err
		}
		if failed != nil && failed != unix.EINTR {
			return os.NewSyscallError("epoll_wait", failed)
		}
		for i := range max(n, 0) {
			report(Token(uint32(events[i].Fd)) | Token(uint32(events[i].Pad))<<32)
		}
	}
}

// close ends run.
func (p *poller) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.file.Close()
}

func (p *poller) isClosed() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.closed
}
