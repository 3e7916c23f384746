//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

import (
	"io/fs"
	"os"
)

// openOwn opens the file, or makes it.
func openOwn(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }

// lockOwn takes the file as it is: these systems have no such locks and owners.
func lockOwn(*os.File, fs.FileInfo) error { return nil }
