package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"tollgate/crash"
	"tollgate/telemetry"
)

// cursor is how far the journal was shipped, and from where on it is needed. What is
// saved of it may be old, and may be lost: then more is shipped again, which changes nothing.
type cursor struct {
	// Shipped is the sequence up to which the ledger has everything.
	Shipped uint64 `json:"shipped"`
	// OldestOpen is the sequence of the first intent without a settle among those; 0: there is none.
	OldestOpen uint64 `json:"oldest_open"`
	// Sum tells a file that was written half, or by hand.
	Sum uint32 `json:"crc32"`
}

const (
	cursorFile    = "cursor.json"
	newCursorFile = cursorFile + ".new" // one that is being written
)

// needed is the first sequence that a start must see.
func (c cursor) needed() uint64 {
	if c.OldestOpen != 0 {
		return min(c.OldestOpen, c.Shipped+1)
	}
	return c.Shipped + 1
}

func (c cursor) sum() uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%d %d", c.Shipped, c.OldestOpen))
}

// readCursor returns the saved cursor, or the beginning where there is none that can be believed.
func readCursor(dir string, log *slog.Logger) cursor {
	raw, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if errors.Is(err, fs.ErrNotExist) {
		return cursor{}
	}
	var c cursor
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err == nil && c.Sum != c.sum() {
		err = errors.New("its crc32 does not fit its figures")
	}
	if err != nil {
		log.Warn("the journal's cursor cannot be read, so all that is in the journal is shipped again", telemetry.FieldError, err)
		return cursor{}
	}
	return c
}

// save puts the cursor in the place of the one before. It is not fsynced: an older one does as well.
func (c cursor) save(dir string) error {
	c.Sum = c.sum()
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	path, unfinished := filepath.Join(dir, cursorFile), filepath.Join(dir, newCursorFile)
	if err := os.WriteFile(unfinished, append(raw, '\n'), 0o600); err != nil {
		return errors.Join(err, remove(unfinished))
	}
	crash.Point("cursor.before_rename")
	if err := os.Rename(unfinished, path); err != nil {
		return errors.Join(err, remove(unfinished))
	}
	crash.Point("cursor.after_rename")
	return nil
}

// remove removes a file, if there is one.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
