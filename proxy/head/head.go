package head

import "bytes"

// MaxFields is the number of header fields taken in one head; more are answered 431.
const MaxFields = 64

// Head is what a checked head says about how its request is framed and signed.
type Head struct {
	// ContentLength is the declared length of the body in bytes, -1 when none is declared.
	ContentLength int64
	// Chunked says that the body comes with Transfer-Encoding: chunked.
	Chunked bool
	// Expect100 says that the client waits for 100 Continue before it sends the body.
	Expect100 bool
	// HasAuthorization and HasAPIKey (x-api-key) say which of the two
	// credentials was presented; a head with both, or with one of them twice, is refused.
	HasAuthorization bool
	HasAPIKey        bool
}

// HasBody says whether a body of at least one byte may follow the head.
func (h Head) HasBody() bool { return h.Chunked || h.ContentLength > 0 }

// Error is why a head was refused. The connection must be closed after it:
// where the next request would begin is no longer certain.
type Error struct {
	// Status is the HTTP status to answer: 400, 417 or 431.
	Status int
	// Reason is one fixed text per rule, safe to show; it never holds a byte of the head.
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return "request head refused: " + e.Reason }

// Check reads the raw header lines of one request: all that follows the request
// line, with or without the empty line that ends the block. Host is required of
// every version of HTTP. A refusal is always an *Error, and the Head beside it
// means nothing. The accepted path allocates nothing.
func Check(raw []byte) (Head, error) {
	c := checker{head: Head{ContentLength: -1}}
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return Head{}, badRequest("a header line does not end in CRLF")
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 && len(raw) > 0 {
			return Head{}, badRequest("the header block goes on after its empty line")
		}
		if len(line) == 0 {
			break
		}
		if err := c.line(line); err != nil {
			return Head{}, err
		}
	}
	if err := c.whole(); err != nil {
		return Head{}, err
	}
	return c.head, nil
}
