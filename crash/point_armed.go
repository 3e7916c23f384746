//go:build crashpoints

package crash

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// armed reads CRASH_AT once.
var armed = sync.OnceValue(func() *place {
	name, count, _ := strings.Cut(os.Getenv("CRASH_AT"), ":")
	p := &place{name: name}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 {
		n = 1
	}
	p.left.Store(n)
	return p
})

// place is where the process dies, and how many passes are left.
type place struct {
	name string
	left atomic.Int64
}

// Point is a place where the process may be made to die: by CRASH_AT=name:n, at the
// n-th time that it is passed.
func Point(name string) {
	if p := armed(); p.name == name && p.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}
