package journal

import (
	"errors"
	"os"
)

// createFile makes a segment's file on the disk.
func createFile(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// diskFile is a file whose Sync leaves out what no reader needs, such as its times.
type diskFile struct{ *os.File }

// Sync makes the file's content durable, and its size.
func (f diskFile) Sync() error { return fdatasync(f.File) }

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
