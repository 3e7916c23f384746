package scan

import (
	"slices"
	"unicode/utf8"
)

// Edit is one change to a top-level member.
type Edit struct {
	// Member is the member's index in Document.Members.
	Member int
	// Value is the member's new raw JSON value; nil keeps the old one under a
	// new Key, and without a Key removes the member and one comma.
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

// Rewrite appends the revised body to dst. Every byte that the revision does not
// name is copied as it stands. The caller answers for the new bytes being valid
// JSON and for new names being new.
func (d *Document) Rewrite(dst []byte, r Revision) []byte {
	if len(d.Members) == 0 {
		return append(dst, d.Body...)
	}
	w := writer{dst: slices.Grow(dst, d.grown(&r)), body: d.Body}
	// The white space before the first member and after the last stays in
	// place; the comma and white space between two members go with the second.
	kept, end := 0, d.Members[0].Key.Start
	for i := range d.Members {
		m, edit := &d.Members[i], r.edit(i)
		if edit.removes() {
			w.replace(Span{end, m.Value.End}, nil)
		} else {
			if kept == 0 {
				w.replace(Span{end, m.Key.Start}, nil)
			}
			kept++
			w.member(m, edit, r.Splices)
		}
		end = m.Value.End
		for len(r.Splices) > 0 && r.Splices[0].Span.Start < end {
			r.Splices = r.Splices[1:]
		}
	}
	w.replace(Span{end, end}, nil)
	for _, member := range r.Appended {
		if kept > 0 {
			w.dst = append(w.dst, ',')
		}
		kept++
		w.dst = append(w.dst, member...)
	}
	return append(w.dst, d.Body[end:]...)
}

// writer copies a body in as few runs as its changes leave.
type writer struct {
	dst  []byte
	body []byte
	at   int // the bytes before are copied or replaced
}

func (w *writer) replace(s Span, value []byte) {
	w.dst = append(w.dst, w.body[w.at:s.Start]...)
	w.dst = append(w.dst, value...)
	w.at = s.End
}

// member writes the changes of one member; the splices may go on behind it.
func (w *writer) member(m *Member, edit *Edit, splices []Splice) {
	if edit == nil {
		for i := 0; i < len(splices) && splices[i].Span.Start < m.Value.End; i++ {
			w.replace(splices[i].Span, splices[i].Value)
		}
		return
	}
	if edit.Key != nil {
		w.replace(m.Key, edit.Key)
	}
	if edit.Value != nil {
		w.replace(m.Value, edit.Value)
	}
}

// grown bounds the length of the rewritten body from above.
func (d *Document) grown(r *Revision) int {
	n := len(d.Body)
	for i := range r.Edits {
		n += len(r.Edits[i].Key) + len(r.Edits[i].Value)
	}
	for i := range r.Splices {
		n += len(r.Splices[i].Value)
	}
	for _, member := range r.Appended {
		n += len(member) + 1
	}
	return n
}

// edit finds the edit of a member, nil when there is none.
func (r *Revision) edit(member int) *Edit {
	for i := range r.Edits {
		if r.Edits[i].Member == member {
			return &r.Edits[i]
		}
	}
	return nil
}

func (e *Edit) removes() bool { return e != nil && e.Key == nil && e.Value == nil }

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
