package simulator

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// FuzzFastHead: what the parser of fast mode takes, net/http takes too and
// understands in the same way.
func FuzzFastHead(f *testing.F) {
	for _, head := range []string{
		"POST /starmagic/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 12",
		"POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:80\r\nTransfer-Encoding: Chunked\r\nConnection: keep-alive, Close",
		"GET / HTTP/1.1\r\nHost:\r\nExpect: 100-continue\r\nX: \xff\ty",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum, content-length",
	} {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.Contains(raw, []byte("\r\n\r\n")) {
			return // the caller cuts there
		}
		h, refused := parseFastHead(raw)
		if refused != nil {
			return
		}
		whole := append(bytes.Clone(raw), "\r\n\r\n"...)
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(whole)))
		if err != nil {
			if strings.Contains(err.Error(), "invalid URI") || strings.Contains(err.Error(), "parse") || strings.Contains(err.Error(), "malformed Host") {
				return // fast mode compares paths, it does not take them apart
			}
			t.Fatalf("took what net/http does not: %v", err)
		}
		length := want.ContentLength
		chunked := length == -1
		if chunked {
			length = 0
		}
		if h.method != want.Method || h.path != want.RequestURI || h.length != length || h.chunked != chunked || h.close != want.Close {
			t.Fatalf("%+v, but net/http reads %s %s, length %d, close %v", h, want.Method, want.RequestURI, want.ContentLength, want.Close)
		}
	})
}

// FuzzSkim: of a body that the Simulator decodes, fast mode reads the same.
func FuzzSkim(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":"\\\"stream\":true}{"}],"stream":true,"max_tokens":3}`,
		" {\t\"stream_options\" :\r\n{ \"include_usage\" : true , \"x\":[{}] } , \"max_completion_tokens\":3e2, \"stream\": false } ",
		`{}`, `{"a":{"stream":true},"b":"\\","stream":true}`, `{"stream":"true","max_tokens":"7"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := skimWish(raw)
		v, refused := decode(raw)
		body, ok := v.(members)
		if refused != nil || !ok || strings.Contains(string(raw), `\u`) {
			return // no such body; or a name that is spelt with escapes
		}
		if err != nil {
			t.Fatalf("refused what the Simulator decodes: %v", err)
		}
		want := wish{
			stream:       body.flag("stream"),
			includeUsage: body.object("stream_options").flag("include_usage"),
			maxTokens:    lowestLimit(max(body.whole("max_tokens"), 0), max(body.whole("max_completion_tokens"), 0)),
		}
		if got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
}
