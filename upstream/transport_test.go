package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
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
		Response{Status: 200, ContentType: "application/json", ContentLength: 2}, "{}", good)
	f("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n8\ndata: {}\n0\n\n",
		Response{Status: 200, ContentType: "text/event-stream", ContentLength: -1}, "data: {}", good)
	f("HTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n",
		Response{Status: 200}, "", good)
	f("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 3\n\nxyz",
		Response{Status: 200, ContentLength: 3, ContentEncoding: "gzip"}, "xyz", good)
	f("HTTP/1.1 429 Too Many Requests\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\nContent-Length: 2\n\n{}",
		Response{Status: 429, ContentLength: 2, RetryAfter: "Wed, 21 Oct 2026 07:28:00 GMT"}, "{}", good)
	f("HTTP/1.1 500 Sorry\nSet-Cookie: a=b\nX-Secret: Bearer sk-test\nContent-Length: 0\n\n",
		Response{Status: 500}, "", good)
	// Every cut is an error, also the one between two chunks, which is the usual one.
	f("HTTP/1.1 200 OK\nContent-Length: 9\n\n{}",
		Response{Status: 200, ContentLength: 9}, "{}", cut)
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n8\ndata: {}\n",
		Response{Status: 200, ContentLength: -1}, "data: {}", cut)
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n8\ndata:",
		Response{Status: 200, ContentLength: -1}, "data:", cut)
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n8\ndata: {}\n0\n",
		Response{Status: 200, ContentLength: -1}, "data: {}", "http: unexpected EOF reading trailer")
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
		Response{Status: 200, ContentLength: -1}, "", cut)
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

// awaited fails the test when the provider does not see something in time.
func awaited(t *testing.T, what string, c <-chan time.Time) time.Time {
	t.Helper()
	select {
	case when := <-c:
		return when
	case <-time.After(patience):
		t.Fatalf("the provider never saw %s", what)
		return time.Time{}
	}
}

// TestCancel leaves in each phase of a request. The provider has to see it.
func TestCancel(t *testing.T) {
	f := func(name string, serve func(w http.ResponseWriter, flush func())) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			arrived, gone := make(chan time.Time, 1), make(chan time.Time, 1)
			s := served(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				serve(w, w.(http.Flusher).Flush)
				arrived <- time.Now()
				<-r.Context().Done()
				gone <- time.Now()
			})
			left := errors.New("the client left")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var cancelled time.Time
			go func() {
				awaited(t, "the request", arrived)
				cancelled = time.Now()
				cancel(left)
			}()
			answer, err := newTransport(t, TransportOptions{}).Do(ctx, &Request{Candidate: at(t, s.URL), Body: []byte("{}"), Stream: true})
			if err == nil {
				_, err = io.ReadAll(answer.Body)
				_ = answer.Body.Close()
			}
			if !errors.Is(err, left) {
				t.Errorf("it ends with %v, want the cause of its context", err)
			}
			if took := awaited(t, "the cancellation", gone).Sub(cancelled); took > time.Second {
				t.Errorf("the provider saw it after %s", took)
			}
		})
	}
	f("before the head", func(http.ResponseWriter, func()) {})
	f("after the head", func(_ http.ResponseWriter, flush func()) { flush() })
	f("in the middle of the body", func(w http.ResponseWriter, flush func()) {
		_, _ = io.WriteString(w, "data: {}\n\n")
		flush()
	})
}

// TestCloseEarly closes a body that goes on: nobody reads what is not wanted.
func TestCloseEarly(t *testing.T) {
	gone := make(chan time.Time, 1)
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		gone <- time.Now()
	})
	answer, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{Candidate: at(t, s.URL), Body: []byte("{}"), Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	awaited(t, "the body closed", gone)
}

