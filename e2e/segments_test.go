package e2e

import (
	"bytes"
	endian "encoding/binary" // binary is the gateway here
	"encoding/json"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// written is an entry of a journal, as a reader finds it that the product had no part in.
type written struct {
	sequence uint64
	record
}

// The layout of a segment: a header, and entries of 25 bytes and a payload each.
const (
	segmentHeader = 32
	entryHeader   = 25
)

// readJournal returns what stands in the journal of a data folder, in order. What a
// segment holds from the base of a later one on does not count.
func readJournal(t *testing.T, dataDir string) []written {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dataDir, "journal", "*.segment"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths) // their names are numbers of one length
	var segments [][]byte
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) >= segmentHeader && bytes.HasPrefix(raw, []byte("tollgate")) {
			segments = append(segments, raw)
		}
	}
	var all []written
	end := uint64(math.MaxUint64)
	for _, raw := range slices.Backward(segments) {
		all = append(readSegment(t, raw, end), all...)
		end = min(end, endian.LittleEndian.Uint64(raw[24:]))
	}
	return all
}

// readSegment returns the entries of a segment before this sequence, up to the first that is none.
func readSegment(t *testing.T, raw []byte, end uint64) (found []written) {
	t.Helper()
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for raw = raw[segmentHeader:]; len(raw) >= entryHeader; {
		size := entryHeader + int64(endian.LittleEndian.Uint32(raw[4:]))
		if size > int64(len(raw)) || crc32.Checksum(raw[4:size], castagnoli) != endian.LittleEndian.Uint32(raw) {
			break
		}
		w := written{sequence: endian.LittleEndian.Uint64(raw[8:])}
		if w.sequence >= end {
			break
		}
		if err := json.Unmarshal(raw[entryHeader:size], &w.record); err != nil {
			t.Errorf("entry %d of the journal is no record: %v", w.sequence, err)
		}
		found = append(found, w)
		raw = raw[size:]
	}
	return found
}
