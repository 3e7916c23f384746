package head

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// outcome renders a verdict so that every case below is one literal line.
func outcome(raw string) string {
	h, err := Check([]byte(raw))
	if err != nil {
		var refusal *Error
		if !errors.As(err, &refusal) {
			return "not an *Error: " + err.Error()
		}
		return fmt.Sprintf("%d %s", refusal.Status, refusal.Reason)
	}
	text := fmt.Sprintf("length %d", h.ContentLength)
	for _, flag := range []struct {
		name string
		on   bool
	}{
		{"chunked", h.Chunked},
		{"expect", h.Expect100},
		{"authorization", h.HasAuthorization},
		{"api key", h.HasAPIKey},
	} {
		if flag.on {
			text += ", " + flag.name
		}
	}
	return text
}

func TestCheckAccepts(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		if got := outcome(raw); got != want {
			t.Errorf("Check(%q)\n got %s\nwant %s", raw, got, want)
		}
	}
	f("Host: a\r\nContent-Length: 2\r\n\r\n", "length 2")
	f("Host: a\r\nContent-Length: 2\r\n", "length 2")
	f("host:a\r\nCONTENT-LENGTH:0\r\n\r\n", "length 0")
	f("Host: a\r\n\r\n", "length -1")
	f("Host: a\r\nTransfer-Encoding: chunked\r\n\r\n", "length -1, chunked")
	f("Host: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n", "length -1, chunked")
	f("Host: a\r\nTransfer-Encoding: \tchunked \r\n\r\n", "length -1, chunked")
	f("Host: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n", "length 2, expect")
	f("Host: a\r\nAuthorization: Bearer x\r\n\r\n", "length -1, authorization")
	f("Host: a\r\nX-Api-Key: x\r\n\r\n", "length -1, api key")
	f("Host: [::1]:8080\r\nContent-Length: 999999999999999999\r\n\r\n", "length 999999999999999999")

	// Values may hold tabs, bytes beyond ASCII, or nothing.
	f("Host: a\r\nX-A: b\tc \xe4\xff\r\nX-B:\r\n\r\n", "length -1")
	f("Host: a\r\n!#$%&'*+-.^_`|~09azAZ: token\r\n\r\n", "length -1")
	// What a neighbour may obey is ignored here, and never forwarded.
	f("Host: a\r\nConnection: close, Authorization\r\nUpgrade: h2c\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", "length -1")
	f("Host: a\r\nContent_Length: 2\r\n\r\n", "length -1")
	f("Host: a\r\n"+strings.Repeat("X: y\r\n", 63)+"\r\n", "length -1")
}

