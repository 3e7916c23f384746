//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openOwn opens the file, or makes it (0600), but does not follow a link: whoever may write to the folder could
// have put one there.
func openOwn(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return nil, errors.New("it is a symbolic link: name the file itself")
	}
	return file, err
}

// lockOwn refuses a file of somebody else's, and one that another run writes to. The lock ends with the file.
func lockOwn(file *os.File, info fs.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to another user (%d): name a file of your own", owner.Uid)
	}
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is a small number
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another tollgate keys apply writes to it: run one at a time, or name another file")
	}
	return err
}