// TestDeadline lets a context's deadline pass, which is no departed client.
func TestDeadline(t *testing.T) {
	s := served(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := newTransport(t, TransportOptions{}).Do(ctx, &Request{Candidate: at(t, s.URL), Body: []byte("{}")})
	if got := OutcomeOfError(err); got != OutcomeTimeout {
		t.Errorf("%v is %s, want timeout", err, got)
	}
}

// TestReuse asks many times, over TLS: one after the other over one connection,
// and all at once without mixing anything up.
func TestReuse(t *testing.T) {
	var peers sync.Map // one for each connection
	s := newTLSServer(t, func(w http.ResponseWriter, r *http.Request) {
		peers.Store(r.RemoteAddr, true)
		_, _ = io.Copy(w, r.Body)
	})
	transport, candidate := newTransport(t, TransportOptions{RootCAs: rootsOf(s)}), at(t, s.URL)
	ask := func(worker, i int) {
		body := fmt.Appendf(nil, `{"worker": %d, "i": %d}`, worker, i)
		answer, err := transport.Do(t.Context(), &Request{Candidate: candidate, Body: body, Stream: i%2 == 0})
		if err != nil {
			t.Error(err)
			return
		}
		if got, err := io.ReadAll(answer.Body); err != nil || !bytes.Equal(got, body) {
			t.Errorf("sent %s, got %s, %v", body, got, err)
		}
		_ = answer.Body.Close()
	}
	for i := range 20 {
		ask(0, i)
	}
	connections := 0
	peers.Range(func(_, _ any) bool { connections++; return true })
	if connections != 1 {
		t.Errorf("20 requests in a row needed %d connections", connections)
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 20 {
				ask(worker, i)
			}
		})
	}
	all.Wait()
}

// unsent is more than the sockets' buffers hold when the receiver's is small.
const unsent = 6 << 20

// TestBodyIsTheCallersAgain reuses the buffer of a request as soon as Do has
// returned, while the provider has not read half of it.
func TestBodyIsTheCallersAgain(t *testing.T) {
	body := bytes.Repeat([]byte("a tenant's prompt"), unsent/17)
	resume := make(chan struct{})
	got := make(chan []byte, 1)
	base := scripted(t, func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetReadBuffer(128 << 10)
		r := bufio.NewReader(conn)
		readHead(r)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		<-resume
		read := make([]byte, len(body))
		_, _ = io.ReadFull(r, read)
		got <- read
		_, _ = io.WriteString(conn, "2\r\n{}\r\n0\r\n\r\n")
	})
	want := bytes.Clone(body)
	answer, err := newTransport(t, TransportOptions{}).Do(t.Context(), &Request{Candidate: at(t, base), Body: body})
	if err != nil {
		t.Fatal(err)
	}
	clear(body) // another tenant's by now
	close(resume)
	if read := <-got; !bytes.Equal(read, want) {
		t.Errorf("the provider read something else, from byte %d on", differsAt(read, want))
	}
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "{}" {
		t.Errorf("the answer is %q, %v", text, err)
	}
	_ = answer.Body.Close()
}

func differsAt(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// TestBodyAfterFailure gives up on a request half sent. What is left of it
// is never sent, and never looks whole.
func TestBodyAfterFailure(t *testing.T) {
	body := bytes.Repeat([]byte("a tenant's prompt"), unsent/17)
	arrived := make(chan time.Time, 1)
	rest := make(chan int64, 1)
	release := make(chan struct{})
	base := scripted(t, func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetReadBuffer(128 << 10)
		r := bufio.NewReader(conn)
		readHead(r)
		arrived <- time.Now()
		<-release
		n, _ := io.Copy(io.Discard, r)
		rest <- n
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		awaited(t, "the request", arrived)
		cancel()
	}()
	if _, err := newTransport(t, TransportOptions{}).Do(ctx, &Request{Candidate: at(t, base), Body: body}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	clear(body)
	close(release)
	if n := <-rest; n >= int64(len(body)) {
		t.Errorf("the provider read %d bytes, the whole body", n)
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

// BenchmarkDo is the whole leg over loopback, both ends in one process.
func BenchmarkDo(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer s.Close()
	m := timed(b, 1)
	base, err := parseBaseURL(s.URL)
	if err != nil {
		b.Fatal(err)
	}
	m.candidates[0].Endpoint.wire = newWire(base, "sk-test")
	transport := NewTransport(TransportOptions{})
	defer transport.Close()
	body := bytes.Repeat([]byte("x"), 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		answer, err := transport.Do(b.Context(), &Request{Candidate: m.candidates[0], Body: body})
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
}
