package scan

import "bytes"

// Span is a half-open range of byte offsets into the body.
type Span struct{ Start, End int }

// Len is the number of bytes in the span.
func (s Span) Len() int { return s.End - s.Start }

// Member is one top-level member of the body.
type Member struct {
	// Name is the member's name, unescaped, at most MaxName bytes.
	Name string
	Kind Kind
	// Key is the name as it stands in the body, quotes included; Value is the whole value.
	Key, Value Span
	// Number is the value of a Number, the nearest one that a float64 can hold.
	Number float64
}

// Document is what the gateway reads from one request body. The zero value is
// ready for Parse; its slices are reused by the next Parse.
type Document struct {
	// Body is the slice that was parsed; the document does not copy it.
	Body []byte
	// Members are the top-level members in the order of the body, at most MaxMembers.
	Members []Member
	// Model is the public model name, 1 to MaxModel bytes.
	Model string
	// Stream is the member of the same name; false when absent or null.
	Stream bool
	// IncludeUsage is stream_options.include_usage, false when absent or null;
	// IncludeUsageAt is its whole value, the zero Span when absent.
	IncludeUsage   bool
	IncludeUsageAt Span
	// N is the number of choices asked for, 1 to MaxN; 1 when absent or null.
	N int64
	// MaxTokens is the larger of max_completion_tokens and max_tokens, 1 to 2^31-1; 0 when neither is named.
	MaxTokens int64
	// Stops is the number of stop strings, and FirstStop the first one as it stands in the body, quotes included.
	Stops     int
	FirstStop Span
	// ReasoningEffort is reasoning_effort; empty when absent or null, and when it
	// is not a word of 1 to 64 letters, digits, "_", "-" and ".". It is safe to show.
	ReasoningEffort string
	// Extensions are the members of extra_body.
	Extensions Extensions
	// OtherTools says that an element of tools or of a message's tool_calls, or
	// the object of tool_choice, has another type than "function", or none.
	OtherTools bool
	// EmptyContent says that a message's content is null, or absent beside tool_calls that are not empty.
	EmptyContent bool
	// NoContent says that a message has neither the member content nor tool_calls that are not empty.
	NoContent bool
	// ResponseFormat is response_format.type; empty when absent or null.
	ResponseFormat string
	// Texts are what a prompt estimate counts: the raw contents, without quotes
	// and still escaped, of every non-empty text in the messages, and the raw
	// tool_calls values beside them. They never hold base64.
	Texts []Span
	// Opening is the messages up to the first one of a user, that one included: all
	// of them when no user speaks. It begins and ends with a message's braces.
	Opening Span
	// Media are the content parts that are not text, in the order of the body, at most MaxMedia.
	Media []Media
	// Roles are the roles that the messages use.
	Roles Roles

	// Loose are the nested members and values that not every provider takes, in the order of the body, at most MaxLoose.
	Loose []Loose

	hashes []uint64 // of the folded names of Members
}

// Member finds a top-level member by its exact name.
func (d *Document) Member(name string) (Member, bool) {
	i := d.Index(name)
	if i < 0 {
		return Member{}, false
	}
	return d.Members[i], true
}

// Index is the position of a top-level member in Members, -1 when there is none of that name.
func (d *Document) Index(name string) int {
	for i := range d.Members {
		if d.Members[i].Name == name {
			return i
		}
	}
	return -1
}

// Raw is the member's value as it stands in the body. It is a part of Body, not a copy.
func (d *Document) Raw(m Member) []byte { return d.slice(m.Value) }

// Empty says whether the member's value is null, "", [] or {}.
func (d *Document) Empty(m Member) bool {
	return isEmpty(d.Raw(m))
}

func isEmpty(raw []byte) bool {
	switch kindOf(raw[0]) {
	case Null:
		return true
	case String:
		return len(raw) == len(`""`)
	case Array, Object:
		return len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
	default:
		return false
	}
}

// AppendText appends the unescaped text of a span such as those in Texts.
func (d *Document) AppendText(dst []byte, s Span) []byte {
	return appendUnescaped(dst, d.slice(s))
}

func (d *Document) slice(s Span) []byte { return d.Body[s.Start:s.End] }

// Reset drops the body and all that was read from it, and slices that one
// unusual request made large. Call it before a document goes back to a pool.
func (d *Document) Reset() {
	*d = Document{
		Members: emptied(d.Members),
		hashes:  emptied(d.hashes),
		Texts:   emptied(d.Texts),
		Media:   emptied(d.Media),
		Loose:   emptied(d.Loose),
		N:       1,
	}
}

// emptied keeps a slice's memory for the next body unless it holds more than most bodies need.
func emptied[T any](s []T) []T {
	const mostNeed = 1024
	if cap(s) > mostNeed {
		return nil
	}
	clear(s)
	return s[:0]
}
