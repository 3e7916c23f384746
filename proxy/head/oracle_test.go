package head

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

// fasthttpHead parses a whole request head as the server does.
func fasthttpHead(raw string) (*fasthttp.RequestHeader, error) {
	var h fasthttp.RequestHeader
	err := h.Read(bufio.NewReader(strings.NewReader("POST /v1/chat/completions HTTP/1.1\r\n" + raw)))
	return &h, err
}

// The check is worth something only if it sees the client's bytes and not what
// fasthttp made of them.
func TestRawHeadersAreTheClientsBytes(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		h, err := fasthttpHead(raw)
		if err != nil {
			t.Fatalf("fasthttp refuses %q: %v", raw, err)
		}
		if got := string(h.RawHeaders()); got != raw {
			t.Errorf("RawHeaders() = %q, want %q", got, raw)
		}
		if got := outcome(string(h.RawHeaders())); got != want {
			t.Errorf("Check(%q)\n got %s\nwant %s", raw, got, want)
		}
	}
	f("hOsT: a\r\ncontent-length:  2 \r\n\r\n", "length 2")
	// What fasthttp v1.74.0 lets through, and this package is for.
	f("Host: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Content-Length and Transfer-Encoding stand together")
	f("Host: a\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n", "400 Transfer-Encoding is not chunked alone")
	f("Host: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", "400 Transfer-Encoding is not chunked alone")
	f("Host: a\r\nX-A: b\r\n c\r\n\r\n", "400 a header line begins with a space or a tab")
	f("Host: a\r\nContent-Length: 002\r\n\r\n", "400 Content-Length is not a plain decimal number")
	f("Host: a\r\nX: a\nContent-Length: 2\r\n\r\n", "400 a header line does not end in CRLF")
	f("Host: a\r\nTransfer Encoding: chunked\r\n\r\n", "400 a header name is not a token")
	f("Host: a\r\nAuthorization: x\r\nAuthorization: y\r\n\r\n", "400 there is more than one Authorization header")
	f("Host: a\r\nExpect: junk\r\n\r\n", "417 only 100-continue can be expected")
	f("Host: a\r\n"+strings.Repeat("X: y\r\n", 500)+"\r\n", "431 there are more than 64 header fields")
}

// HTTP/1.0 may come without any field, and then there are no raw headers at
// all; that is a missing Host here, not a pass.
func TestNoHeadersIsAMissingHost(t *testing.T) {
	var h fasthttp.RequestHeader
	if err := h.Read(bufio.NewReader(strings.NewReader("GET /v1/models HTTP/1.0\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	if raw := h.RawHeaders(); len(raw) != 0 {
		t.Errorf("RawHeaders() = %q, want nothing", raw)
	}
	if got, want := outcome(string(h.RawHeaders())), "400 the Host header is missing"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Heads put together from hostile pieces reach the corners that random bytes do not.
func TestPiecedHeadsAgree(t *testing.T) {
	names := []string{"Host", "host", "Content-Length", "content-length", "Content-Length ", "Transfer-Encoding", "Transfer Encoding", "Content_Length", "Authorization", "x-api-key", "Expect", "X", " X", ""}
	colons := []string{":", ": ", ":\t", " :", ":\r\n ", ""}
	values := []string{"a", "2", "02", "+2", "2, 2", "chunked", "Chunked", "chunked, identity", "identity", "100-continue", "a\rb", "a\x00", "\xff", "", "a, b"}
	ends := []string{"\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n\r\n", "\r\n "}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SampledFrom([]string{"Host: a\r\n", ""}).Draw(t, "host")
		for range rapid.IntRange(0, 3).Draw(t, "lines") {
			raw += rapid.SampledFrom(names).Draw(t, "name") + rapid.SampledFrom(colons).Draw(t, "colon") +
				rapid.SampledFrom(values).Draw(t, "value") + rapid.SampledFrom(ends).Draw(t, "end")
		}
		raw += "\r\n"
		if head, err := Check([]byte(raw)); err == nil {
			accepted++
			agreesWithNetHTTP(t, head, raw)
			agreesWithFasthttp(t, head, raw)
		}
	})
	if accepted == 0 {
		t.Error("no head was accepted: the pieces prove nothing")
	}
}

// FuzzCheck holds the check against two independent readers: what it accepts,
// they must frame in the same way.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		typical,
		"",
		"\r\n",
		"Host: a\r\nContent-Length: 2\r\n",
		"Host: a\r\nTransfer-Encoding: \tchunked\r\n\r\n",
		"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
		"Host: a\r\nX-A: b\r\n c\r\n\r\n",
		"Host: a\r\nX: a\nContent-Length: 002\r\n\r\n",
		"Host: a\r\nExpect: 100-continue\r\nx-api-key: x\r\n\r\n",
		"Host: a\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		head, err := Check(raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("Check changed the head")
		}
		if err != nil {
			return
		}
		whole := string(raw)
		if !strings.HasSuffix(whole, "\r\n\r\n") {
			whole += "\r\n"
		}
		agreesWithNetHTTP(t, head, whole)
		agreesWithFasthttp(t, head, whole)
	})
}

// failer is what the oracles need of a test, be it of testing or of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func agreesWithNetHTTP(t failer, head Head, whole string) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\n" + whole)))
	if err != nil {
		// Trailer names are framing to net/http; the gateway uses no trailer.
		if strings.Contains(err.Error(), "railer") {
			return
		}
		t.Fatalf("net/http refuses %q: %v", whole, err)
	}
	want := max(head.ContentLength, 0)
	if head.Chunked {
		want = -1
	}
	if r.ContentLength != want || slices.Equal(r.TransferEncoding, []string{"chunked"}) != head.Chunked {
		t.Fatalf("net/http reads length %d, codings %q from %q; Check says %+v", r.ContentLength, r.TransferEncoding, whole, head)
	}
	authorizations := r.Header.Values("Authorization")
	if head.HasAuthorization != (len(authorizations) == 1) {
		t.Fatalf("net/http reads %d Authorization headers from %q; Check says %+v", len(authorizations), whole, head)
	}
}

func agreesWithFasthttp(t failer, head Head, whole string) {
	t.Helper()
	h, err := fasthttpHead(whole)
	if err != nil {
		return
	}
	want := int(head.ContentLength)
	switch {
	case head.Chunked:
		want = -1
	case head.ContentLength < 0:
		want = -2
	}
	if got := h.ContentLength(); got != want {
		t.Fatalf("fasthttp reads length %d from %q; Check says %+v", got, whole, head)
	}
	if head.HasAuthorization != (len(h.PeekAll("Authorization")) == 1) {
		t.Fatalf("fasthttp reads %d Authorization headers from %q; Check says %+v", len(h.PeekAll("Authorization")), whole, head)
	}
}
