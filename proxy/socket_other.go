//go:build !linux

package proxy

import "net"

// boundUnsent leaves the sockets of other systems as they are.
func boundUnsent(net.Conn) {}
