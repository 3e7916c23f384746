// Package store answers one question: where does a replica keep what must
// survive it? OpenBolt opens the embedded store, one bbolt file in the data
// folder, that keys and usage each keep their own buckets in. OpenRedis makes the
// client of the Redis that the replicas of a fleet share. No leaf opens a file or a
// connection of its own: a leaf is handed the handle and keeps its own keys in it.
//
// Redis may be slow, silent or gone at any time, and the gateway goes on without
// it. So every call is short, and one circuit breaker for the process makes calls
// that cannot succeed fail at once. Their error wraps ErrRedisDown: whoever gets it
// does what it does without Redis, and whoever gets any other has something to report.
//
// The handles are safe for concurrent use. Whoever opened one closes it, after
// the last of those it was handed to has stopped.
package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// FileName is the embedded store's file inside the data folder.
const FileName = "tollgate.db"

// lockWait is how long OpenBolt waits for another process to let the file go: long
// enough for a predecessor that is just exiting, short enough for a person to wait.
const lockWait = time.Second

// ErrLocked says that another process holds the embedded store. Two processes
// must never share it, so the only cures are to stop the other or to use another folder.
var ErrLocked = errors.New("another process holds it")

// OpenBolt opens the embedded store in dir, making the folder (0700) where it is
// missing and the file, which it keeps at 0600. The file belongs to one process at a time: a
// second one gets an error that wraps ErrLocked within about a second.
func OpenBolt(dir string) (*bolt.DB, error) {
	if dir == "" {
		return nil, errors.New("data_dir: must name a folder, got \"\"")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: cannot make the folder: %w", err)
	}
	path := filepath.Join(dir, FileName)
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("data_dir: cannot open %s: %w; stop that process, or give this one a data_dir of its own", path, ErrLocked)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, fmt.Errorf("data_dir: %s is damaged or not a Tollgate store: %w; restore it from a backup, or move it away to start empty", path, err)
	case err != nil:
		return nil, fmt.Errorf("data_dir: cannot open %s: %w", path, err)
	}
	// A file restored by hand may be readable by all. Where it is not ours to change, its owner has decided.
	_ = os.Chmod(path, 0o600)
	return db, nil
}
