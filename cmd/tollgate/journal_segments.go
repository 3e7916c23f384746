package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"tollgate/size"
	"tollgate/usage/journal"
)

// segmentView is a segment as it is printed.
type segmentView struct {
	Number uint64 `json:"number"`
	State  string `json:"state"`
	// First and Last are the sequences of its entries that count; 0: none does.
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Entries int    `json:"entries"`
	Size    int64  `json:"size_bytes"`
}

func segmentViews(segments []journal.Segment) []segmentView {
	views := make([]segmentView, len(segments))
	for i, s := range segments {
		views[i] = segmentView{Number: s.Number, State: s.State.String(), First: s.First, Last: s.Last, Entries: s.Entries, Size: s.Size}
	}
	return views
}

func segmentRows(w io.Writer, segments []segmentView) {
	row(w, "NUMBER", "STATE", "FIRST", "LAST", "ENTRIES", "SIZE")
	for _, s := range segments {
		row(w, s.Number, s.State, orNone(s.First), orNone(s.Last), s.Entries, inBytes(s.Size))
	}
}

// inBytes is a size with its unit, exactly.
func inBytes(n int64) string {
	text := size.Bytes(n).String()
	if strings.HasSuffix(text, "B") {
		return text
	}
	return text + "B"
}

// orNone is a sequence; 0: there is none.
func orNone(sequence uint64) any {
	if sequence == 0 {
		return ""
	}
	return sequence
}

// damageView is a damage as it is printed.
type damageView struct {
	Segment string `json:"segment"` // the name of its file
	// Offset is the byte in it where reading failed; 0: its header.
	Offset int64 `json:"offset"`
	// Sequence is the first entry that is missing, and Lost how many are.
	Sequence uint64 `json:"sequence"`
	Lost     uint64 `json:"lost"`
}

func damageViews(damages []journal.Damage) []damageView {
	views := make([]damageView, len(damages))
	for i, d := range damages {
		views[i] = damageView{Segment: filepath.Base(d.Path), Offset: d.Offset, Sequence: d.Sequence, Lost: d.Lost}
	}
	return views
}

func damageRows(w io.Writer, damages []damageView) {
	row(w, "DAMAGED SEGMENT", "AT BYTE", "ENTRIES LOST")
	for _, d := range damages {
		row(w, printable(d.Segment), d.Offset, d.lost())
	}
}

func (d damageView) lost() string {
	switch d.Lost {
	case 0:
		return "none"
	case 1:
		return fmt.Sprintf("1: %d", d.Sequence)
	}
	return fmt.Sprintf("%d: %d to %d", d.Lost, d.Sequence, d.Sequence+d.Lost-1)
}
