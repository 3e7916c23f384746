package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// canned is a gateway that answers one request with these bytes and hangs up.
func canned(t *testing.T, answer string) *gateway {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			t.Errorf("the request is no HTTP: %v", err)
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("the request's body: %v", err)
		}
		_, _ = io.WriteString(conn, answer)
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
	return &gateway{name: "canned", addr: listener.Addr().String(), path: "/v1/chat/completions", secret: "s"}
}

// An answer that is not exactly the provider's own fails the run.
func TestEveryFlawFails(t *testing.T) {
	const (
		whole  = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
		chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
	)
	want := answer{size: 23, lines: 4, stream: true}
	f := func(sent string, want answer, flaw string) {
		t.Helper()
		g := canned(t, sent)
		l := newLoad(g, promptOf(300, ""), want)
		c, hangUp, err := l.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer hangUp()
		_, err = l.exchange(t.Context(), c)
		switch {
		case flaw == "" && err != nil:
			t.Errorf("%q: %v", sent, err)
		case flaw != "" && (err == nil || !strings.Contains(err.Error(), flaw) || !strings.Contains(err.Error(), "canned")):
			t.Errorf("%q: got %v, want an error with %q", sent, err, flaw)
		case (err == nil) != (g.served.Load() == 1):
			t.Errorf("%q: %d served, error %v", sent, g.served.Load(), err)
		}
	}
	f(whole, want, "")
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", answer{size: 2}, "")
	f(chunks+"9\r\ndata: 1\n\n\r\n7\r\ndata: [\r\n7\r\nDONE]\n\n\r\n0\r\n\r\n", want, "")

	f("", want, "EOF")
	f("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", answer{size: 3}, "EOF")
	f("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{ }", answer{size: 2}, "an answer of 3 bytes")
	f("HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\ndata: 1\n\ndata: [DONE]\n\n", want, "complete stream: false")
	f("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}", answer{size: 2}, "503 Service Unavailable")
	f("HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}", answer{size: 2}, "not HTTP/1.1 200")
	f("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", answer{size: 2}, "not HTTP/1.1 200")
	f("HTTP/1.1 200 OK\r\n\r\n{}", answer{size: 2}, "not told in one way")
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", answer{size: 2}, "not told in one way")
	f("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", answer{size: 2}, "not a length")
	f(strings.TrimSuffix(whole, "0\r\n\r\n"), want, "EOF")
	f(strings.TrimSuffix(whole, "\r\n"), want, "EOF")
	f(strings.TrimSuffix(whole, "\r\n")+"Trailer: 1\r\n\r\n", want, "goes on behind its length")
	f(chunks+"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n", answer{size: 18, lines: 4, stream: true}, "complete stream: false")
	f(chunks+"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", want, "an answer of 32 bytes")
	f(chunks+"9\r\ndata: 1\n\ndata: [DONE]\n\n\r\n0\r\n\r\n", want, "goes on behind its length")
	f(chunks+"x\r\n", want, "not a length")
	f(chunks+"\x13\r\n{}\n\r\n0\r\n\r\n", answer{size: 3, lines: 1}, "not a length")
	f("HTTP/1.1 200 OK\r\nContent-Length: \x12\r\n\r\n{}", answer{size: 2}, "not a length")
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\n\r\n\r\n{}", answer{size: 2}, "a line feed alone")
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n{}", answer{size: 2}, "a line feed alone")
	f(chunks+strings.Repeat("0", clientBuffer), want, "without an end")
}

