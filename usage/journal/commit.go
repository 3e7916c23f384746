package journal

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"tollgate/crash"
)

const (
	// syncWithin is how long an entry that nobody waits for may stand in the kernel's memory alone, before its
	// fsync is asked for.
	syncWithin = 50 * time.Millisecond
	// maxYields bounds how often the committer lets the others run before it asks for an fsync. A yield is spent
	// only when the one before it brought somebody who waits.
	maxYields = 8
	// grace is how long the disk may fail before those who wait are told.
	grace = 3 * time.Second
	// firstPause and lastPause are between two tries of a disk that fails.
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// waiter is told once, when its entry is durable or will not be soon.
type waiter struct {
	sequence uint64
	told     chan error
}

// Await returns when the entry of that sequence is durable. An error that wraps
// ErrFailing says that the disk has refused it for seconds: it is kept, and may
// become durable later. So it is when ctx ends first, and the error wraps its cause.
func (l *Log) Await(ctx context.Context, sequence uint64) error {
	l.mu.Lock()
	if decided, err := l.fate(sequence); decided {
		l.mu.Unlock()
		return err
	}
	w := waiter{sequence, make(chan error, 1)}
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	signal(l.urgent)
	select {
	case err := <-w.told:
		return err
	case <-ctx.Done():
		return fmt.Errorf("gave up waiting for the journal: %w", context.Cause(ctx))
	}
}

// Written returns when the entry of that sequence survives the death of the process:
// at once, unless the disk has not taken it. Its errors are those of Await.
func (l *Log) Written(ctx context.Context, sequence uint64) error {
	l.mu.Lock()
	written := l.unwritten == 0 || sequence < l.unwritten
	l.mu.Unlock()
	if written {
		return nil
	}
	return l.Await(ctx, sequence)
}

// fate says whether it is decided what becomes of an entry, and what: nil, it is durable.
func (l *Log) fate(sequence uint64) (decided bool, err error) {
	switch {
	case sequence <= l.durable:
		return true, nil
	case l.closed:
		return true, ErrClosed
	case l.trouble.err != nil && time.Since(l.trouble.since) > grace:
		return true, l.trouble.asError()
	}
	return false, nil
}

// tell answers those whose entries are decided.
func (l *Log) tell() {
	open := l.waiters[:0]
	for _, w := range l.waiters {
		if decided, err := l.fate(w.sequence); decided {
			w.told <- err
		} else {
			open = append(open, w)
		}
	}
	clear(l.waiters[len(open):])
	l.waiters = open
}

// commit asks for one fsync after the other, each for everybody who waits, until the
// log is closed.
func (l *Log) commit() {
	timer := time.NewTimer(syncWithin)
	defer timer.Stop()
	for {
		select {
		case <-l.closing:
			return
		case <-l.urgent:
			l.gather()
		case <-l.dirty:
			timer.Reset(syncWithin)
			select {
			case <-l.closing:
				return
			case <-l.urgent:
				l.gather()
			case <-timer.C:
			}
		}
		for tries := 1; l.sync() != nil; tries++ {
			timer.Reset(min(lastPause, firstPause<<min(tries-1, 8)))
			select {
			case <-l.closing:
				return
			case <-timer.C:
			}
		}
	}
}

// gather lets the others run: an fsync costs the same for one entry as for a thousand,
// and while it blocks, a process with one core does nothing else for as long as the
// runtime does not take the core away from it.
func (l *Log) gather() {
	before := 0
	for range maxYields {
		l.mu.Lock()
		waiting := len(l.waiters)
		l.mu.Unlock()
		if waiting <= before {
			return
		}
		before = waiting
		runtime.Gosched()
	}
}

// sync makes everything durable that has been appended so far. After a failure it
// begins with another segment: the kernel forgets what it could not write, so the
// next fsync of the same file would say yes to nothing.
func (l *Log) sync() error {
	l.mend()
	l.mu.Lock()
	if l.active == nil || len(l.tail) == 0 && l.trouble.err == nil {
		err := l.trouble.err
		l.tell()
		l.mu.Unlock()
		return err
	}
	l.asked, l.tail = l.tail, l.asked[:0]
	last := l.next - 1
	files := append(append([]*segment(nil), l.unsynced...), l.active)
	l.mu.Unlock()

	crash.Point("commit.before_sync")
	err := l.syncFiles(files)
	if err == nil {
		crash.Point("commit.after_sync")
	}
	done, err := l.synced(files, last, err)
	for _, s := range done {
		s.close()
	}
	return err
}

// synced notes how an fsync went that was asked for everything up to last. It returns
// the segments that are to be closed.
func (l *Log) synced(files []*segment, last uint64, failed error) (done []*segment, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.tell()
	if failed != nil {
		l.tail, l.asked = append(l.asked, l.tail...), nil
		l.fail(failed)
		return nil, failed
	}
	l.asked = l.asked[:0]
	l.durable = last
	if l.active == nil {
		return nil, l.trouble.err // of an append, meanwhile
	}
	l.trouble = trouble{}
	done = files[:len(files)-1]
	l.unsynced = slices.DeleteFunc(l.unsynced, func(s *segment) bool { return slices.Contains(done, s) })
	return done, nil
}

func (l *Log) syncFiles(files []*segment) error {
	for _, s := range files {
		began := time.Now()
		l.syncing.Store(l.now())
		err := s.named(s.file.Sync())
		l.syncing.Store(0)
		if l.o.Synced != nil {
			l.o.Synced(time.Since(began), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
