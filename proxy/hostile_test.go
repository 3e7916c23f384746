package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/upstream"
)

// TestHostileInput writes raw bytes. Each must be answered with that status in
// OpenAI's shape, reach no provider, and never let a second request be parsed
// out of the first: the connection is closed, or only `next` more are answered.
func TestHostileInput(t *testing.T) {
	var asked atomic.Int64
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		asked.Add(1)
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{server: func(c *Config) { c.MaxRequestBody, c.MaxBodyMemory = 64<<10, 1<<20 }})
	auth := "Authorization: Bearer " + r.secret.Reveal() + "\r\n"
	const smuggled = "GET /v1/models HTTP/1.1\r\nHost: smuggled\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" + body
	}
	sized := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n", len(body)) }
	ok := `{"model":"any","messages":[{"role":"user","content":"x"}]}`

	f := func(name, raw string, status int, code string) {
		t.Helper()
		before := asked.Load()
		answers := r.raw(raw)
		if len(answers) != 1 {
			t.Errorf("%s: %d answers, want 1: a second request was parsed out of the first", name, len(answers))
		}
		if len(answers) == 0 {
			return
		}
		_, got, _, _ := errorOf(t, answers[0])
		if answers[0].status != status || got != code {
			t.Errorf("%s: got %d %s, want %d %s", name, answers[0].status, answers[0].body, status, code)
		}
		if answers[0].header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no x-request-id", name)
		}
		if asked.Load() != before {
			t.Errorf("%s: a provider was asked", name)
		}
	}
	chat := func(name, body string, status int, code string) {
		t.Helper()
		f(name, post(auth+sized(body)+"Connection: close\r\n", body), status, code)
	}
	chat("duplicate model", `{"model":"any","model":"gemini-flash","messages":[{"role":"user","content":"x"}]}`, 400, "duplicate_field")
	chat("escaped duplicate", `{"model":"any","mod\u0065l":"gemini-flash","messages":[{"role":"user","content":"x"}]}`, 400, "duplicate_field")
	chat("folded duplicate", `{"Model":"any","model":"gemini-flash","messages":[{"role":"user","content":"x"}]}`, 400, "unknown_spelling")
	chat("5,000 deep", `{"model":"any","messages":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`, 400, "too_deep")
	chat("trailing garbage", ok+`{}`, 400, "invalid_json")
	chat("cut short", ok[:len(ok)-1], 400, "invalid_json")
	chat("not JSON", `hello`, 400, "invalid_json")
	chat("empty", ``, 400, "invalid_json")

	big := strings.Repeat("x", 64<<10+1)
	f("oversized body", post(auth+sized(big), big+smuggled), 413, "request_too_large")
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big)
	f("oversized chunked body", post(auth+"Transfer-Encoding: chunked\r\n", chunks+smuggled), 413, "request_too_large")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, ok)
	z.Close()
	f("gzip body", post(auth+"Content-Encoding: gzip\r\nConnection: close\r\n"+sized(zipped.String()), zipped.String()), 415, "unsupported_encoding")
	f("two Authorization headers", post(auth+auth+sized(ok), ok+smuggled), 400, "invalid_request_head")
	f("Authorization and x-api-key", post(auth+"X-Api-Key: other\r\n"+sized(ok), ok+smuggled), 400, "invalid_request_head")
	f("key in the query", strings.Replace(post(sized(ok), ok+smuggled), "completions", "completions?api_key=tg_x", 1), 400, "key_in_query")
	f("dot segments", strings.Replace(post(auth+sized(ok), ok+smuggled), "/v1/chat/completions", "/v1/../admin", 1), 404, "unknown_path")
	f("encoded dot segments", "GET /v1/%2e%2e/admin HTTP/1.1\r\nHost: a\r\n"+auth+"Connection: close\r\n\r\n", 404, "unknown_path")
	f("double slash", "GET //v1/models HTTP/1.1\r\nHost: a\r\n"+auth+"Connection: close\r\n\r\n", 404, "unknown_path")
	f("absolute form", "GET http://evil/v1/models HTTP/1.1\r\nHost: a\r\n"+auth+"Connection: close\r\n\r\n", 400, "invalid_request_target")
	f("space in a header name", post(auth+"X A: b\r\n"+sized(ok), ok+smuggled), 400, "invalid_request_head")
	f("folded header", post(auth+"X-A: b\r\n c\r\n"+sized(ok), ok+smuggled), 400, "invalid_request_head")
	f("Content-Length and Transfer-Encoding", post(auth+"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), 400, "invalid_request_head")
	f("Transfer-Encoding and Content-Length", post(auth+"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\n"+smuggled), 400, "invalid_request_head")
	f("Content-Length 002", post(auth+"Content-Length: 002\r\n", "{}"+smuggled), 400, "invalid_request_head")
	f("no length", "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"+auth+"Connection: close\r\n\r\n", 411, "length_required")
	f("a body on GET", "GET /v1/models HTTP/1.1\r\nHost: a\r\n"+auth+sized(smuggled)+"\r\n"+smuggled, 400, "unexpected_body")
	f("an old version", "POST /v1/chat/completions HTTP/1.2\r\nHost: a\r\n"+auth+sized(ok)+"\r\n"+ok+smuggled, 505, "unsupported_protocol")
	f("lower-case method", "post /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"+auth+sized(ok)+"\r\n"+ok+smuggled, 405, "method_not_allowed")
	f("a head beyond the buffer", "GET /v1/models HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("y", 20<<10)+"\r\n\r\n", 431, "invalid_request_head")
	f("500 headers", "GET /v1/models HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("X: y\r\n", 500)+"\r\n"+smuggled, 431, "invalid_request_head")
	f("not HTTP", "\x16\x03\x01\x02\x00hello\r\n\r\n", 400, "invalid_request_head")

	// 10 KiB is more than fasthttp prefetches: without a closed connection the
	// rest would be parsed as requests.
	flood := strings.Repeat(smuggled, 250)
	f("an unread body after a 401", post(sized(flood), flood), 401, "invalid_api_key")
	f("an unread body after a 404", "POST /v1/nothing HTTP/1.1\r\nHost: a\r\n"+auth+sized(flood)+"\r\n"+flood, 404, "unknown_path")
	f("an unread body after a wrong key", post("Authorization: Bearer tg_wrong\r\n"+sized(flood), flood), 401, "invalid_api_key")
	r.idle()
}

// TestKeptConnections sends what is not hostile: the connection goes on.
func TestKeptConnections(t *testing.T) {
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{})
	auth := "Authorization: Bearer " + r.secret.Reveal() + "\r\n"
	body := `{"model":"any","messages":[{"role":"user","content":"x"}]}`
	fixed := "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n" + auth + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
	chunked := "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 7, body[:7], len(body)-7, body[7:])
	models := "GET /v1/models HTTP/1.1\r\nHost: a\r\n" + auth + "\r\n"
	last := "GET /v1/models HTTP/1.1\r\nHost: a\r\n" + auth + "Connection: close\r\n\r\n"
	answers := r.raw(fixed + chunked + models + fixed + last)
	if len(answers) != 5 {
		t.Fatalf("%d answers, want 5", len(answers))
	}
	for i, a := range answers {
		if a.status != 200 {
			t.Errorf("answer %d: %d %s", i, a.status, a.body)
		}
	}
	r.idle()
}

// raw writes bytes to a connection of its own and returns every answer that
// comes before the gateway closes it.
func (r *rig) raw(bytes string) []answer {
	r.t.Helper()
	conn, err := r.dial()
	must(r.t, err)
	defer conn.Close()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		io.WriteString(conn, bytes) // the gateway may close before it has read everything
	}()
	defer func() { conn.Close(); <-wrote }()
	must(r.t, conn.SetReadDeadline(time.Now().Add(patience)))
	var answers []answer
	for in := bufio.NewReader(conn); ; {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return answers
		}
		body, err := io.ReadAll(response.Body)
		answers = append(answers, answer{response.StatusCode, response.Header, string(body), err})
		response.Body.Close()
	}
}