// Bytes behind an answer would be taken for the next one.
func TestBytesBehindAnAnswer(t *testing.T) {
	l := newLoad(canned(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more"), "{}", answer{size: 2})
	c, hangUp, err := l.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp()
	if _, err := l.exchange(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := l.exchange(t.Context(), c); err == nil || !strings.Contains(err.Error(), "behind the end") {
		t.Errorf("got %v", err)
	}
}

// fastProvider is the simulated provider itself, as a gateway.
func fastProvider(t *testing.T, o simulator.FastOptions) *gateway {
	t.Helper()
	provider, err := simulator.StartFast("127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := provider.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return &gateway{name: "direct", addr: provider.Addr(), path: "/starmagic/v1/chat/completions", secret: "any"}
}

func TestLoads(t *testing.T) {
	g := fastProvider(t, simulator.FastOptions{Gap: 20 * time.Millisecond})
	body := promptOf(1000, streamOf(5))
	want, err := ask(t.Context(), g, body)
	if err != nil || want.lines != 2*(5+4) || !want.stream {
		t.Fatalf("%+v, %v", want, err)
	}
	l := newLoad(g, body, want)
	u, err := l.closedLoop(t.Context(), loop{clients: 3, window: 2 * time.Second}, watch{})
	if err != nil || u.requests < 3 || u.events < 3*9 || u.wall < 2*time.Second {
		t.Errorf("closed loop: %+v, %v", u, err)
	}
	took, err := l.firstBytes(t.Context(), pace{100, 50 * time.Millisecond, 200 * time.Millisecond})
	if err != nil || len(took) != 20 || medianOf(took) <= 0 || medianOf(took) > 20*time.Second {
		t.Errorf("open loop: %v, %v", took, err)
	}
	if got := l.meter.ended.Load() + 1; g.served.Load() != got {
		t.Errorf("%d served, %d ended", g.served.Load(), got)
	}
}

// So many streams are open at once, each for as long as a busy machine may take to begin them all.
func TestHold(t *testing.T) {
	g := fastProvider(t, simulator.FastOptions{Gap: 500 * time.Millisecond})
	body := promptOf(1000, streamOf(5))
	want, err := ask(t.Context(), g, body)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(g, body, want)
	looked := int64(0)
	if err := l.hold(t.Context(), 10, 10*time.Millisecond, func(context.Context) error {
		looked = l.meter.begun.Load()
		return nil
	}); err != nil || looked != 10 {
		t.Errorf("hold: %d open, %v", looked, err)
	}
	if got := l.meter.ended.Load() + 1; g.served.Load() != got {
		t.Errorf("%d served, %d ended", g.served.Load(), got)
	}
}

// Streams that end while they are looked at make the figure worthless.
func TestHoldNeedsOpenStreams(t *testing.T) {
	g := fastProvider(t, simulator.FastOptions{})
	body := promptOf(300, streamOf(1))
	want, err := ask(t.Context(), g, body)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(g, body, want)
	err = l.hold(t.Context(), 1, 0, func(ctx context.Context) error {
		for l.meter.ended.Load() == 0 {
			if err := sleep(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "too busy") {
		t.Errorf("got %v", err)
	}
}

func TestPrompts(t *testing.T) {
	f := func(size int, fields string) {
		t.Helper()
		body := promptOf(size, fields)
		if len(body) != size || strings.Contains(fields, "stream") != strings.Contains(body, `"stream":true`) {
			t.Errorf("%d bytes, want %d: %.200s", len(body), size, body)
		}
	}
	f(300, "")
	f(300, streamOf(200))
	f(1<<20, "")
}

// FuzzClient: what the reader takes as an answer, net/http reads as the same one.
func FuzzClient(f *testing.F) {
	for _, sent := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0003\r\n{}\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x13\r\n{}\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1B\r\n\"..........................\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\n\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n{}",
	} {
		f.Add([]byte(sent))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		got, err := newClient(&script{rest: sent}, &meter{}).read()
		if err != nil {
			return
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(sent)), nil)
		if err != nil {
			return // fields that mean nothing here are not looked at
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 200 || int64(len(body)) != got.size || int64(bytes.Count(body, []byte("\n"))) != got.lines {
			t.Fatalf("%+v, but net/http reads %d, %q, %v", got, response.StatusCode, body, err)
		}
	})
}

// script is a connection that sends its bytes one by one, and then ends.
type script struct {
	net.Conn
	rest []byte
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:1], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
