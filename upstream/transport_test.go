package upstream

import (
	"bufio"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patience bounds every wait of these tests; none of them lasts that long.
const patience = 30 * time.Second

// at returns a candidate whose endpoint is at this base address.
func at(t *testing.T, base string) *Candidate {
	t.Helper()
	table := build(t, fmt.Sprintf(`
providers: {p: {contract: openai, endpoints: [{url: '%s', api_keys: [sk-test]}]}}
models: {m: {targets: [{provider: p}]}}`, base))
	return model(t, table).candidates[0]
}

// newTransport returns a Transport that is closed with the test.
func newTransport(t *testing.T, o TransportOptions) *Transport {
	t.Helper()
	transport := NewTransport(o)
	t.Cleanup(transport.Close)
	return transport
}

// served starts a test server that is closed with the test.
func served(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// newTLSServer is served over TLS.
func newTLSServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what some tests are about
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// rootsOf trusts a test server.
func rootsOf(s *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return roots
}

// scripted serves each connection with a function, below HTTP.
func scripted(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return "http://" + listener.Addr().String()
}

// readHead reads a request's head as it is on the wire.
func readHead(r *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// TestOnTheWire compares whole requests, byte for byte.
func TestOnTheWire(t *testing.T) {
	f := func(path string, stream bool, body, want string) {
		t.Helper()
		seen := make(chan string, 1)
		base := scripted(t, func(conn net.Conn) {
			r := bufio.NewReader(conn)
			head := readHead(r)
			sent := make([]byte, len(body))
			_, _ = io.ReadFull(r, sent)
			seen <- head + string(sent)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
		})
		answer, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{
			Candidate: at(t, base+path), Body: []byte(body), Stream: stream,
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		want = strings.ReplaceAll(strings.ReplaceAll(want, "HOST", strings.TrimPrefix(base, "http://")), "\n", "\r\n")
		if diff := cmp.Diff(want+body, <-seen); diff != "" {
			t.Error(diff)
		}
	}
	f("/v1", false, `{"model":"m","messages":[]}`, `POST /v1/chat/completions HTTP/1.1
Host: HOST
User-Agent: tollgate
Content-Length: 27
Accept: application/json
Accept-Encoding: identity
Authorization: Bearer sk-test
Content-Type: application/json

`)
	f("", true, "{\"not\": \"quite\" json \x00\xff\r\n\r\n", `POST /chat/completions HTTP/1.1
Host: HOST
User-Agent: tollgate
Content-Length: 27
Accept: text/event-stream, application/json
Accept-Encoding: identity
Authorization: Bearer sk-test
Content-Type: application/json

`)
	f("/starmagic/v1/", true, strings.Repeat(`{"prompt": "long"}`, 10_000), `POST /starmagic/v1/chat/completions HTTP/1.1
Host: HOST
User-Agent: tollgate
Content-Length: 180000
Accept: text/event-stream, application/json
Accept-Encoding: identity
Authorization: Bearer sk-test
Content-Type: application/json

`)
}

// A request that is traced leaves nothing behind in the header that its endpoint's requests share.
func TestTraceOnTheWire(t *testing.T) {
	seen := make(chan http.Header, 1)
	base := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	defer base.Close()
	transport, candidate := newTransport(t, TransportOptions{}), at(t, base.URL)
	f := func(parent string, want []string) {
		t.Helper()
		answer, err := transport.Do(t.Context(), &Request{Candidate: candidate, Body: []byte("{}"), Traceparent: parent})
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		header := <-seen
		if diff := cmp.Diff(want, header["Traceparent"]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if header.Get("Authorization") != "Bearer sk-test" {
			t.Error("the credential is missing")
		}
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f("", nil)
	f(parent, []string{parent})
	f("", nil)
}

func TestAnswer(t *testing.T) {
	f := func(raw string, want Response, body, problem string) {
		t.Helper()
		base := scripted(t, func(conn net.Conn) {
			r := bufio.NewReader(conn)
			readHead(r)
			_, _ = io.ReadFull(r, make([]byte, 2))
			_, _ = io.WriteString(conn, strings.ReplaceAll(raw, "\n", "\r\n"))
		})
		answer, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{Candidate: at(t, base), Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		if text := fmt.Sprint(err); text != problem {
			t.Errorf("reading the body ends with %q, want %q", text, problem)
		}
		_ = answer.Body.Close()
		answer.Body = nil
		if diff := cmp.Diff(want, *answer); diff != "" || string(got) != body {
			t.Errorf("body %q, want %q\n%s", got, body, diff)
		}
	}
	const cut, good = "unexpected EOF", "<nil>"
	f("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2\n\n{}",
		Response{Framed: true, Status: 200, ContentType: "application/json", ContentLength: 2}, "{}", good)
	f("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n8\ndata: {}\n0\n\n",
		Response{Framed: true, Status: 200, ContentType: "text/event-stream", ContentLength: -1}, "data: {}", good)
	f("HTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n",
		Response{Framed: true, Status: 200}, "", good)
	f("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 3\n\nxyz",
		Response{Framed: true, Status: 200, ContentLength: 3, ContentEncoding: "gzip"}, "xyz", good)
	f("HTTP/1.1 429 Too Many Requests\nDate: Wed, 21 Oct 2026 07:27:50 GMT\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\nContent-Length: 2\n\n{}",
		Response{Framed: true, Status: 429, ContentLength: 2, RetryIn: 10 * time.Second}, "{}", good)
	f("HTTP/1.1 429 Too Many Requests\nContent-Length: 2\n\n{}",
		Response{Framed: true, Status: 429, ContentLength: 2}, "{}", good)
	f("HTTP/1.1 503 Sorry\nretry-after-ms: 1500\nContent-Length: 0\n\n",
		Response{Framed: true, Status: 503, RetryIn: 1500 * time.Millisecond}, "", good)
	f("HTTP/1.1 402 Payment Required\nx-ratelimit-reset-tokens: 6m0s\nx-ratelimit-remaining-tokens: 0\nContent-Length: 0\n\n",
		Response{Framed: true, Status: 402, RetryIn: 6 * time.Minute}, "", good)
	f("HTTP/1.1 200 OK\nx-ratelimit-reset-tokens: 6m0s\nRetry-After: 7\nContent-Length: 0\n\n",
		Response{Framed: true, Status: 200}, "", good)
	f("HTTP/1.1 500 Sorry\nSet-Cookie: a=b\nX-Secret: Bearer sk-test\nContent-Length: 0\n\n",
		Response{Framed: true, Status: 500}, "", good)
	// Whoever frames nothing cannot be seen to cut.
	f("HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\ndata: {}",
		Response{Status: 200, ContentType: "text/event-stream", ContentLength: -1}, "data: {}", good)
	// Every cut is an error, also the one between two chunks, which is the usual one.
	f("HTTP/1.1 200 OK\nContent-Length: 9\n\n{}",
		Response{Framed: true, Status: 200, ContentLength: 9}, "{}", cut)
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n8\ndata: {}\n",
		Response{Framed: true, Status: 200, ContentLength: -1}, "data: {}", cut)
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n8\ndata:",
		Response{Framed: true, Status: 200, ContentLength: -1}, "data:", cut)
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n8\ndata: {}\n0\n",
		Response{Framed: true, Status: 200, ContentLength: -1}, "data: {}", "http: unexpected EOF reading trailer")
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
		Response{Framed: true, Status: 200, ContentLength: -1}, "", cut)
}

// TestNoAnswer breaks the connection before an answer has begun. Each request
// may have been charged, so none is sent twice, on a fresh connection or a used one.
func TestNoAnswer(t *testing.T) {
	f := func(name, raw string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			base := scripted(t, func(conn net.Conn) {
				r := bufio.NewReader(conn)
				for readHead(r) != "" {
					_, _ = io.ReadFull(r, make([]byte, 2))
					if requests.Add(1) != 1 {
						_, _ = io.WriteString(conn, raw)
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				}
			})
			transport, candidate := newTransport(t, TransportOptions{}), at(t, base)
			answer, err := transport.Do(t.Context(), &Request{Candidate: candidate, Body: []byte("{}")})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			for n := range int32(2) { // the first on the used connection, the second on a fresh one
				answer, err = transport.Do(t.Context(), &Request{Candidate: candidate, Body: []byte("{}")})
				if err == nil {
					t.Fatalf("an answer of status %d came out of %q", answer.Status, raw)
				}
				if got := OutcomeOfError(err); got != OutcomeCut {
					t.Errorf("%v is %s, want cut", err, got)
				}
				if got := requests.Load(); got != 2+n {
					t.Errorf("the provider saw %d requests, want %d", got, 2+n)
				}
			}
		})
	}
	f("nothing", "")
	f("part of the status line", "HTTP/1.1 2")
	f("part of the head", "HTTP/1.1 200 OK\r\nContent-Le")
	f("another protocol", "220 mail.example.com ESMTP\r\n")
	f("a head of any length", "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
	f("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}")
}

// TestRedirect is offered another address, and does not go there.
func TestRedirect(t *testing.T) {
	var elsewhere atomic.Int32
	other := served(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := served(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(code)
		})
		answer, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{Candidate: at(t, s.URL), Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.Status != code || OutcomeOfStatus(answer.Status) != OutcomeInvalidAnswer {
			t.Errorf("a redirect comes back as %d", answer.Status)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestNoProxyFromTheEnvironment would send the credential to whoever sets a variable.
func TestNoProxyFromTheEnvironment(t *testing.T) {
	if transport := newTransport(t, TransportOptions{}); transport.http.Proxy != nil {
		t.Error("a proxy may be used")
	}
}

func TestEndpointThatIsOff(t *testing.T) {
	table := build(t, `
providers: {p: {contract: openai, endpoints: [{url: "https://h/v1"}]}}
models: {m: {targets: [{provider: p}]}}`)
	_, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{Candidate: model(t, table).candidates[0]})
	if got := fmt.Sprint(err); got != "connect to https://h/v1: the endpoint has no credential" || OutcomeOfError(err) != OutcomeUnreachable {
		t.Errorf("asking an endpoint that is off gives %q, %s", got, OutcomeOfError(err))
	}
}
