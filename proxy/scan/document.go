package scan

// Span is a half-open range of byte offsets into the body.
type Span struct{ Start, End int }

// Len is the number of bytes in the span.
func (s Span) Len() int { return s.End - s.Start }

// Kind is the JSON type of a value.
type Kind uint8

// The kinds of JSON values.
const (
	Invalid Kind = iota // no JSON value begins like this
	Null
	Bool
	Number
	String
	Array
	Object
)

// Member is one top-level member of the body.
type Member struct {
	// Name is the member's name, unescaped.
	Name string
	Kind Kind
	// Key is the name as it stands in the body, quotes included; Value is the whole value.
	Key, Value Span
}

// MediaKind is the type of a content part that is not text.
type MediaKind uint8

// The content parts that carry media.
const (
	OtherPart  MediaKind = iota // a type this package does not know; only its presence is noted
	ImageURL                    // {"type":"image_url","image_url":{"url":...}}: images, and with some providers audio and video
	InputAudio                  // {"type":"input_audio","input_audio":{"data":...,"format":...}}
)

// Media is one content part that is not text.
type Media struct {
	Kind MediaKind
	// URL is the raw string content, without quotes and still escaped, of
	// image_url.url or input_audio.data; empty for OtherPart.
	URL Span
	// HTTP says that the URL has the scheme http or https.
	HTTP bool
	// MIME is the media type of a data: URL or of an input_audio part, in lower
	// case; empty for any other URL.
	MIME string
}

// Document is what the gateway reads from one request body. Its slices are
// reused by the next Parse.
type Document struct {
	// Body is the slice that was parsed; the document does not copy it.
	Body []byte
	// Members are the top-level members in the order of the body.
	Members []Member
	// Model is the public model name, 1 to 256 bytes.
	Model string
	// Stream is the member of the same name; false when absent or null.
	Stream bool
	// IncludeUsage is stream_options.include_usage; false when absent or null.
	IncludeUsage bool
	// N is the number of choices asked for, 1 to 128; 1 when absent or null.
	N int64
	// MaxTokens is the larger of max_completion_tokens and max_tokens, 1 to 2^31-1; 0 when neither is named.
	MaxTokens int64
	// Stops is the number of stop strings.
	Stops int
	// ResponseFormat is response_format.type; empty when absent or null.
	ResponseFormat string
	// Texts are the raw contents, without quotes and still escaped, of every
	// non-empty text of the messages. They are what a prompt estimate counts and never hold base64.
	Texts []Span
	// Media are the content parts that are not text, in the order of the body.
	Media []Media
	// Roles are the roles that the messages use.
	Roles Roles
}

// Parse validates body and fills d with what it says, dropping what d held
// before. A refusal is always an *Error, after which d's contents mean nothing.
// The body is not copied: it must not change while d is in use.
func (d *Document) Parse(body []byte) error { return nil }

// Reset drops the body and everything that points into it, and slices that one
// unusual request made large. Call it before a document goes back to a pool.
func (d *Document) Reset() {}

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

// Raw is the member's value as it stands in the body.
func (d *Document) Raw(m Member) []byte { return d.Body[m.Value.Start:m.Value.End] }

// Empty says whether the member's value is null, "", [] or {}.
func (d *Document) Empty(m Member) bool { return false }

// AppendText appends the unescaped text of a span such as those in Texts.
func (d *Document) AppendText(dst []byte, s Span) []byte { return dst }
