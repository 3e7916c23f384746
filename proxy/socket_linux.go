package proxy

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// boundUnsent limits what the kernel takes from a writer before it is sent
// (TCP_NOTSENT_LOWAT, tcp(7)): by itself it takes megabytes. A reader that is slow
// then slows its provider soon, costs little memory, and frees room for the next
// write often enough to be told from one that accepts nothing. How much is on its
// way, and so the speed of a long line, is not limited.
func boundUnsent(c net.Conn) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes) // without it there is only more memory
	})
}
