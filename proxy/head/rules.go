package head

import "bytes"

// checker is the state of one pass over a head.
type checker struct {
	head   Head
	fields int
	seen   singleton
}

// singleton is a set of the fields that may stand in a head only once: readers
// that meet them twice differ in which one they believe.
type singleton uint8

const (
	host singleton = 1 << iota
	contentLength
	transferEncoding
	authorization
	apiKey
	expect
)

// line checks one header line, given without its CRLF.
func (c *checker) line(line []byte) error {
	if c.fields++; c.fields > MaxFields {
		return &Error{Status: 431, Reason: "there are more than 64 header fields"}
	}
	if line[0] == ' ' || line[0] == '\t' {
		return badRequest("a header line begins with a space or a tab")
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return badRequest("a header line has no colon")
	}
	name, value := line[:colon], trim(line[colon+1:])
	if !isToken(name) {
		return badRequest("a header name is not a token")
	}
	if !isText(value) {
		return badRequest("a header value holds a control character")
	}
	return c.field(name, value)
}

// field obeys the fields that decide about framing and credentials. All others
// are none of the gateway's business: it forwards no header of a client.
func (c *checker) field(name, value []byte) error {
	switch {
	case is(name, "host"):
		return c.host(value)
	case is(name, "content-length"):
		return c.contentLength(value)
	case is(name, "transfer-encoding"):
		return c.transferEncoding(value)
	case is(name, "expect"):
		return c.expect(value)
	case is(name, "authorization"):
		c.head.HasAuthorization = true
		return c.once(authorization, "there is more than one Authorization header")
	case is(name, "x-api-key"):
		c.head.HasAPIKey = true
		return c.once(apiKey, "there is more than one x-api-key header")
	}
	return nil
}

// whole checks what only all lines together can show.
func (c *checker) whole() error {
	switch {
	case c.seen&host == 0:
		return badRequest("the Host header is missing")
	case c.head.Chunked && c.head.ContentLength >= 0:
		return badRequest("Content-Length and Transfer-Encoding stand together")
	case c.head.HasAuthorization && c.head.HasAPIKey:
		return badRequest("Authorization and x-api-key stand together")
	}
	return nil
}

func (c *checker) host(value []byte) error {
	if len(value) == 0 || !isHost(value) {
		return badRequest("the Host header is not a host name")
	}
	return c.once(host, "there is more than one Host header")
}

func (c *checker) contentLength(value []byte) error {
	n, ok := parseLength(value)
	if !ok {
		return badRequest("Content-Length is not a plain decimal number")
	}
	c.head.ContentLength = n
	return c.once(contentLength, "there is more than one Content-Length header")
}

func (c *checker) transferEncoding(value []byte) error {
	if !is(value, "chunked") {
		return badRequest("Transfer-Encoding is not chunked alone")
	}
	c.head.Chunked = true
	return c.once(transferEncoding, "there is more than one Transfer-Encoding header")
}

func (c *checker) expect(value []byte) error {
	if !is(value, "100-continue") {
		return &Error{Status: 417, Reason: "only 100-continue can be expected"}
	}
	c.head.Expect100 = true
	return c.once(expect, "there is more than one Expect header")
}

// once refuses the second of a singleton.
func (c *checker) once(s singleton, reason string) error {
	if c.seen&s != 0 {
		return badRequest(reason)
	}
	c.seen |= s
	return nil
}

func badRequest(reason string) error { return &Error{Status: 400, Reason: reason} }
