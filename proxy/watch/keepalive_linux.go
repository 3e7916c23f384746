package watch

import (
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// KeepAlive limits how long data sent on c may stay unacknowledged before the connection fails, and a [Watcher] reports
// it: that is how a peer that vanished shows. It sets TCP_USER_TIMEOUT (RFC 5482, tcp(7)), in whole milliseconds, at
// most 24 days; 0 is the system's own limit, on Linux about 15 minutes. On systems other than Linux it does nothing.
//
// The limit also holds where the peer is alive but has not read for that long (its window is shut), and where TCP
// keep-alive probes stay unanswered. So it must not be shorter than the time that a slow reader is given.
func KeepAlive(c net.Conn, unacknowledged time.Duration) error {
	raw, err := descriptor(c)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	ms := min(unacknowledged.Milliseconds(), math.MaxInt32)
	if ms == 0 && unacknowledged > 0 {
		ms = 1 // 0 would mean the system's own limit
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(ms))
	})
	if err == nil {
		err = os.NewSyscallError("setsockopt", refused)
	}
	if err != nil {
		return fmt.Errorf("watch: TCP_USER_TIMEOUT %v: %w", unacknowledged, err)
	}
	return nil
}
