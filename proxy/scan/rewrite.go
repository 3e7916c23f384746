package scan

// Edit is one change to a top-level member.
type Edit struct {
	// Member is the member's index in Document.Members.
	Member int
	// Value is the member's new raw JSON value; nil removes the member and one comma.
	Value []byte
}

// Rewrite appends the body to dst with the edits made and the appended members,
// each a whole raw member such as `"stream_options":{"include_usage":true}`, at
// the end of the object. Every other byte is copied as it stands. The edits may
// come in any order; of two for one member the first counts.
func (d *Document) Rewrite(dst []byte, edits []Edit, appended ...[]byte) []byte { return dst }

// AppendString appends s as a JSON string, quotes included. Bytes that are not
// UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte { return dst }
