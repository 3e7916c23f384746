//go:build unix

package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockName = "lock"
	// lockWait is how long a predecessor may take to let go.
	lockWait = time.Second
	lockLook = 20 * time.Millisecond
)

// lockFolder makes the folder this process's own until unlock. The kernel lets go of
// it when the process dies, however that comes.
func lockFolder(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: cannot be locked: %w", err)
	}
	for began := time.Now(); ; time.Sleep(lockLook) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return f.Close, nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("journal: cannot lock %s: %w", path, err), f.Close())
		case time.Since(began) > lockWait:
			return nil, errors.Join(fmt.Errorf("journal: cannot use %s: %w; stop that process, or give this one a data_dir of its own", dir, ErrLocked), f.Close())
		}
	}
}
