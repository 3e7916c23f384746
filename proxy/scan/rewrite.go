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
	dst = slices.Grow(dst, d.grown(r))
	// The white space before the first member and after the last stays in
	// place; the comma and white space between two members go with the second.
	dst = append(dst, d.Body[:d.Members[0].Key.Start]...)
	kept, splices := 0, r.Splices
	for i, m := range d.Members {
		edit, edited := r.edit(i)
		if edited && edit.Value == nil && edit.Key == nil {
			continue
		}
		if kept > 0 {
			dst = append(dst, d.Body[d.Members[i-1].Value.End:m.Key.Start]...)
		}
		kept++
		if edited {
			dst = d.appendEdited(dst, m, edit)
			continue
		}
		dst = append(dst, d.Body[m.Key.Start:m.Value.Start]...)
		dst, splices = d.appendSpliced(dst, m.Value, splices)
	}
	for _, member := range r.Appended {
		if kept > 0 {
			dst = append(dst, ',')
		}
		kept++
		dst = append(dst, member...)
	}
	return append(dst, d.Body[d.Members[len(d.Members)-1].Value.End:]...)
}

// grown bounds the length of the rewritten body from above.
func (d *Document) grown(r Revision) int {
	n := len(d.Body)
	for _, e := range r.Edits {
		n += len(e.Key) + len(e.Value)
	}
	for _, s := range r.Splices {
		n += len(s.Value)
	}
	for _, member := range r.Appended {
		n += len(member) + 1
	}
	return n
}

func (r *Revision) edit(member int) (edit Edit, edited bool) {
	for _, e := range r.Edits {
		if e.Member == member {
			return e, true
		}
	}
	return Edit{}, false
}

func (d *Document) appendEdited(dst []byte, m Member, edit Edit) []byte {
	key, value := edit.Key, edit.Value
	if key == nil {
		key = d.slice(m.Key)
	}
	if value == nil {
		value = d.Raw(m)
	}
	dst = append(dst, key...)
	dst = append(dst, d.Body[m.Key.End:m.Value.Start]...)
	return append(dst, value...)
}

// appendSpliced appends a value with the splices that lie in it, and returns
// those behind it. Splices before it, in a member that was edited, are passed over.
func (d *Document) appendSpliced(dst []byte, value Span, splices []Splice) ([]byte, []Splice) {
	at := value.Start
	for len(splices) > 0 && splices[0].Span.Start < value.End {
		if s := splices[0]; s.Span.Start >= at {
			dst = append(dst, d.Body[at:s.Span.Start]...)
			dst = append(dst, s.Value...)
			at = s.Span.End
		}
		splices = splices[1:]
	}
	return append(dst, d.Body[at:value.End]...), splices
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
