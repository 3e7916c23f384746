package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

const (
	// longestFrame is what the longest entry takes, in bytes.
	longestFrame = framingSize + MaxPayload
	// windowSize is how much of a file is in memory at once, however long the file is.
	windowSize = 256<<10 + longestFrame
)

// window is a file seen through a buffer.
type window struct {
	file   io.ReaderAt
	buffer []byte
	begin  int64  // where in the file the bytes begin
	bytes  []byte // what was read; a part of buffer
	ended  bool   // the file ended behind them
}

// look turns the window to another file.
func (w *window) look(file io.ReaderAt) {
	w.file, w.begin, w.bytes, w.ended = file, 0, nil, false
}

// at returns what the file holds from offset on: enough for an entry of any length,
// unless the file ends before. It holds until the next call.
func (w *window) at(offset int64) ([]byte, error) {
	have := w.begin + int64(len(w.bytes)) - offset
	if offset >= w.begin && (have >= longestFrame || w.ended) {
		return w.bytes[min(offset-w.begin, int64(len(w.bytes))):], nil
	}
	return w.reread(offset)
}

// reread is at, from the file and never from what is in memory.
func (w *window) reread(offset int64) ([]byte, error) {
	if w.buffer == nil {
		w.buffer = make([]byte, windowSize)
	}
	n, err := w.file.ReadAt(w.buffer, offset)
	w.begin, w.bytes, w.ended = offset, w.buffer[:n], errors.Is(err, io.EOF)
	if err != nil && !w.ended {
		w.bytes = nil
		return nil, err
	}
	return w.bytes, nil
}

// frame reads the entry at offset; ok is false where there is none.
func (w *window) frame(offset int64) (f frame, ok bool, err error) {
	raw, err := w.at(offset)
	if err != nil {
		return frame{}, false, err
	}
	f, ok = wholeFrame(raw)
	return f, ok, nil
}

// wholeFrame reads the entry that raw begins with, and refuses one behind which no other could follow.
func wholeFrame(raw []byte) (f frame, ok bool) {
	f, ok = readFrame(raw)
	return f, ok && f.next() > f.Sequence
}

// find looks, byte by byte from offset on, for the first entry of a sequence not below
// least that is accepted, and says where it is. Payloads cannot hide one: they are
// JSON, and an entry has zero bytes in its length and sequence.
func (w *window) find(offset int64, least uint64, accept func(frame) bool) (at int64, f frame, ok bool, err error) {
	for {
		raw, err := w.at(offset)
		if err != nil || len(raw) < framingSize {
			return 0, frame{}, false, err
		}
		places := len(raw) - framingSize + 1
		if !w.ended {
			places = len(raw) - longestFrame + 1
		}
		if i, f, ok := findIn(raw, places, max(least, 1), accept); ok {
			return offset + int64(i), f, true, nil
		}
		offset += int64(places)
	}
}

// findIn tries the first places of raw. Most are ruled out by their sequence or
// length, so that a CRC is rarely computed, and zeros are passed by eight at a time.
func findIn(raw []byte, places int, least uint64, accept func(frame) bool) (at int, f frame, ok bool) {
	for i := 0; i < places; i++ {
		sequence := binary.LittleEndian.Uint64(raw[i+8:])
		if sequence == 0 && binary.LittleEndian.Uint64(raw[i+16:]) == 0 {
			i += 7 // the sequences at the next seven places are 0, too
			continue
		}
		if sequence < least || binary.LittleEndian.Uint32(raw[i+4:]) > MaxPayload {
			continue
		}
		if f, ok := wholeFrame(raw[i:]); ok && accept(f) {
			return i, f, true
		}
	}
	return 0, frame{}, false
}

// extent is how many bytes there are from offset on until only zeros follow.
func (w *window) extent(offset int64) (int64, error) {
	extent := int64(0)
	for at := offset; ; at += int64(len(w.bytes)) {
		raw, err := w.reread(at)
		if err != nil {
			return 0, err
		}
		if used := bytes.TrimRight(raw, "\x00"); len(used) > 0 {
			extent = at - offset + int64(len(used))
		}
		if w.ended {
			return extent, nil
		}
	}
}
