package upstream

import "golang.org/x/sys/unix"

// boundReceived limits what the kernel receives ahead of the reader, before the
// connection is made: by itself it goes up to megabytes, for each stream whose
// client is slow. A quarter of a mebibyte is 2.5 MB/s over a line of 100 ms.
func boundReceived(fd uintptr) {
	const ahead = 256 << 10
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, ahead) // without it there is only more memory
}
