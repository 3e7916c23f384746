package scan

import (
	"slices"
	"unicode/utf8"
)

// Edit is one change to a top-level member.
type Edit struct {
	// Member is the member's index in Document.Members.
	Member int
	// Value is the member's new raw JSON value; nil removes the member and one comma.
	Value []byte
	// Key is the member's new raw name, quotes included; nil keeps the old one.
	Key []byte
}

// Splice is one change inside a value: the bytes of the span give way to others.
type Splice struct {
	Span  Span
	Value []byte
}

// Revision is all that is changed of a body.
type Revision struct {
	// Edits change members. They may come in any order; of two for one member the first counts.
	Edits []Edit
	// Splices change values inside of members that have no edit, in the order of the body; they do not overlap.
	Splices []Splice
	// Appended are whole raw members for the end of the object, such as `"stream_options":{"include_usage":true}`.
	Appended [][]byte
}

// Rewrite appends the body to dst with the edits made and the appended members,
// each a whole raw member such as `"stream_options":{"include_usage":true}`, at
// the end of the object. Every other byte is copied as it stands. The edits may
// come in any order; of two for one member the first counts. The caller answers
// for the new bytes being valid JSON and the appended names being new.
func (d *Document) Rewrite(dst []byte, edits []Edit, appended ...[]byte) []byte {
	if len(d.Members) == 0 {
		return append(dst, d.Body...)
	}
	dst = slices.Grow(dst, d.grown(edits, appended))
	// The white space before the first member and after the last stays in
	// place; the comma and white space between two members go with the second.
	dst = append(dst, d.Body[:d.Members[0].Key.Start]...)
	kept := 0
	for i, m := range d.Members {
		value, edited := editOf(edits, i)
		if edited && value == nil {
			continue
		}
		if kept > 0 {
			dst = append(dst, d.Body[d.Members[i-1].Value.End:m.Key.Start]...)
		}
		kept++
		if !edited {
			dst = append(dst, d.Body[m.Key.Start:m.Value.End]...)
			continue
		}
		dst = append(dst, d.Body[m.Key.Start:m.Value.Start]...)
		dst = append(dst, value...)
	}
	for _, member := range appended {
		if kept > 0 {
			dst = append(dst, ',')
		}
		kept++
		dst = append(dst, member...)
	}
	return append(dst, d.Body[d.Members[len(d.Members)-1].Value.End:]...)
}

// grown bounds the length of the rewritten body from above.
func (d *Document) grown(edits []Edit, appended [][]byte) int {
	n := len(d.Body)
	for _, e := range edits {
		n += len(e.Value)
	}
	for _, member := range appended {
		n += len(member) + 1
	}
	return n
}

func editOf(edits []Edit, member int) (value []byte, edited bool) {
	for _, e := range edits {
		if e.Member == member {
			return e.Value, true
		}
	}
	return nil, false
}

// AppendString appends s as a JSON string, quotes included. Bytes that are not
// UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xF])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
