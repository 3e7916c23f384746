package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// mains is what all files of a machine hang on. Until a file is synced, its writes stand
// in memory; when the power goes, some of the sectors are on the disk and some are not,
// in no order, and nothing is taken any more.
type mains struct {
	mu     sync.Mutex
	random *rand.Rand
	left   int // operations until the power goes
	off    bool
	moody  bool // an fsync fails now and then
	files  []*lossy
}

var (
	errPowerOff  = errors.New("the power is off")
	errNotSynced = errors.New("input/output error")
)

// lossy is a file on such a machine.
type lossy struct {
	mains    *mains
	disk     *os.File
	unsynced map[int64][]byte // sectors by their places
}

const sector = 512

func (m *mains) options() Options {
	o := Options{MaxSize: 64 << 20, Keep: time.Hour}
	o.Create = func(path string) (File, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.off {
			return nil, errPowerOff
		}
		disk, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		f := &lossy{mains: m, disk: disk, unsynced: map[int64][]byte{}}
		m.files = append(m.files, f)
		return f, err
	}
	return o
}

// pass counts an operation, and reports whether there is power for it.
func (m *mains) pass() bool {
	if m.left--; m.left == 0 {
		m.fail()
	}
	return !m.off
}

// size is one of a payload.
func (m *mains) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.random.IntN(3000)
}

// cut is the power that goes now, if it is still there.
func (m *mains) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.off {
		m.fail()
	}
}

// fail leaves of every file what happens to be on the disk.
func (m *mains) fail() {
	m.off = true
	for _, f := range m.files {
		f.keep(m.random.Float64())
		_ = f.disk.Close()
	}
}

func (f *lossy) WriteAt(p []byte, off int64) (int, error) {
	f.mains.mu.Lock()
	defer f.mains.mu.Unlock()
	if !f.mains.pass() {
		return 0, errPowerOff
	}
	for n := 0; n < len(p); {
		at := (off + int64(n)) / sector * sector
		data := f.unsynced[at]
		if data == nil {
			data = make([]byte, sector)
			if _, err := f.disk.ReadAt(data, at); err != nil && !errors.Is(err, io.EOF) {
				return n, err
			}
			f.unsynced[at] = data
		}
		n += copy(data[off+int64(n)-at:], p[n:])
	}
	return len(p), nil
}

func (f *lossy) Sync() error {
	f.mains.mu.Lock()
	defer f.mains.mu.Unlock()
	if !f.mains.pass() {
		return errPowerOff
	}
	if f.mains.moody && f.mains.random.IntN(8) == 0 {
		f.keep(0.5)
		return errNotSynced
	}
	f.keep(1)
	return nil
}

// keep puts a share of what is in memory on the disk. The rest is forgotten: the next
// fsync knows nothing of it.
func (f *lossy) keep(share float64) {
	for _, at := range slices.Sorted(maps.Keys(f.unsynced)) {
		if f.mains.random.Float64() < share {
			_, _ = f.disk.WriteAt(f.unsynced[at], at)
		}
	}
	clear(f.unsynced)
}

func (f *lossy) Close() error { return nil }

func TestNoAcknowledgedEntryIsLostWithThePower(t *testing.T) {
	rounds := 25
	if os.Getenv("TOLLGATE_PROVE") != "" {
		rounds = 2000
	}
	acknowledged := map[uint64]string{}
	lost, dir := 0, t.TempDir()
	for round := range rounds {
		if round%20 == 0 {
			dir, acknowledged = t.TempDir(), map[uint64]string{}
		}
		random := rand.New(rand.NewPCG(uint64(round), 42))
		m := &mains{random: random, left: 20 + random.IntN(600), moody: round%4 == 3}
		if round%3 == 2 {
			m.left = 1 + random.IntN(12) // it goes again while the journal is being opened
		}
		appended := runUntilPowerOff(t, dir, m, acknowledged)
		found := map[uint64]string{}
		result, err := survey(dir, 0, func(e Entry) error {
			found[e.Sequence] = string(e.Payload)
			return nil
		})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for sequence, payload := range acknowledged {
			if found[sequence] != payload {
				t.Fatalf("round %d: entry %d was acknowledged as %.20q and is %.20q", round, sequence, payload, found[sequence])
			}
		}
		lost += max(0, int(appended)-int(result.last))
	}
	if lost == 0 {
		t.Error("no round has lost anything: the power never went in the middle")
	}
	t.Logf("%d rounds, %d entries that nobody was promised were lost", rounds, lost)
}

// runUntilPowerOff appends until nothing is taken any more, and notes what was
// acknowledged. It returns the last sequence that was given.
func runUntilPowerOff(t *testing.T, dir string, m *mains, acknowledged map[uint64]string) (last uint64) {
	t.Helper()
	l, err := Open(dir, m.options())
	if errors.Is(err, errPowerOff) || errors.Is(err, errNotSynced) {
		m.cut()
		return 0
	}
	must(t, err)
	var (
		mu      sync.Mutex
		writers sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(context.Background())
	var sizes [6]int
	for w := range sizes {
		sizes[w] = m.size()
	}
	sizes[0] *= 20
	for w, size := range sizes {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				payload := fmt.Sprintf("%d/%d %0*d", w, i, size, 0)
				sequence, err := l.Append(Settle, Room{Class: Owed}, []byte(payload))
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				mu.Lock()
				last = max(last, sequence)
				mu.Unlock()
				if i%3 != 0 && l.Await(ctx, sequence) == nil {
					mu.Lock()
					acknowledged[sequence] = payload
					mu.Unlock()
				}
			}
		})
	}
	for off := false; !off; time.Sleep(time.Millisecond) {
		m.mu.Lock()
		off = m.off
		m.mu.Unlock()
	}
	cancel()
	writers.Wait()
	_ = l.Close() // of a machine without power
	return last
}
