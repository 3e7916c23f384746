package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// spot is where an entry that counts stands.
type spot struct {
	number uint64
	at     int64
	raw    []byte
}

// disk is a segment of a history: what was written, and what of it has been synced.
type disk struct {
	number, base uint64
	raw, synced  []byte
	failed       bool // its fsync has failed: what was not synced will never be
}

// history is a journal as a Log may have left it, after failed fsyncs and lost power, with the truth about it.
type history struct {
	t        *rapid.T
	random   *rand.Rand
	disks    []*disk
	spots    map[uint64]spot
	written  map[uint64]map[string]bool // every payload that was ever written for a sequence
	next     uint64
	durable  uint64
	position int64
	life     int
}

func newHistory(t *rapid.T) *history {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	h := &history{t: t, random: random, spots: map[uint64]spot{}, written: map[uint64]map[string]bool{}, next: 1}
	h.begin(1)
	h.sync() // as Open does before it returns
	return h
}

const smallSegment = 2048

func (h *history) begin(base uint64) {
	d := &disk{number: uint64(len(h.disks) + 1), base: base, raw: make([]byte, smallSegment), synced: make([]byte, smallSegment)}
	copy(d.raw, header{number: d.number, base: base}.encode())
	h.disks, h.position = append(h.disks, d), headerSize
}

func (h *history) put(sequence uint64, raw []byte) {
	if h.position+int64(len(raw)) > smallSegment {
		h.begin(sequence)
	}
	d := h.disks[len(h.disks)-1]
	copy(d.raw[h.position:], raw)
	h.spots[sequence] = spot{d.number, h.position, raw}
	h.position += int64(len(raw))
}

func (h *history) append() {
	payload := fmt.Appendf(nil, "entry %d of life %d %s", h.next, h.life, bytes.Repeat([]byte("x"), h.random.IntN(120)))
	if h.written[h.next] == nil {
		h.written[h.next] = map[string]bool{}
	}
	h.written[h.next][string(payload)] = true
	h.put(h.next, frame{Entry: Entry{Sequence: h.next, Kind: Settle, Payload: payload}, durable: h.durable}.append(nil))
	h.next++
}

func (h *history) sync() {
	for _, d := range h.disks {
		if !d.failed {
			copy(d.synced, d.raw)
		}
	}
	h.durable = h.next - 1
}

// failSync abandons the segment, and writes what is not durable once more.
func (h *history) failSync() {
	for _, d := range h.disks {
		d.failed = true
	}
	h.begin(h.durable + 1)
	for s := h.durable + 1; s < h.next; s++ {
		h.put(s, h.spots[s].raw)
	}
}

// loseUnsynced lets each sector be on the disk, or not.
func (h *history) loseUnsynced() {
	for _, d := range h.disks {
		for at := 0; at < smallSegment; at += 512 {
			if h.random.IntN(2) == 0 {
				copy(d.raw[at:at+512], d.synced[at:at+512])
			}
		}
		copy(d.synced, d.raw)
	}
}

// restart finds the end of the journal and goes on behind it, as Open does.
func (h *history) restart(dir string) {
	h.save(dir)
	found, err := survey(dir, 0, func(e Entry) error {
		if s := h.spots[e.Sequence]; !bytes.Equal(s.raw[framingSize:], e.Payload) {
			h.t.Fatalf("entry %d is %q", e.Sequence, e.Payload)
		}
		return nil
	})
	if err != nil {
		h.t.Fatalf("a torn end is an error: %v", err)
	}
	if found.last < h.durable || found.last >= h.next {
		h.t.Fatalf("the journal ends at %d, and is durable up to %d of %d", found.last, h.durable, h.next-1)
	}
	for s := found.last + 1; s < h.next; s++ {
		delete(h.spots, s)
	}
	h.next, h.life = found.last+1, h.life+1
	h.begin(h.next)
	h.sync()
}

func (h *history) save(dir string) {
	for _, d := range h.disks {
		if err := os.WriteFile(segmentPath(dir, d.number), d.raw, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
}

// live lets things happen.
func (h *history) live(dir string) {
	for range rapid.IntRange(0, 60).Draw(h.t, "steps") {
		switch h.random.IntN(16) {
		case 0:
			h.failSync()
		case 1:
			h.loseUnsynced()
			h.restart(dir)
		case 2:
			h.restart(dir)
		case 3, 4, 5:
			h.sync()
		default:
			h.append()
		}
	}
	h.save(dir)
}

// spoil damages the segments in a folder.
func spoil(t *rapid.T, dir string) {
	for range rapid.IntRange(0, 4).Draw(t, "damages") {
		names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
		if err != nil || len(names) == 0 {
			return
		}
		path := rapid.SampledFrom(names).Draw(t, "segment")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(raw)).Draw(t, "at")
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0:
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		case 1:
			raw = raw[:at]
		case 2:
			clear(raw[:min(headerSize, len(raw))])
		case 3:
			clear(raw[at:min(len(raw), at+rapid.IntRange(1, 700).Draw(t, "zeros"))])
		default:
			if at < len(raw) {
				raw[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			}
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// intact are the entries that count and can still be read where they stood, and claimed
// is how far those, and all others, say that the journal was durable.
func (h *history) intact(dir string) (entries map[uint64][]byte, claimed uint64) {
	entries = map[uint64][]byte{}
	for _, d := range h.disks {
		raw, err := os.ReadFile(segmentPath(dir, d.number))
		if err != nil {
			continue
		}
		for at := range raw {
			f, ok := readFrame(raw[at:])
			if !ok {
				continue
			}
			claimed = max(claimed, f.durable)
			if s := h.spots[f.Sequence]; s.number == d.number && s.at == int64(at) {
				entries[f.Sequence] = bytes.Clone(f.Payload)
			}
		}
	}
	return entries, claimed
}

// inEachFolder runs a property in a new folder each time.
func inEachFolder(t *testing.T, property func(t *rapid.T, dir string)) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		property(rt, dir)
	})
}
