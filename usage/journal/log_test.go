package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opened is a log that is closed with the test, if it was not before.
func opened(t *testing.T, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// small makes segments of 1 MiB.
func small() Options { return Options{MaxSize: 64 << 20} }

// holding reads what a folder holds.
func holding(t *testing.T, dir string) (entries []string) {
	t.Helper()
	_, err := survey(dir, 0, func(e Entry) error {
		entries = append(entries, fmt.Sprintf("%d %s %s", e.Sequence, e.Kind, e.Payload))
		return nil
	})
	must(t, err)
	return entries
}

func wantEntries(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the journal holds\n%q, want\n%q", got, want)
	}
}

func TestEntriesSurvive(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, small())
	for i, kind := range []Kind{Intent, Attempt, Checkpoint, Settle, Adjust} {
		sequence, err := l.Append(kind, Room{Class: Owed}, fmt.Appendf(nil, "entry %d", i))
		must(t, err)
		must(t, l.Await(t.Context(), sequence))
	}
	must(t, l.Close())
	want := []string{"1 intent entry 0", "2 attempt entry 1", "3 checkpoint entry 2", "4 settle entry 3", "5 adjust entry 4"}
	wantEntries(t, holding(t, dir), want...)

	var visited []string
	o := small()
	o.From, o.Visit = 4, func(e Entry) error {
		visited = append(visited, fmt.Sprintf("%d %s", e.Sequence, e.Payload))
		return nil
	}
	l = opened(t, dir, o)
	wantEntries(t, visited, "4 entry 3", "5 entry 4")
	sequence, err := l.Append(Intent, Room{}, []byte("the next"))
	must(t, err)
	if sequence != 6 {
		t.Errorf("the next entry has sequence %d, want 6", sequence)
	}
	must(t, l.Close())
	wantEntries(t, holding(t, dir), append(want, "6 intent the next")...)
}

func TestAppendedIsWrittenAtOnce(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, small())
	_, err := l.Append(Intent, Room{}, []byte("an intent"))
	must(t, err)
	// Another reader, as after the death of the process, which takes nothing with it that was written.
	wantEntries(t, holding(t, dir), "1 intent an intent")
}

func TestUnawaitedIsSyncedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := opened(t, t.TempDir(), small())
		_, err := l.Append(Intent, Room{}, []byte("an intent"))
		must(t, err)
		for began := time.Now(); l.Durable() < 1; time.Sleep(time.Millisecond) {
			if time.Since(began) > 5*time.Second {
				t.Fatal("an entry that nobody waits for is never made durable")
			}
		}
	})
}

func TestAFolderHasOneProcess(t *testing.T) {
	dir := t.TempDir()
	opened(t, dir, small())
	if _, err := Open(dir, small()); !errors.Is(err, ErrLocked) {
		t.Errorf("a second log over the same folder: %v, want ErrLocked", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	const writers, each = 32, 200
	dir := t.TempDir()
	syncs := 0
	o := small()
	o.Synced = func(time.Duration, error) { syncs++ }
	l := opened(t, dir, o)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				sequence, err := l.Append(Settle, Room{Class: Owed}, fmt.Appendf(nil, "%d/%d", w, i))
				if err == nil {
					err = l.Await(context.Background(), sequence)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if durable := l.Durable(); durable < sequence {
					t.Errorf("entry %d was acknowledged, and %d is durable", sequence, durable)
				}
			}
		})
	}
	all.Wait()
	must(t, l.Close())
	if got := len(holding(t, dir)); got != writers*each {
		t.Errorf("%d entries are kept, want %d", got, writers*each)
	}
	if syncs > writers*each/2 {
		t.Errorf("%d fsyncs for %d entries of %d writers: they are not shared", syncs, writers*each, writers)
	}
	t.Logf("%d fsyncs for %d entries", syncs, writers*each)
}

func TestSegmentsFollowEachOther(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, small())
	payload := make([]byte, 100<<10)
	for range 35 {
		sequence := appendOwed(t, l, payload)
		must(t, l.Await(t.Context(), sequence))
	}
	if s := l.Stats(); s.Segments < 4 || s.Durable != 35 {
		t.Errorf("35 entries of 100 KiB in segments of 1 MiB: %+v", s)
	}
	must(t, l.Close())
	if got := len(holding(t, dir)); got != 35 {
		t.Errorf("%d entries are kept, want 35", got)
	}
}

