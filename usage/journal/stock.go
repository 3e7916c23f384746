package journal

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"tollgate/crash"
	"tollgate/telemetry"
)

// restockPause is how long after a failure another spare is tried to be made.
const restockPause = 250 * time.Millisecond

// folderLook is how often it is looked whether the folder is still there.
const folderLook = 500 * time.Millisecond

// errFolder says that what is written is in no folder any more.
var errFolder = errors.New("its folder was removed or replaced while it was in use: put it back, if you can, and start again")

// stock keeps spares ready, until the log is closed: there is always a segment's room
// beyond what was promised.
func (l *Log) stock() {
	timer := time.NewTimer(restockPause)
	defer timer.Stop()
	look := time.NewTicker(folderLook)
	defer look.Stop()
	for {
		wanting := l.wanting
		if l.restock() == nil {
			timer.Stop()
		} else {
			timer.Reset(restockPause)
			wanting = nil // or each refused entry would make the disk write a segment in vain
		}
		select {
		case <-l.closing:
			return
		case <-wanting:
		case <-timer.C:
		case <-look.C:
			l.lookAfterFolder()
		}
	}
}

// lookAfterFolder refuses everything once the folder is gone: files that have no name
// any more take whatever they are given, and nobody will read it.
func (l *Log) lookAfterFolder() {
	info, err := os.Stat(l.dir)
	if err == nil && os.SameFile(info, l.folder) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gone {
		l.gone = true
		l.abandoned, l.spares = append(l.abandoned, l.spares...), nil
		l.fail(errFolder)
	}
}

// restock makes spares as long as there are too few.
func (l *Log) restock() error {
	for {
		l.mu.Lock()
		wanted, obsolete, err := l.wantsSpare()
		if wanted {
			l.number++
		}
		number := l.number
		l.mu.Unlock()
		l.remove(obsolete)
		if !wanted {
			return l.note(err)
		}
		spare, err := l.makeSpare(number)
		if err != nil {
			if !isFull(err) || !l.shed() {
				return l.note(err)
			}
			continue
		}
		l.mu.Lock()
		l.spares = append(l.spares, spare)
		failing := l.trouble.err != nil
		l.mu.Unlock()
		if failing {
			signal(l.urgent)
		}
	}
}

// wantsSpare reports whether a spare is to be made, and what is to be removed for it;
// an error is why it cannot be.
func (l *Log) wantsSpare() (wanted bool, obsolete []string, err error) {
	if l.gone {
		return false, nil, errFolder
	}
	size := l.o.segmentSize()
	if len(l.spares) > 0 && len(l.spares) >= l.lacking && l.room() >= l.promised+size {
		return false, nil, nil
	}
	for l.bytes()+size > l.o.maxSize() {
		if path := l.shedOldest(); path != "" {
			obsolete = append(obsolete, path)
			continue
		}
		if l.active == nil && len(l.spares) < max(1, l.lacking) {
			break // without one more there is no going on at all, and nothing could be shipped
		}
		return false, obsolete, fmt.Errorf("its %d MiB (usage.max_journal) are in use: what is in it is not in the ledger yet, or belongs to open requests", l.o.maxSize()>>20)
	}
	return true, obsolete, nil
}

// note remembers why there is no spare, and says so when that changes.
func (l *Log) note(err error) error {
	l.mu.Lock()
	before := l.short
	l.short = err
	l.mu.Unlock()
	switch {
	case err != nil && before == nil:
		l.o.Log.Error("the journal cannot get more room: new requests are refused when what there is has been promised", telemetry.FieldError, err)
	case err == nil && before != nil:
		l.o.Log.Info("the journal has room again")
	}
	return err
}

// makeSpare makes a segment that is filled with zeros, durable, and not begun.
func (l *Log) makeSpare(number uint64) (*segment, error) {
	s := &segment{number: number, path: segmentPath(l.dir, number), size: l.o.segmentSize()}
	unfilled := s.path + newSuffix
	var err error
	if s.file, err = l.o.Create(unfilled); err != nil {
		return nil, err
	}
	crash.Point("stock.after_create")
	if err = s.fill(); err == nil {
		err = errors.Join(os.Rename(unfilled, s.path), syncFolder(l.dir))
	}
	if err != nil {
		s.close()
		_ = os.Remove(unfilled) // it is blank: the next start removes it
		_ = os.Remove(s.path)
		return nil, err
	}
	crash.Point("stock.after_fill")
	return s, nil
}

// fill writes zeros: room that was only announced to the file system would have to be
// looked for, and noted, by the fsyncs to come.
func (s *segment) fill() error {
	const step = 1 << 20
	zeros := make([]byte, step)
	for at := int64(0); at < s.size; at += step {
		if _, err := s.file.WriteAt(zeros[:min(step, s.size-at)], at); err != nil {
			return err
		}
	}
	return s.file.Sync()
}

// Prune says that no entry below a sequence is needed any more. Segments that hold
// no other are removed once nobody has needed them for Options.Keep; earlier, oldest
// first, where their room is needed.
func (l *Log) Prune(needed uint64) {
	var obsolete []string
	l.mu.Lock()
	l.needed = max(l.needed, needed)
	now := time.Now()
	for _, s := range l.kept[:l.unneeded()] {
		if s.unneeded.IsZero() {
			s.unneeded = now
		}
	}
	for l.unneeded() > 0 && now.Sub(l.kept[0].unneeded) >= l.o.Keep {
		obsolete = append(obsolete, l.shedOldest())
	}
	l.mu.Unlock()
	l.remove(obsolete)
}

// unneeded is how many of the oldest segments nobody needs.
func (l *Log) unneeded() (n int) {
	for n+1 < len(l.kept) && l.kept[n+1].base <= l.needed {
		n++
	}
	return n
}

// shed removes the oldest segment that nobody needs, and reports whether there was one.
func (l *Log) shed() bool {
	l.mu.Lock()
	path := l.shedOldest()
	l.mu.Unlock()
	if path == "" {
		return false
	}
	l.remove([]string{path})
	return true
}

// shedOldest takes the oldest segment off the list that nobody needs; empty: there is none.
func (l *Log) shedOldest() (path string) {
	if l.unneeded() == 0 {
		return ""
	}
	path = l.kept[0].path
	l.kept = slices.Delete(l.kept, 0, 1)
	return path
}

// remove removes segments that nobody needs. One that cannot be removed is found, and
// removed, after the next start.
func (l *Log) remove(paths []string) {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			l.o.Log.Warn("a segment of the journal that is not needed any more cannot be removed", telemetry.FieldError, err)
		}
		crash.Point("prune.after_remove")
	}
}
