package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A disk is how long the disk takes that Tollgate's data are on, with nobody else's
// work but what goes on anyway: p50 and p99.
type disk struct {
	write, sync [2]time.Duration
}

// measureDisk appends small entries to a file that was filled with zeros before, and
// makes each of them durable, as the journal does for a lone settle.
func measureDisk(ctx context.Context, folder string) (_ disk, err error) {
	const entries, entry = 200, 1 << 10
	file, err := os.CreateTemp(folder, "disk-")
	if err != nil {
		return disk{}, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	if _, err := file.Write(make([]byte, entries*entry)); err != nil {
		return disk{}, err
	}
	if err := file.Sync(); err != nil {
		return disk{}, err
	}
	var writes, syncs []time.Duration
	text := []byte(promptOf(entry, ""))
	for n := range int64(entries) {
		if err := context.Cause(ctx); err != nil {
			return disk{}, err
		}
		began := time.Now()
		if _, err := file.WriteAt(text, n*entry); err != nil {
			return disk{}, err
		}
		written := time.Now()
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return disk{}, fmt.Errorf("fdatasync: %w", err)
		}
		writes, syncs = append(writes, written.Sub(began)), append(syncs, time.Since(written))
	}
	return disk{
		write: [2]time.Duration{quantileOf(writes, 50), quantileOf(writes, 99)},
		sync:  [2]time.Duration{quantileOf(syncs, 50), quantileOf(syncs, 99)},
	}, nil
}

func (d disk) String() string {
	return fmt.Sprintf("1 KiB appended to a file filled beforehand takes %.3f ms (p50), %.3f (p99), its fdatasync %.2f, %.2f",
		ms(d.write[0]), ms(d.write[1]), ms(d.sync[0]), ms(d.sync[1]))
}
