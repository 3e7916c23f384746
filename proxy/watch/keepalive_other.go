//go:build !linux

package watch

import (
	"net"
	"time"
)

// KeepAlive does nothing: this system has no limit on unacknowledged data that could be set.
func KeepAlive(net.Conn, time.Duration) error { return nil }
