package upstream

import (
	"bytes"
	"io"
	"sync"
)

// loan is a request's body while net/http may read it. The bytes are the
// caller's, who reuses them for other tenants as soon as Do has returned; net/http
// may go on reading after that: when the request failed, and when a provider
// answers before it has read everything.
//
// A small body is copied: net/http sends a body that it knows to be in memory in one write
// with its head, and any other in a second one.
type loan struct {
	body []byte
	lent *outgoing // the reader that has the caller's bytes; nil: they were copied
}

// smallBody is how much fits behind a head in net/http's write buffer of 4 KiB, more or less.
const smallBody = 3 << 10

func newLoan(body []byte) *loan {
	if len(body) <= smallBody {
		body = bytes.Clone(body)
	}
	return &loan{body: body}
}

// reader is the body from its beginning. A reader made before it ends.
func (l *loan) reader() io.ReadCloser {
	if len(l.body) <= smallBody {
		return io.NopCloser(bytes.NewReader(l.body))
	}
	l.end()
	l.lent = &outgoing{rest: l.body}
	return l.lent
}

// end lets go of the caller's bytes.
func (l *loan) end() {
	if l.lent != nil {
		l.lent.drop()
	}
}

// keep lets go of the caller's bytes; what was not sent yet is sent from a copy.
func (l *loan) keep() {
	if l.lent != nil {
		l.lent.keep()
	}
}

// outgoing is a request body that can be taken back.
type outgoing struct {
	mu   sync.Mutex
	rest []byte
}

// Read implements io.Reader.
func (o *outgoing) Read(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (o *outgoing) Close() error {
	o.drop()
	return nil
}

// drop lets go of what was not sent. A request cut short does not look whole to
// the provider: its length was announced.
func (o *outgoing) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = nil
}

// keep copies what was not sent yet, which is nothing unless the provider
// answered early.
func (o *outgoing) keep() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rest) > 0 {
		o.rest = bytes.Clone(o.rest)
	}
}
