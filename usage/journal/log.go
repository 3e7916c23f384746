package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Log is a journal that is being written. Open makes one, Close ends it.
type Log struct {
	o      Options
	dir    string
	folder os.FileInfo // the folder as it was opened
	unlock func() error

	// turn is held by who writes to the files, mu by who looks at the state or changes it, which nobody does for longer
	// than a moment. Whoever holds mu takes no turn.
	turn    chan struct{}
	scratch []byte // the entry that is being written

	began   time.Time
	opening bool // what a former process has left is being taken over; nobody else is at work yet
	// writing and syncing are since when the disk has been at work, by now; 0: it is not.
	writing, syncing atomic.Int64

	mu        sync.Mutex
	active    *segment   // what is appended to; nil: the disk fails
	unsynced  []*segment // those before it that are not durable yet
	abandoned []*segment // given up, and not closed yet
	spares    []*segment
	kept      []*segment // all that were begun, active and unsynced ones among them, in the order of their numbers
	number    uint64     // of the newest file
	next      uint64     // the sequence of the next entry
	durable   uint64     // every entry up to it is fsynced
	tail      []byte     // the entries that no fsync was asked for yet, as they stand in their segments
	asked     []byte     // those that one was asked for, and that it has not said yes to
	// unwritten is the first entry that stands in memory alone; 0: none does.
	unwritten uint64
	lacking   int // how many spares it takes to go on after a failure
	promised  int64
	needed    uint64 // entries below it are nobody's any more
	trouble   trouble
	short     error // why there is no further spare; nil: there is, or will be in a moment
	gone      bool  // the folder is
	closed    bool
	waiters   []waiter

	dirty, urgent, wanting chan struct{} // of one place: somebody has written, waits, wants a spare
	closing                chan struct{}
	owned                  sync.WaitGroup // the committer and the stocker
}

// segment is a file that is, was or will be written to.
type segment struct {
	number, base uint64
	path         string
	file         File // nil: closed
	size         int64
	offset       int64     // where the next entry goes
	headed       bool      // of one that takes over: it counts
	unneeded     time.Time // since when nobody needs it; zero: somebody does
}

// trouble is what is wrong with the disk, and since when; the zero value is nothing.
type trouble struct {
	err   error
	since time.Time
}

// Options is what a Log needs to know.
type Options struct {
	// MaxSize bounds all segments together, in bytes; 0: 4 GiB. Each of them is a 64th of it, but 256 KiB to 8 MiB.
	MaxSize int64
	// Keep is how long a segment is kept that nobody needs any more.
	Keep time.Duration
	// From is the first sequence that Visit is given; 0 and 1 are the beginning of what is kept.
	From uint64
	// Visit is given, by Open, every entry from From on that is in the folder; nil: nobody asks.
	Visit func(Entry) error
	// Create makes the file of a new segment; nil: one on the disk.
	Create func(path string) (File, error)
	// Synced is told of every fsync, how long it took and how it went; nil: nobody asks. It must not block.
	Synced func(took time.Duration, err error)
	// Log takes what went wrong; nil discards.
	Log *slog.Logger
}

// File is what a segment is written to. *os.File is one, but for Sync, which for a
// segment is fdatasync.
type File interface {
	WriteAt(p []byte, off int64) (int, error)
	Sync() error
	Close() error
}

// Class says which room an entry may take.
type Class uint8

// The classes of entries.
const (
	// Beginning is refused unless there is room for it, and for all that was promised.
	Beginning Class = iota
	// Owed may take promised room, too.
	Owed
	// Optional is left out unless there is room beyond what was promised.
	Optional
)

// Room is where an entry may go, and how it changes what is promised.
type Room struct {
	Class Class
	// Promise is how many bytes are held for entries that will follow this one; negative: given back with it.
	Promise int64
}

// The errors of a Log, for errors.Is.
var (
	// ErrLocked says that another process holds the journal.
	ErrLocked = errors.New("another process holds the journal")
	// ErrFull says that there is no room left on the disk, or below the bound.
	ErrFull = errors.New("the journal is full")
	// ErrFailing says that the disk does not take what it is given.
	ErrFailing = errors.New("the disk of the journal fails")
	// ErrClosed says that the journal was closed.
	ErrClosed = errors.New("the journal is closed")
	// ErrTooLong says that an entry is longer than MaxPayload.
	ErrTooLong = fmt.Errorf("the entry is longer than %d bytes", MaxPayload)
)

// Stats is what there is to see of a Log.
type Stats struct {
	// Next is the sequence of the next entry, Written the highest one that a file has, and Durable the highest one that is
	// fsynced. Those behind Written stand in memory alone: the disk has not taken them.
	Next, Written, Durable uint64
	// Bytes is what all segments take on the disk, Segments how many there are.
	Bytes    int64
	Segments int
	// Promised is the room that is held for entries to come, Room what there is for any, in bytes.
	Promised, Room int64
}

const (
	defaultMaxSize = 4 << 30
	minSegment     = 256 << 10
	maxSegment     = 8 << 20
	segmentsInAll  = 64
)

func (o Options) maxSize() int64 {
	if o.MaxSize == 0 {
		return defaultMaxSize
	}
	return o.MaxSize
}

func (o Options) segmentSize() int64 {
	return min(maxSegment, max(minSegment, o.maxSize()/segmentsInAll))
}

// Durable is the highest sequence that is fsynced.
func (l *Log) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Stats returns the figures of this moment.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	written := l.next - 1
	if l.unwritten > 0 {
		written = l.unwritten - 1
	}
	return Stats{
		Next: l.next, Written: written, Durable: l.durable,
		Bytes: l.bytes(), Segments: len(l.kept) + len(l.spares),
		Promised: l.promised, Room: l.room(),
	}
}

// bytes is what the segments take.
func (l *Log) bytes() (sum int64) {
	for _, list := range [...][]*segment{l.kept, l.spares} {
		for _, s := range list {
			sum += s.size
		}
	}
	return sum
}

// room is how many bytes of entries are sure to find a place: the last entry of a
// segment may not fit into what is left of it.
func (l *Log) room() (sum int64) {
	if l.active != nil {
		sum = max(0, l.active.size-l.active.offset-l.o.slack())
	}
	for _, s := range l.spares {
		sum += s.size - headerSize - l.o.slack()
	}
	return sum
}

// slack is what a segment may leave unused at its end: an entry of that size is above
// any usual one, and in segments of 8 MiB as long as any can be.
func (o Options) slack() int64 { return max(16<<10, o.segmentSize()/segmentsInAll) }

// Read returns a reader of what is durable from that sequence on, or from the first
// one that is kept. The caller closes it.
func (l *Log) Read(from uint64) *Reader { return newReader(from, l.locate) }

// locate says where an entry that is durable stands. One that is not kept any more is
// taken for the oldest that is.
func (l *Log) locate(sequence uint64) (place, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sequence > l.durable {
		return place{}, false
	}
	end := l.durable + 1
	for i := len(l.kept) - 1; i >= 0; i-- {
		s := l.kept[i]
		if s.base <= sequence || i == 0 {
			return place{path: s.path, number: s.number, base: s.base, end: end}, s.base < end
		}
		end = min(end, s.base)
	}
	return place{}, false
}