// TestSlowClients sends a head or a body too slowly: 400 or 408, and closed.
func TestSlowClients(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{server: func(c *Config) { c.ReadTimeout = 500 * time.Millisecond }})
	auth := "Authorization: Bearer " + r.secret.Reveal() + "\r\n"
	f := func(name, raw string) {
		t.Helper()
		answers := r.raw(raw)
		if len(answers) != 1 || answers[0].status != 408 {
			t.Errorf("%s: got %+v, want one 408", name, answers)
			return
		}
		if _, code, _, _ := errorOf(t, answers[0]); code != "request_timeout" {
			t.Errorf("%s: code %s", name, code)
		}
	}
	f("half a head", "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n")
	f("half a body", "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"+auth+"Content-Length: 20000\r\n\r\n"+strings.Repeat(" ", 9000))
	f("half a chunked body", "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"+auth+"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"mod\r\n")
	r.idle()
}

// TestLongHeadsAreAnswered sends heads that are far too long over a real socket,
// whole: a client that is still sending must not lose its 431 to a reset.
func TestLongHeadsAreAnswered(t *testing.T) {
	r := newRig(t, legFunc(nil), rigOptions{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server, err := NewServer(r.gateway)
	must(r.t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	head := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("long ", 400_000) + "\r\n\r\n"
	for range 3 {
		conn, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		if _, err := io.WriteString(conn, head); err != nil {
			t.Errorf("sending: %v", err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
			t.Errorf("%v: %.100q", err, answer)
		}
		must(t, conn.Close())
	}
	must(t, ln.Close())
	must(t, <-served)
	must(t, server.Close())
}