// appendOwed appends an entry that must find a place; the stock may need a moment.
func appendOwed(t *testing.T, l *Log, payload []byte) uint64 {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		sequence, err := l.Append(Settle, Room{Class: Owed}, payload)
		if err == nil {
			return sequence
		}
		if !errors.Is(err, ErrFull) || time.Since(began) > 10*time.Second {
			t.Fatal(err)
		}
	}
}

// faulty is a file whose fsyncs and writes may be made to fail.
type faulty struct {
	File
	faults *faults
}

type faults struct {
	mu          sync.Mutex
	sync, write error
	create      error
	creates     int
	hangs       bool
	syncs       int
	writing     func(off int64, size int) // is told of every write before it
}

func (f *faults) set(change func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *faults) options() Options {
	o := small()
	o.Create = func(path string) (File, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.creates++
		if f.create != nil {
			return nil, f.create
		}
		file, err := createFile(path)
		return faulty{file, f}, err
	}
	return o
}

func (f faulty) Sync() error {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	f.faults.syncs++
	if f.faults.sync != nil {
		return f.faults.sync
	}
	return f.File.Sync()
}

func (f faulty) WriteAt(p []byte, off int64) (int, error) {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	if f.faults.writing != nil {
		f.faults.writing(off, len(p))
	}
	if f.faults.write != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, f.faults.write
	}
	return f.File.WriteAt(p, off)
}

func TestADiskThatFails(t *testing.T) {
	for _, c := range []struct {
		name        string
		break_, fix func(*faults)
	}{
		{"fsync", func(f *faults) { f.sync = syscall.EIO }, func(f *faults) { f.sync = nil }},
		{"write", func(f *faults) { f.write = syscall.EIO }, func(f *faults) { f.write = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var disk faults
				dir := t.TempDir()
				l := opened(t, dir, disk.options())
				begun, err := l.Append(Intent, Room{Promise: 1000}, []byte("begun"))
				must(t, err)
				must(t, l.Await(t.Context(), begun))

				disk.set(c.break_)
				owed, err := l.Append(Settle, Room{Class: Owed, Promise: -1000}, []byte("owed"))
				must(t, err)
				awaited := make(chan error, 1)
				go func() { awaited <- l.Await(context.Background(), owed) }()
				refused := func() bool {
					_, err := l.Append(Intent, Room{Promise: 1000}, []byte("refused"))
					return errors.Is(err, ErrFailing)
				}
				eventually(t, "new entries to be refused", func() bool { return errors.Is(l.Err(), ErrFailing) && refused() })

				disk.set(c.fix)
				must(t, <-awaited)
				eventually(t, "new entries to be taken", func() bool { return l.Err() == nil })
				after, err := l.Append(Intent, Room{}, []byte("after"))
				must(t, err)
				must(t, l.Await(t.Context(), after))
				must(t, l.Close())
				entries := holding(t, dir)
				// An intent may have come between the failure and its notice: it was taken then.
				if len(entries) < 3 || entries[0] != "1 intent begun" || entries[1] != "2 settle owed" || entries[len(entries)-1] != fmt.Sprintf("%d intent after", after) {
					t.Errorf("the journal holds %q", entries)
				}
			})
		})
	}
}

func TestADiskThatFailsAndNothingIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk faults
		dir := t.TempDir()
		l := opened(t, dir, disk.options())
		disk.set(func(f *faults) { f.write = syscall.EIO })
		if _, err := l.Append(Intent, Room{}, []byte("refused")); !errors.Is(err, ErrFailing) {
			t.Errorf("an intent on a disk that fails: %v", err)
		}
		disk.set(func(f *faults) { f.write = nil })
		eventually(t, "new entries to be taken", func() bool { return l.Err() == nil })
		sequence, err := l.Append(Intent, Room{}, []byte("taken"))
		must(t, err)
		must(t, l.Await(t.Context(), sequence))
		wantEntries(t, holding(t, dir), "1 intent taken")
	})
}

// Entries that come faster than segments can be made are kept until there is one.
func TestOwedFasterThanSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		o := Options{MaxSize: 64 << 20, Keep: time.Hour}
		o.Create = func(path string) (File, error) {
			time.Sleep(20 * time.Millisecond)
			return createFile(path)
		}
		l := opened(t, dir, o)
		var last uint64
		for range 300 {
			sequence, err := l.Append(Settle, Room{Class: Owed}, make([]byte, 60<<10))
			must(t, err)
			last = sequence
		}
		must(t, l.Await(t.Context(), last))
		must(t, l.Close())
		if got := len(holding(t, dir)); got != 300 {
			t.Errorf("%d entries are kept, want 300", got)
		}
	})
}

