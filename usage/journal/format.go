package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"
)

// Kind says what an entry is about. What is in it is its writer's business.
type Kind uint8

// The kinds of entries.
const (
	// Void stands for entries that were lost; only Repair writes it.
	Void Kind = iota
	Intent
	Attempt
	Checkpoint
	Settle
	Adjust
	kindCount
)

// String returns the kind's name.
func (k Kind) String() string {
	if k >= kindCount {
		return "unknown"
	}
	return [kindCount]string{"void", "intent", "attempt", "checkpoint", "settle", "adjust"}[k]
}

// Entry is one line of the journal.
type Entry struct {
	// Sequence counts entries from 1, without a gap; those of a Void count as many as it stands for.
	Sequence uint64
	Kind     Kind
	// Payload belongs to whoever gave the entry, and is overwritten when the next one is read.
	Payload []byte
}

// A segment begins with a header, and entries follow each other from its end on:
//
//	header   magic (8) | version (4) | crc (4) | number (8) | base (8)
//	entry    crc (4) | length of the payload (4) | sequence (8) | durable (8) | kind (1) | payload
//
// All numbers are little-endian. A crc is the CRC-32C (Castagnoli, RFC 3720) of the
// other fields. Base is the sequence of the segment's first entry: where a segment is
// followed by another, of a higher number, what it holds from that one's base on does
// not count. Durable is the highest sequence known to be fsynced when the entry was
// written. Behind the last entry there are zeros.
const (
	magic       = "tollgate"
	version     = 1
	headerSize  = 32
	framingSize = 25
	// MaxPayload is the longest payload of an entry, in bytes.
	MaxPayload = 128 << 10
)

// frameSize is what an entry takes in a segment.
func frameSize(payload int) int64 { return framingSize + int64(payload) }

// header is the head of a segment.
type header struct {
	number uint64
	base   uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // a table that is never written to

// encode is the header as it stands in the file.
func (h header) encode() []byte {
	dst := append(make([]byte, 0, headerSize), magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.number)
	dst = binary.LittleEndian.AppendUint64(dst, h.base)
	binary.LittleEndian.PutUint32(dst[12:], headerSum(dst))
	return dst
}

func headerSum(raw []byte) uint32 {
	return crc32.Update(crc32.Checksum(raw[:12], castagnoli), castagnoli, raw[16:headerSize])
}

// The reasons why a header cannot be read.
var (
	// errBlank says that a segment was never begun.
	errBlank = errors.New("the segment is blank")
	// errHeader says that a header is damaged.
	errHeader = errors.New("the header of the segment is damaged")
)

func readHeader(raw []byte) (header, error) {
	if len(raw) < headerSize || string(raw[:headerSize]) == strings.Repeat("\x00", headerSize) {
		return header{}, errBlank
	}
	if string(raw[:len(magic)]) != magic || headerSum(raw) != binary.LittleEndian.Uint32(raw[12:]) {
		return header{}, errHeader
	}
	if v := binary.LittleEndian.Uint32(raw[8:]); v != version {
		return header{}, fmt.Errorf("the segment has format %d, and only %d is known: use the Tollgate that wrote it, or a newer one", v, version)
	}
	h := header{number: binary.LittleEndian.Uint64(raw[16:]), base: binary.LittleEndian.Uint64(raw[24:])}
	if h.base == 0 || h.base == forever {
		return header{}, errHeader
	}
	return h, nil
}

// frame is an entry with how far the journal was durable when it was written.
type frame struct {
	Entry
	durable uint64
}

func (f frame) append(dst []byte) []byte {
	begin := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.Payload))) //nolint:gosec // at most MaxPayload
	dst = binary.LittleEndian.AppendUint64(dst, f.Sequence)
	dst = binary.LittleEndian.AppendUint64(dst, f.durable)
	dst = append(append(dst, byte(f.Kind)), f.Payload...)
	binary.LittleEndian.PutUint32(dst[begin:], crc32.Checksum(dst[begin+4:], castagnoli))
	return dst
}

// readFrame reads the entry that raw begins with; ok is false where there is none.
// Its payload is a part of raw.
func readFrame(raw []byte) (f frame, ok bool) {
	if len(raw) < framingSize {
		return f, false
	}
	length := binary.LittleEndian.Uint32(raw[4:])
	if length > MaxPayload || int64(len(raw)) < frameSize(int(length)) {
		return f, false
	}
	raw = raw[:frameSize(int(length))]
	if crc32.Checksum(raw[4:], castagnoli) != binary.LittleEndian.Uint32(raw) {
		return f, false
	}
	f.Sequence, f.durable = binary.LittleEndian.Uint64(raw[8:]), binary.LittleEndian.Uint64(raw[16:])
	f.Kind, f.Payload = Kind(raw[24]), raw[framingSize:]
	return f, f.Sequence > 0 && f.durable < f.Sequence
}

// lost is how many sequences a Void stands for, its own among them.
func lost(payload []byte) uint64 {
	if len(payload) < 8 {
		return 1
	}
	return max(1, binary.LittleEndian.Uint64(payload))
}

// next is the sequence of the entry that follows.
func (e Entry) next() uint64 {
	if e.Kind == Void {
		return e.Sequence + lost(e.Payload)
	}
	return e.Sequence + 1
}

// A segment is called by its number: 0000000000000042.segment. One that is not yet
// filled with zeros is called .new.
const (
	segmentSuffix = ".segment"
	newSuffix     = ".new"
)

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", number, segmentSuffix))
}

// segmentNumber reads the name of a segment.
func segmentNumber(name string) (number uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil
}
