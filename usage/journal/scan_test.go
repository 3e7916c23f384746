package journal

import (
	"bytes"
	"testing"
)

// longFrames are frames whose payloads do not fit evenly into a window.
func longFrames(count int) (frames []frame) {
	for i := range count {
		frames = append(frames, frame{Entry: Entry{Sequence: uint64(i + 1), Kind: Adjust, Payload: bytes.Repeat([]byte{byte(i)}, MaxPayload-i*97)}})
	}
	return frames
}

func TestWindowReadsEntriesOfAnyLength(t *testing.T) {
	frames := longFrames(100)
	var raw []byte
	for _, f := range frames {
		raw = f.append(raw)
	}
	var w window
	w.look(bytes.NewReader(raw))
	at := int64(0)
	for _, want := range frames {
		got, ok, err := w.frame(at)
		if !ok || err != nil || got.Sequence != want.Sequence || !bytes.Equal(got.Payload, want.Payload) {
			t.Fatalf("at %d: entry %d, %v, %v; want entry %d", at, got.Sequence, ok, err, want.Sequence)
		}
		at += frameSize(len(got.Payload))
	}
	if len(w.buffer) > windowSize {
		t.Errorf("a buffer of %d bytes", len(w.buffer))
	}
	found, f, ok, err := w.find(1, 19, func(frame) bool { return true })
	if want := offsetOf(frames, 19) - headerSize; !ok || err != nil || found != want || f.Sequence != 19 {
		t.Errorf("found entry %d at %d, %v, %v; want 19 at %d", f.Sequence, found, ok, err, want)
	}
}

func TestExtent(t *testing.T) {
	raw := make([]byte, 3*windowSize)
	raw[2*windowSize+5] = 1
	var w window
	w.look(bytes.NewReader(raw))
	for from, want := range map[int64]int64{0: 2*windowSize + 6, 100: 2*windowSize - 94, 2*windowSize + 5: 1, 2*windowSize + 6: 0, 4 * windowSize: 0} {
		if got, err := w.extent(from); got != want || err != nil {
			t.Errorf("from %d: %d, %v; want %d", from, got, err, want)
		}
	}
}

func BenchmarkFindNothing(b *testing.B) {
	raw := make([]byte, 8<<20)
	for i := range raw[:4<<20] {
		raw[i] = byte('a' + i*31%26)
	}
	b.SetBytes(int64(len(raw)))
	var w window
	for b.Loop() {
		w.look(bytes.NewReader(raw))
		if _, _, ok, err := w.find(0, 1000, func(frame) bool { return true }); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
