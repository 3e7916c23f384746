package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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
	var connected atomic.Bool
	s := served(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if connected.Swap(true) {
			<-r.Context().Done()
		}
	})
	transport, request := newTransport(t, TransportOptions{}), &Request{Candidate: at(t, s.URL), Body: []byte("{}")}
	answer, err := transport.Do(t.Context(), request) // the deadline is none of a connection
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = transport.Do(ctx, request)
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
