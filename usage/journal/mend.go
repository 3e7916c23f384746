package journal

import (
	"encoding/binary"
	"os"
	"slices"
)

// mend goes on after a failure: everything that is not durable is written once more,
// to segments that begin where the durable part ends. What the former ones hold from
// there on counts no more.
func (l *Log) mend() {
	l.mu.Lock()
	well := l.active != nil && len(l.abandoned) == 0
	l.mu.Unlock()
	if well || l.takeTurn(grace) != nil { // nothing is appended while the turn is held, so the tail stays as it is
		return
	}
	defer l.endTurn()
	l.mu.Lock()
	abandoned := l.abandoned
	l.abandoned = nil
	fresh := l.sparesForTail()
	l.mu.Unlock()
	for _, s := range abandoned {
		s.close()
	}
	if len(fresh) == 0 {
		return
	}
	err := l.rewrite(fresh)
	var obsolete []string
	l.mu.Lock()
	defer func() { l.mu.Unlock(); removeObsolete(obsolete) }()
	if err == nil && l.gone {
		err = errFolder // found out meanwhile: what was written is in no folder
	}
	for _, s := range fresh {
		if s.headed {
			l.kept = append(l.kept, s)
		} else {
			obsolete = append(obsolete, s.path)
		}
	}
	if err != nil {
		l.abandoned = append(l.abandoned, fresh...)
		l.fail(err)
		return
	}
	l.unsynced, l.active = fresh[:len(fresh)-1], fresh[len(fresh)-1]
	l.unwritten = 0
	obsolete = l.takeObsolete()
}

// sparesForTail takes as many spares as the tail needs, and lays out which entries go
// to each; none, where nothing is to be mended or there are too few.
func (l *Log) sparesForTail() (fresh []*segment) {
	if l.active != nil || l.trouble.err == nil {
		return nil
	}
	if len(l.spares) == 0 {
		signal(l.wanting)
		return nil
	}
	bases, sequence, used := []uint64{l.durable + 1}, l.durable+1, int64(headerSize)
	for rest := l.tail; len(rest) > 0; sequence++ {
		size := sizeOf(rest)
		if used += size; used > l.spares[0].size {
			bases, used = append(bases, sequence), headerSize+size
		}
		rest = rest[size:]
	}
	if len(bases) > len(l.spares) {
		l.lacking = len(bases)
		signal(l.wanting)
		return nil
	}
	l.lacking = 0
	for _, base := range bases {
		fresh = append(fresh, l.takeSpare(base))
	}
	return fresh
}

// sizeOf is what the entry takes that raw begins with.
func sizeOf(raw []byte) int64 { return frameSize(int(binary.LittleEndian.Uint32(raw[4:]))) }

// rewrite writes the tail to fresh segments. Their headers come last, that of the first
// one last of all: until then, what the segments before them hold still counts, should
// the process die.
//
// While the log is being opened, the tail holds entries that may have been promised to
// be safe, and each step waits for the disk: it is free to write a header before what
// stands behind it, and the power may go.
func (l *Log) rewrite(fresh []*segment) error {
	if err := l.copyTail(fresh); err != nil {
		return err
	}
	if err := l.barrier(fresh); err != nil {
		return err
	}
	for i, s := range slices.Backward(fresh) {
		if err := l.putHeader(s); err != nil {
			return err
		}
		s.headed = true
		if err := l.barrier(fresh[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// barrier waits, while the log is being opened, until the disk has what was written.
func (l *Log) barrier(written []*segment) error {
	if !l.opening {
		return nil
	}
	return l.syncFiles(written)
}

// copyTail writes the tail to fresh segments, which do not count yet.
func (l *Log) copyTail(fresh []*segment) error {
	rest, sequence := l.tail, fresh[0].base
	for i, s := range fresh {
		size := int64(0)
		for int64(len(rest)) > size && (i+1 == len(fresh) || sequence < fresh[i+1].base) {
			size += sizeOf(rest[size:])
			sequence++
		}
		if size > 0 {
			if err := l.put(s, rest[:size]); err != nil {
				return err
			}
		}
		s.offset += size
		rest = rest[size:]
	}
	return nil
}

// takeObsolete takes segments off the list of which no entry counts any more, for others
// took all of it over. They are to be removed.
func (l *Log) takeObsolete() (obsolete []string) {
	if len(l.kept) == 0 {
		return nil
	}
	end := l.kept[len(l.kept)-1].base
	for i := len(l.kept) - 2; i >= 0; i-- {
		s := l.kept[i]
		if s.base >= end {
			obsolete = append(obsolete, s.path)
			l.kept = slices.Delete(l.kept, i, i+1)
		}
		end = min(end, s.base)
	}
	return obsolete
}

// removeObsolete removes files of which nothing counts. One that stays is found obsolete at the next start.
func removeObsolete(paths []string) {
	for _, path := range paths {
		_ = os.Remove(path)
	}
}

// close lets go of the file. Everything in it that counts is durable, so whatever
// closing it says changes nothing.
func (s *segment) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}