// A process that dies while it goes on after a failed fsync takes nothing with it that it had written.
func TestDyingWhileGoingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk faults
		dir := t.TempDir()
		l := opened(t, dir, disk.options())
		disk.set(func(f *faults) { f.sync = syscall.EIO })
		var want []string
		now, cancel := context.WithCancel(t.Context())
		cancel()
		long := strings.Repeat("long ", 20_000)
		for i := range 14 {
			payload := fmt.Sprint(long, i)
			_, err := l.Append(Settle, Room{Class: Owed}, []byte(payload))
			must(t, err)
			if l.Written(now, uint64(i+1)) == nil {
				want = append(want, fmt.Sprintf("%d settle %s", i+1, payload))
			}
		}
		eventually(t, "the failure", func() bool { return l.Err() != nil })
		looks := 0
		disk.set(func(f *faults) {
			f.sync = nil
			f.writing = func(int64, int) {
				looks++
				if got := holding(t, dir); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
					t.Errorf("at write %d, %d entries are there, want %d", looks, len(got), len(want))
				}
			}
		})
		must(t, l.Await(t.Context(), 14))
		disk.set(func(f *faults) { f.writing = nil })
		if looks < 4 {
			t.Errorf("%d writes were seen, want two segments and their headers at least", looks)
		}
		if got := holding(t, dir); len(got) != 14 {
			t.Errorf("in the end %d entries are there, want 14", len(got))
		}
		if len(want) < 2 {
			t.Errorf("%d entries were written before the disk failed", len(want))
		}
	})
}

// A disk that does not answer keeps nobody waiting for the state of the journal.
func TestADiskThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk faults
		hold := make(chan struct{})
		o := disk.options()
		create := o.Create
		o.Create = func(path string) (File, error) {
			file, err := create(path)
			return hanging{file, hold, &disk}, err
		}
		l := opened(t, t.TempDir(), o)
		disk.set(func(f *faults) { f.hangs = true })
		first := make(chan error, 1)
		go func() {
			_, err := l.Append(Intent, Room{}, []byte("hangs"))
			first <- err
		}()
		eventually(t, "the write", func() bool { return l.writing.Load() != 0 })
		if s := l.Stats(); s.Next != 1 || l.Durable() != 0 || l.Err() != nil {
			t.Errorf("while a write has just begun to hang: %+v, %v", s, l.Err())
		}
		if _, err := l.Append(Checkpoint, Room{Class: Optional}, []byte("left out")); !errors.Is(err, ErrFailing) {
			t.Errorf("a checkpoint behind it: %v", err)
		}
		if _, err := l.Append(Intent, Room{}, []byte("refused")); !errors.Is(err, ErrFailing) || !errors.Is(l.Err(), ErrFailing) {
			t.Errorf("an intent behind it: %v, and Err: %v", err, l.Err())
		}
		if _, err := l.Append(Settle, Room{Class: Owed}, []byte("given back")); !errors.Is(err, ErrFailing) {
			t.Errorf("a settle behind it: %v", err)
		}
		disk.set(func(f *faults) { f.hangs = false })
		close(hold)
		must(t, <-first)
		eventually(t, "the end of it", func() bool { return l.Err() == nil })
	})
}

// hanging is a file whose writes may hang.
type hanging struct {
	File
	hold   chan struct{}
	faults *faults
}

func (f hanging) WriteAt(p []byte, off int64) (int, error) {
	f.faults.mu.Lock()
	hangs := f.faults.hangs
	f.faults.mu.Unlock()
	if hangs {
		<-f.hold
	}
	return f.File.WriteAt(p, off)
}

// What is kept in memory alone is not said to be written.
func TestWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk faults
		l := opened(t, t.TempDir(), disk.options())
		written, err := l.Append(Settle, Room{Class: Owed}, []byte("written"))
		must(t, err)
		disk.set(func(f *faults) { f.write = syscall.EIO })
		kept, err := l.Append(Settle, Room{Class: Owed}, []byte("kept"))
		must(t, err)
		must(t, l.Written(t.Context(), written))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := l.Written(ctx, kept); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an entry in memory: %v", err)
		}
		disk.set(func(f *faults) { f.write = nil })
		must(t, l.Written(t.Context(), kept))
	})
}

// A journal that is full of what is needed, or was larger once, can be opened: nobody could ship it otherwise.
func TestOpenAFullJournal(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, small())
	for range 60 {
		must(t, l.Await(t.Context(), appendOwed(t, l, make([]byte, 100<<10))))
	}
	must(t, l.Close())
	for _, from := range []uint64{1, 61} {
		o := Options{MaxSize: 4 << 20, From: from}
		l := opened(t, dir, o)
		sequence, err := l.Append(Settle, Room{Class: Owed}, []byte("owed"))
		must(t, err)
		must(t, l.Await(t.Context(), sequence))
		must(t, l.Close())
	}
	eventually(t, "the bound to hold", func() bool { return len(holding(t, dir)) < 50 })
}

func TestPruneAllThatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		o := small()
		o.Keep = time.Hour
		l := opened(t, dir, o)
		for range 60 {
			must(t, l.Await(t.Context(), appendOwed(t, l, make([]byte, 100<<10))))
		}
		l.Prune(61)
		time.Sleep(59 * time.Minute)
		l.Prune(61)
		if got := len(holding(t, dir)); got != 60 {
			t.Errorf("before the hour is over, %d entries are kept, want 60", got)
		}
		time.Sleep(time.Minute)
		l.Prune(61)
		if got := l.Stats().Segments; got > 3 {
			t.Errorf("when it is over, %d segments are kept, want the one in use and the spares", got)
		}
		must(t, l.Close())
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestWhoWaitsForADiskThatFailsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk faults
		dir := t.TempDir()
		l := opened(t, dir, disk.options())
		disk.set(func(f *faults) { f.sync = syscall.EIO })
		sequence, err := l.Append(Settle, Room{Class: Owed}, []byte("owed"))
		must(t, err)
		if err := l.Await(context.Background(), sequence); !errors.Is(err, ErrFailing) || !errors.Is(err, syscall.EIO) {
			t.Errorf("who waits is told %v", err)
		}
		if err := l.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("Close says %v", err)
		}
	})
}

func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk faults
		dir := t.TempDir()
		l := opened(t, dir, disk.options())
		disk.set(func(f *faults) { f.create = syscall.ENOSPC })
		const promise = 10 << 10
		begun := 0
		var err error
		for err == nil {
			if _, err = l.Append(Intent, Room{Promise: promise}, make([]byte, 1000)); err == nil {
				begun++
			}
		}
		if !errors.Is(err, ErrFull) || begun == 0 {
			t.Fatalf("%d were begun, then %v; want ErrFull", begun, err)
		}
		eventually(t, "why there is no room", func() bool { return errors.Is(l.Err(), syscall.ENOSPC) })
		disk.set(func(f *faults) { f.creates = 0 })
		for range 1000 {
			_, _ = l.Append(Intent, Room{Promise: promise}, make([]byte, 1000))
		}
		disk.set(func(f *faults) {
			if f.creates > 10 {
				t.Errorf("%d segments were tried for 1,000 refused entries", f.creates)
			}
		})
		if _, err := l.Append(Checkpoint, Room{Class: Optional}, make([]byte, 100<<10)); !errors.Is(err, ErrFull) {
			t.Errorf("a checkpoint takes what was promised: %v", err)
		}
		// All that has begun comes to its end, in the room that was promised.
		var last uint64
		for range begun {
			last, err = l.Append(Settle, Room{Class: Owed, Promise: -promise}, make([]byte, promise-framingSize))
			must(t, err)
		}
		must(t, l.Await(t.Context(), last))
		if promised := l.Stats().Promised; promised != 0 {
			t.Errorf("%d bytes are promised still", promised)
		}
		disk.set(func(f *faults) { f.create = nil })
		eventually(t, "room", func() bool { return l.Err() == nil })
		_, err = l.Append(Intent, Room{Promise: promise}, make([]byte, 1000))
		must(t, err)
		must(t, l.Close())
		if got := len(holding(t, dir)); got != 2*begun+1 {
			t.Errorf("%d entries are kept, want %d", got, 2*begun+1)
		}
	})
}

func TestTheBoundOfAllSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{MaxSize: 4 << 20, Keep: time.Hour}
		l := opened(t, t.TempDir(), o)
		fill := func() (n int) {
			for began := time.Now(); time.Since(began) < 10*time.Second; {
				sequence, err := l.Append(Intent, Room{}, make([]byte, 10<<10))
				if errors.Is(err, ErrFull) && l.Stats().Bytes+minSegment > o.MaxSize {
					return n
				}
				if err == nil {
					n++
					must(t, l.Await(t.Context(), sequence))
				}
			}
			t.Fatal("the bound is never met")
			return n
		}
		n := fill()
		if bytes := l.Stats().Bytes; n < 200 || bytes > o.MaxSize {
			t.Errorf("%d entries were taken in %d bytes", n, bytes)
		}
		eventually(t, "the reason", func() bool { err := l.Err(); return err != nil && strings.Contains(err.Error(), "usage.max_journal") })
		if got := l.Err().Error(); got != "the journal is full: its 4 MiB (usage.max_journal) are in use: what is in it is not in the ledger yet, or belongs to open requests" {
			t.Errorf("the reason is %q", got)
		}
		// What nobody needs any more makes room, although its hour is not over.
		l.Prune(l.Stats().Next)
		eventually(t, "room", func() bool { return l.Err() == nil })
	})
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	o := small()
	l := opened(t, dir, o)
	for range 35 {
		must(t, l.Await(t.Context(), appendOwed(t, l, make([]byte, 100<<10))))
	}
	l.Prune(15)
	entries := holding(t, dir)
	if len(entries) >= 35 || len(entries) < 21 {
		t.Errorf("%d entries are kept of 35 of which 15 to 35 are needed, about ten to a segment", len(entries))
	}
}