func TestCheckRefuses(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		if got := outcome(raw); got != want {
			t.Errorf("Check(%q)\n got %s\nwant %s", raw, got, want)
		}
	}
	const (
		lineEnd     = "400 a header line does not end in CRLF"
		folded      = "400 a header line begins with a space or a tab"
		notToken    = "400 a header name is not a token"
		noColon     = "400 a header line has no colon"
		control     = "400 a header value holds a control character"
		badLength   = "400 Content-Length is not a plain decimal number"
		badCoding   = "400 Transfer-Encoding is not chunked alone"
		twoFramings = "400 Content-Length and Transfer-Encoding stand together"
		badHost     = "400 the Host header is not a host name"
	)

	// Framing: two answers to where the body ends.
	f("Host: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n", twoFramings)
	f("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n", twoFramings)
	f("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", twoFramings)
	f("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400 there is more than one Transfer-Encoding header")
	f("Host: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding: chun\u212aed\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding:\r\n\r\n", badCoding)
	f("Host: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", control)
	f("Host: a\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n", badCoding)
	f("Host: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n", "400 there is more than one Content-Length header")
	f("Host: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", "400 there is more than one Content-Length header")
	for _, length := range []string{"2, 2", "+2", "-1", "0x2", "2_0", "", "18446744073709551618", "1000000000000000000", "2 x", "002", "00", "2.0", "1e3", "\u0662"} {
		f("Host: a\r\nContent-Length: "+length+"\r\n\r\n", badLength)
	}

	// Lines: two answers to where a field ends.
	f("Host: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", badCoding)
	f("Host: a\r\nX-A: b\r\n c\r\n\r\n", folded)
	f("Host: a\r\nX-A: b\r\n\tc\r\n\r\n", folded)
	f(" Host: a\r\n\r\n", folded)
	f("\tHost: a\r\n\r\n", folded)
	f("Host: a\r\nX: a\nContent-Length: 2\r\n\r\n", lineEnd)
	f("Host: a\nContent-Length: 2\n\n", lineEnd)
	f("Host: a\r\n\n", lineEnd)
	f("Host: a\r\n\r", lineEnd)
	f("Host: a", lineEnd)
	f("Host: a\r", lineEnd)
	f("\n", lineEnd)
	f("Host: a\r\nX: a\rb\r\n\r\n", control)
	f("Host: a\r\nX: a\r\r\n\r\n", control)
	f("Host: a\r\nX: a\x00b\r\n\r\n", control)
	f("Host: a\r\nX: a\x01b\r\n\r\n", control)
	f("Host: a\r\nX: a\x7fb\r\n\r\n", control)
	f("Host: a\r\n\r\nX: y\r\n\r\n", "400 the header block goes on after its empty line")

	// Names: two answers to which field it is.
	f("Host: a\r\nTransfer-Encoding : chunked\r\n\r\n", notToken)
	f("Host: a\r\nTransfer-Encoding\t: chunked\r\n\r\n", notToken)
	f("Host: a\r\nContent-Length : 2\r\n\r\n", notToken)
	f("Host: a\r\nX A: a\r\n\r\n", notToken)
	f("Host: a\r\nAuthor ization: x\r\n\r\n", notToken)
	f("Host: a\r\nTransfer Encoding: chunked\r\n\r\n", notToken)
	f("Host: a\r\n: a\r\n\r\n", notToken)
	f("Host: a\r\nX(A): a\r\n\r\n", notToken)
	f("Host: a\r\nX\xff: a\r\n\r\n", notToken)
	f("Host: a\r\nX\x00: a\r\n\r\n", notToken)
	f("Host: a\r\nX\r: a\r\n\r\n", notToken)
	f("Host: a\r\nno colon\r\n\r\n", noColon)
	f("Host: a\r\n\x00\r\n\r\n", noColon)

	// Host and credentials: two answers to who asks whom.
	f("", "400 the Host header is missing")
	f("\r\n", "400 the Host header is missing")
	f("Content-Length: 2\r\n\r\n", "400 the Host header is missing")
	f("Host: a\r\nHost: a\r\n\r\n", "400 there is more than one Host header")
	f("Host: a\r\nhOST: b\r\n\r\n", "400 there is more than one Host header")
	f("Host:\r\n\r\n", badHost)
	f("Host: a@b/c\r\n\r\n", badHost)
	f("Host: a b\r\n\r\n", badHost)
	f("Host: a\xc2\xb7\r\n\r\n", badHost)
	f("Host: a\r\nAuthorization: Bearer x\r\nAuthorization: Bearer x\r\n\r\n", "400 there is more than one Authorization header")
	f("Host: a\r\nAuthorization: Bearer x\r\nx-api-key: x\r\n\r\n", "400 Authorization and x-api-key stand together")
	f("Host: a\r\nX-API-KEY: x\r\nx-api-key: y\r\n\r\n", "400 there is more than one x-api-key header")

	f("Host: a\r\nExpect: junk\r\n\r\n", "417 only 100-continue can be expected")
	f("Host: a\r\nExpect:\r\n\r\n", "417 only 100-continue can be expected")
	f("Host: a\r\nExpect: 100-continue, junk\r\n\r\n", "417 only 100-continue can be expected")
	f("Host: a\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n", "400 there is more than one Expect header")
	f("Host: a\r\n"+strings.Repeat("X: y\r\n", 64)+"\r\n", "431 there are more than 64 header fields")
}

func TestHasBody(t *testing.T) {
	f := func(h Head, want bool) {
		t.Helper()
		if got := h.HasBody(); got != want {
			t.Errorf("%+v: HasBody() = %v, want %v", h, got, want)
		}
	}
	f(Head{ContentLength: -1}, false)
	f(Head{ContentLength: 0}, false)
	f(Head{ContentLength: 1}, true)
	f(Head{ContentLength: -1, Chunked: true}, true)
}

// A refusal is shown and logged: it must not carry what the client sent.
func TestErrorHoldsNothingOfTheHead(t *testing.T) {
	_, err := Check([]byte("Host: a\r\nAuthorization: Bearer canary\r\nAuthorization: Bearer canary\r\n\r\n"))
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want a refusal without the header's value", err)
	}
	if want := "request head refused: there is more than one Authorization header"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

const typical = "Host: api.example.com\r\n" +
	"Authorization: Bearer tg_0123456789abcdefghijklmnopqrstuvABCDEF\r\n" +
	"Content-Type: application/json\r\n" +
	"Accept: application/json\r\n" +
	"User-Agent: OpenAI/Python 1.99.0\r\n" +
	"X-Stainless-Lang: python\r\n" +
	"X-Stainless-Runtime: CPython\r\n" +
	"Accept-Encoding: gzip, deflate\r\n" +
	"Connection: keep-alive\r\n" +
	"Content-Length: 1024\r\n\r\n"

func TestCheckAllocatesNothing(t *testing.T) {
	raw := []byte(typical)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Check(raw); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("an accepted head costs %v allocations, want 0", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	raw := []byte(typical)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := Check(raw); err != nil {
			b.Fatal(err)
		}
	}
}
