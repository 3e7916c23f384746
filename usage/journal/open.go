package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"tollgate/crash"
)

// Open opens the journal in a folder, making it (0700) where it is missing, and
// begins a new segment: what a crash has left of the end of the last one counts no
// more. Visit has been given all entries when it returns. The error wraps ErrLocked
// where another process holds the folder, ErrDamaged where an entry is gone that had
// been promised to be durable, and Visit's own.
func Open(dir string, o Options) (*Log, error) {
	if o.Create == nil {
		o.Create = createFile
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: cannot make its folder: %w", err)
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	folder, err := os.Stat(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), unlock())
	}
	l := &Log{
		o: o, dir: dir, folder: folder, unlock: unlock, began: time.Now(),
		dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1), wanting: make(chan struct{}, 1),
		closing: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	if err := l.begin(); err != nil {
		return nil, errors.Join(err, l.letGo())
	}
	l.owned.Go(l.commit)
	l.owned.Go(l.stock)
	return l, nil
}

// begin takes over what there is, and begins a segment behind it.
func (l *Log) begin() error {
	found, err := survey(l.dir, l.o.From, l.o.Visit)
	if err != nil {
		return err
	}
	for _, path := range found.blank {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	for _, s := range found.segments {
		l.kept = append(l.kept, &segment{number: s.Number, base: s.Base, path: s.Path, size: s.Size})
	}
	l.number, l.next, l.durable = found.highest, found.last+1, found.last
	if len(found.unproven) > 0 {
		first, _ := readFrame(found.unproven)
		l.durable, l.tail = first.Sequence-1, found.unproven
	}
	if l.o.From <= l.next { // or it is another journal's
		l.needed = l.o.From
	}
	return l.takeOver()
}

// takeOver begins a segment, with what nobody has said of that it is safe: the
// predecessor may have died before an fsync of it, or after one that failed, of
// which the kernel says no word to a later one.
func (l *Log) takeOver() error {
	l.opening, l.trouble = true, trouble{err: errTakingOver, since: time.Now()}
	defer func() { l.opening = false }()
	for range 3 { // the tail may need more than one
		if err := l.restock(); err != nil && len(l.spares) < max(1, l.lacking) {
			return fmt.Errorf("journal: no segment of %d KiB can be made in %s: make room there: %w", l.o.segmentSize()>>10, l.dir, err)
		}
		if l.mend(); l.active != nil {
			break
		}
	}
	if err := l.sync(); err != nil {
		return fmt.Errorf("journal: what is in %s cannot be made durable: %w", l.dir, err)
	}
	return nil
}

var errTakingOver = errors.New("the journal is being opened")

// Close takes no more entries, makes durable what it has taken, and returns when
// everything is closed, the second time at once. An error says that some entries may not
// survive the machine's death; Stats has how many. They do survive the process's, unless
// the disk did not even take them.
//
// A disk that does not answer is waited for no longer than three seconds: then the error
// wraps ErrFailing, and the closing goes on without whoever asked for it, in goroutines
// that nothing can end, for the system does not let go of them. The folder stays locked
// until they are through, or the process has ended: what the disk takes late must not
// come to a folder that another process has taken over.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.closing)
	finished := make(chan error, 1)
	go func() { finished <- l.finish() }()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-finished:
		return err
	case <-timer.C:
	}
	l.mu.Lock()
	l.tell() // nobody else will
	l.mu.Unlock()
	return fmt.Errorf("%w: it has not answered for %s: the journal is not closed, and stays locked until this process has ended", ErrFailing, grace)
}

// finish closes everything, whenever the disk lets it. The lock goes last.
func (l *Log) finish() error {
	l.owned.Wait()
	l.turn <- struct{}{} // when whoever writes is through; nobody begins any more
	l.endTurn()
	err := l.sync()
	if err != nil {
		_ = l.restock() // sync says what came of it
		err = l.sync()  // once more, to another segment
	}
	l.mu.Lock()
	l.tell()
	l.mu.Unlock()
	return errors.Join(err, l.letGo())
}

// letGo closes all files, gives back the room that is not used, and unlocks the folder.
func (l *Log) letGo() error {
	for _, list := range [...][]*segment{l.abandoned, l.unsynced, l.spares} {
		for _, s := range list {
			s.close()
		}
	}
	var errs []error
	if l.active != nil {
		l.active.close()
		errs = append(errs, os.Truncate(l.active.path, l.active.offset))
	}
	for _, s := range l.spares {
		errs = append(errs, os.Remove(s.path))
	}
	crash.Point("close.before_unlock")
	return errors.Join(append(errs, l.unlock())...)
}