func TestReadTails(t *testing.T) {
	l := opened(t, t.TempDir(), small())
	r := l.Read(1)
	defer r.Close()
	payload := make([]byte, 90<<10)
	for i := range uint64(40) {
		must(t, l.Await(t.Context(), appendOwed(t, l, payload)))
		e, err := r.Next()
		must(t, err)
		if e.Sequence != i+1 {
			t.Fatalf("entry %d is read after %d", e.Sequence, i)
		}
	}
}

// A predecessor's failed fsync: the kernel may have forgotten what it holds of the file,
// and says yes to the next fsync.
func TestWhatNobodyKnowsToBeSafeIsWrittenAgain(t *testing.T) {
	var disk faults
	dir := t.TempDir()
	l := opened(t, dir, disk.options())
	safe, err := l.Append(Settle, Room{Class: Owed}, []byte("safe"))
	must(t, err)
	must(t, l.Await(t.Context(), safe))
	disk.set(func(f *faults) { f.sync = syscall.EIO })
	_, err = l.Append(Settle, Room{Class: Owed}, []byte("written"))
	must(t, err)
	killed := t.TempDir()
	must(t, os.CopyFS(killed, os.DirFS(dir)))
	before, err := filepath.Glob(filepath.Join(killed, "*.segment"))
	must(t, err)

	l = opened(t, killed, small())
	if got := l.Durable(); got != 2 {
		t.Errorf("%d entries are durable after the start, want 2", got)
	}
	// With the power, what was never on the disk of the former files is gone.
	file, err := os.OpenFile(before[0], os.O_RDWR, 0)
	must(t, err)
	_, err = file.WriteAt(make([]byte, 4096), headerSize+frameSize(len("safe")))
	must(t, errors.Join(err, file.Close()))
	wantEntries(t, holding(t, killed), "1 settle safe", "2 settle written")
}

// A folder that is removed takes nothing any more, although its files would.
func TestAFolderThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "journal")
		l := opened(t, dir, small())
		_, err := l.Append(Intent, Room{}, []byte("begun"))
		must(t, err)
		must(t, os.RemoveAll(dir))
		eventually(t, "the loss to be noticed", func() bool { return l.Err() != nil })
		if got := l.Err().Error(); got != "the disk of the journal fails: its folder was removed or replaced while it was in use: put it back, if you can, and start again" {
			t.Errorf("Err is %q", got)
		}
		must(t, os.MkdirAll(dir, 0o700)) // an empty one is not the one
		if _, err := l.Append(Intent, Room{}, []byte("refused")); !errors.Is(err, ErrFailing) {
			t.Errorf("an intent: %v", err)
		}
		sequence, err := l.Append(Settle, Room{Class: Owed}, []byte("owed"))
		must(t, err)
		if err := l.Await(t.Context(), sequence); !errors.Is(err, ErrFailing) {
			t.Errorf("a settle: %v", err)
		}
	})
}

// A folder that goes while a failed fsync is mended is missed, too.
func TestAFolderThatGoesMeanwhile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	var disk faults
	l := opened(t, dir, disk.options())
	disk.set(func(f *faults) {
		f.sync = syscall.EIO
		f.writing = func(off int64, size int) {
			if off == 0 && size == headerSize && f.sync != nil {
				f.sync = nil
				must(t, os.Rename(dir, dir+".away"))
				l.lookAfterFolder()
			}
		}
	})
	sequence, err := l.Append(Settle, Room{Class: Owed}, []byte("owed"))
	must(t, err)
	if err := l.Await(t.Context(), sequence); !errors.Is(err, ErrFailing) {
		t.Errorf("a settle: %v", err)
	}
	if err := l.Err(); !errors.Is(err, errFolder) {
		t.Errorf("Err is %v", err)
	}
}
