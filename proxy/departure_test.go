package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/valyala/fasthttp"
)

// socketRig is a rig whose gateway is also reached over a real socket: there it
// sees clients leave.
type socketRig struct {
	*rig
	server  *Server
	address string
}

func newSocketRig(t *testing.T, leg Leg, o rigOptions) *socketRig {
	t.Helper()
	r := &socketRig{rig: newRig(t, leg, o)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r.address = ln.Addr().String()
	r.server, err = NewServer(r.gateway)
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		must(t, r.server.Shutdown(ctx))
		must(t, <-served)
	})
	return r
}

// start sends a chat completion over a connection of its own.
func (r *socketRig) start(body string) *net.TCPConn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address)
	must(r.t, err)
	must(r.t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, r.request(body))
	must(r.t, err)
	return conn.(*net.TCPConn)
}

// settled waits for the end of everything in progress, and returns the access
// line of the one request.
func (r *socketRig) settled() string {
	r.t.Helper()
	var line string
	eventually(r.t, "the request's access line", func() bool {
		for l := range strings.Lines(r.log.String()) {
			if strings.Contains(l, `"msg":"request"`) {
				line = l
			}
		}
		return line != "" && r.gateway.InFlight() == 0 && r.gateway.Drains() == 0
	})
	return line
}

// only returns the bill of the one request.
func (r *socketRig) only() usage.Record {
	r.t.Helper()
	line := r.settled()
	_, after, _ := strings.Cut(line, `"request_id":"`)
	id, _, _ := strings.Cut(after, `"`)
	_, bill := r.billOf(id)
	return bill
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s passed without %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// provider is a leg that says when it was asked and when it was cancelled.
type provider struct {
	asked, cancelled chan struct{}
	answer           func(ctx context.Context) (*upstream.Response, error)
}

func newProvider(answer func(ctx context.Context) (*upstream.Response, error)) *provider {
	return &provider{asked: make(chan struct{}, 8), cancelled: make(chan struct{}, 8), answer: answer}
}

func (p *provider) Do(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
	context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), errFinished) {
			p.cancelled <- struct{}{}
		}
	})
	p.asked <- struct{}{}
	return p.answer(ctx)
}

const (
	oneWord  = `data: {"id":"s1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"some words of an answer"},"finish_reason":null}]}` + "\n\n"
	roleOnly = `data: {"id":"s1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
)

// TestLeavingCancels lets a client leave at each moment of a request: its
// provider is told at once, and the record says why.
func TestLeavingCancels(t *testing.T) {
	silent := func(first string) func(context.Context) (*upstream.Response, error) {
		return func(ctx context.Context) (*upstream.Response, error) {
			return streamAnswer(io.MultiReader(strings.NewReader(first), hangReader{ctx})), nil
		}
	}
	hang := func(ctx context.Context) (*upstream.Response, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	f := func(name, body string, answer func(context.Context) (*upstream.Response, error), until string, status int, delivered bool) {
		for _, leave := range []struct {
			name string
			how  func(*net.TCPConn) error
		}{
			{"FIN", (*net.TCPConn).Close},
			{"half-close", (*net.TCPConn).CloseWrite},
			{"RST", func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }},
			{"FIN behind another request", func(c *net.TCPConn) error {
				_, err := io.WriteString(c, "GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
				return errors.Join(err, c.Close())
			}},
		} {
			t.Run(name+"/"+leave.name, func(t *testing.T) {
				t.Parallel()
				p := newProvider(answer)
				r := newSocketRig(t, p, rigOptions{})
				conn := r.start(body)
				defer conn.Close()
				<-p.asked
				if until != "" {
					expect(t, conn, until)
				}
				must(t, leave.how(conn))
				select {
				case <-p.cancelled:
				case <-time.After(patience):
					t.Fatal("the provider was not told")
				}
				record := r.only()
				if record.EndReason != usage.EndClientGone || record.Source != usage.SourcePartial {
					t.Errorf("recorded %s, %s", record.EndReason, record.Source)
				}
				if (record.Completion > 0) != delivered || record.Delivered != record.Completion || record.Prompt == 0 {
					t.Errorf("tokens: %d prompt, %d completion, %d delivered", record.Prompt, record.Completion, record.Delivered)
				}
				if line := r.settled(); !strings.Contains(line, fmt.Sprintf(`"status":%d`, status)) {
					t.Errorf("want status %d: %s", status, line)
				}
			})
		}
	}
	f("before headers", streamOne, hang, "", 499, false)
	f("before the first token", streamOne, silent(roleOnly), "", 499, false)
	f("a silent stream", streamOne, silent(oneWord), oneWord, 200, true)
	f("a plain call", plainAlias, hang, "", 499, false)
	f("a plain answer on its way", plainAlias, func(ctx context.Context) (*upstream.Response, error) {
		body := io.MultiReader(strings.NewReader(someAnswer[:20]), hangReader{ctx})
		return &upstream.Response{Status: 200, ContentType: "application/json", ContentLength: int64(len(someAnswer)), Body: io.NopCloser(body)}, nil
	}, "", 499, false)
}

// expect reads until text has come.
func expect(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	var got strings.Builder
	buffer := make([]byte, 1024)
	for !strings.Contains(got.String(), text) {
		n, err := conn.Read(buffer)
		got.Write(buffer[:n])
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
	}
}

// TestLeavingBeforeTheAttempt asks nobody, and costs nothing.
func TestLeavingBeforeTheAttempt(t *testing.T) {
	p := newProvider(func(context.Context) (*upstream.Response, error) { return plainAnswer(200, someAnswer), nil })
	r := newRig(t, p, rigOptions{})
	conn := &connection{Conn: &discardConn{}}
	conn.left()
	var ctx fasthttp.RequestCtx
	ctx.Init2(conn, nil, false)
	ctx.Request.Header.SetMethod(http.MethodPost)
	ctx.Request.SetBodyStream(strings.NewReader(plainAlias), len(plainAlias))
	x := r.gateway.newExchange(&ctx)
	x.route, x.http11, x.framed, x.known, x.key = routeChat, true, true, true, r.key
	x.guard(&ctx, r.gateway.serve)
	x.finish()
	if x.status != 499 {
		t.Errorf("status %d, want 499", x.status)
	}
	if len(p.asked) != 0 {
		t.Error("a provider was asked")
	}
	if record := x.record; record.EndReason != usage.EndClientGone || record.Charge != 0 || record.Cost != 0 || record.Prompt != 0 {
		t.Errorf("recorded %+v", record)
	}
}

// countingReader counts what was read of it.
type countingReader struct {
	io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// stalls waits until a reader is no longer read.
func stalls(t *testing.T, c *countingReader) {
	t.Helper()
	last, since := int64(0), time.Now()
	eventually(t, "a reader that nobody reads", func() bool {
		if n := c.n.Load(); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 200*time.Millisecond
	})
}

// TestLeavingWhileStalled shuts down the sending side of a client that accepts
// nothing: the write that waits for it ends at once. What is held for it is
// bounded, on both sides of the gateway.
func TestLeavingWhileStalled(t *testing.T) {
	body := &countingReader{}
	p := newProvider(func(ctx context.Context) (*upstream.Response, error) {
		body.Reader = io.MultiReader(strings.NewReader(someContent(32<<20)), hangReader{ctx})
		return streamAnswer(body), nil
	})
	r := newSocketRig(t, p, rigOptions{})
	conn := r.start(streamOne)
	defer conn.Close()
	must(t, conn.SetReadBuffer(4<<10))
	_, err := io.ReadFull(conn, make([]byte, 400)) // the stream has begun; no more is read
	must(t, err)
	stalls(t, body)
	if held := body.n.Load(); held > 1<<20 {
		t.Errorf("%d bytes are held for a client that reads nothing, want less than 1 MiB", held)
	}
	must(t, conn.CloseWrite())
	<-p.cancelled
	if record := r.only(); record.EndReason != usage.EndClientGone {
		t.Errorf("recorded %s", record.EndReason)
	}
}

// TestStalledClientsAreNamed cuts a client that accepts nothing, and says so.
func TestStalledClientsAreNamed(t *testing.T) {
	f := func(name, body string, answer func(context.Context) (*upstream.Response, error), end usage.EndReason) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newSocketRig(t, newProvider(answer), rigOptions{server: func(c *Config) { c.WriteTimeout = 300 * time.Millisecond }})
			conn := r.start(body)
			defer conn.Close()
			must(t, conn.SetReadBuffer(4<<10))
			if line := r.settled(); !strings.Contains(line, `"error_code":"client_stalled"`) || !strings.Contains(line, `"end_reason":"`+string(end)+`"`) {
				t.Error(line)
			}
		})
	}
	f("stream", streamOne, func(ctx context.Context) (*upstream.Response, error) {
		return streamAnswer(io.MultiReader(strings.NewReader(someContent(8<<20)), hangReader{ctx})), nil
	}, usage.EndClientGone)
	f("plain", plainAlias, func(context.Context) (*upstream.Response, error) {
		return plainAnswer(200, strings.Replace(someAnswer, "hi", strings.Repeat("x", 8<<20), 1)), nil
	}, usage.EndCompleted)
}

// TestSlowButSteady reads a large answer slowly, and without a pause: it is not
// one that accepts nothing, however long the answer takes as a whole.
func TestSlowButSteady(t *testing.T) {
	const (
		size    = 8 << 20                 // far more than the kernel would take by itself
		stalled = 1500 * time.Millisecond // of a client that gets no time on a busy machine too
	)
	r := newSocketRig(t, answering(strings.Replace(someAnswer, "hi", strings.Repeat("x", size), 1)), rigOptions{server: func(c *Config) {
		c.WriteTimeout = stalled
	}})
	conn := r.start(plainAlias)
	defer conn.Close()
	must(t, conn.SetReadBuffer(16<<10))
	began, got := time.Now(), 0
	buffer := make([]byte, 32<<10)
	for got < size {
		n, err := conn.Read(buffer)
		if got += n; err != nil {
			t.Fatalf("%v after %d bytes and %s", err, got, time.Since(began))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took < 2*stalled {
		t.Errorf("%s is not slow enough to tell", took)
	}
}

// TestNoCrossCancellation keeps one connection and leaves on many others: the
// one that stays gets its whole answer.
func TestNoCrossCancellation(t *testing.T) {
	var wait sync.WaitGroup
	release := make(chan struct{})
	p := newProvider(func(ctx context.Context) (*upstream.Response, error) {
		select {
		case <-release:
			return plainAnswer(200, someAnswer), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	p.asked, p.cancelled = make(chan struct{}, 1000), make(chan struct{}, 1000)
	r := newSocketRig(t, p, rigOptions{memory: true})
	stays := r.start(plainAlias)
	defer stays.Close()
	const leavers = 100
	for range leavers {
		wait.Go(func() {
			conn := r.start(plainAlias)
			_ = conn.Close()
		})
	}
	wait.Wait()
	eventually(t, "the leavers' end", func() bool { return r.gateway.InFlight() == 1 })
	close(release)
	response, err := http.ReadResponse(bufio.NewReader(stays), nil)
	must(t, err)
	defer response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("the client that stayed got %d", response.StatusCode)
	}
}

// TestFailedAttemptsAreNotTheTenants leaves while a second provider is being
// connected to: the first one's failure costs the tenant nothing.
func TestFailedAttemptsAreNotTheTenants(t *testing.T) {
	connecting := make(chan struct{})
	r := newSocketRig(t, legFunc(func(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
		if r.Candidate.Provider.Name == "starmagic" {
			return plainAnswer(500, "{}"), nil
		}
		close(connecting)
		<-ctx.Done()
		return nil, &upstream.ConnectError{Address: "a", Err: context.Cause(ctx)}
	}), rigOptions{})
	conn := r.start(plainAlias)
	<-connecting
	must(t, conn.Close())
	if record := r.only(); record.EndReason != usage.EndClientGone || record.Prompt != 0 || record.Charge != 0 || record.Provider != "" {
		t.Errorf("recorded %+v", record)
	}
}

// TestDrainsHoldNoBodies reads an answer on without its large request.
func TestDrainsHoldNoBodies(t *testing.T) {
	p, writer := pipedProvider()
	r := newSocketRig(t, p, rigOptions{upstream: draining(nil)})
	conn := r.start(strings.Replace(streamOne, `"messages"`, strings.Repeat(" ", 1<<20)+`"messages"`, 1))
	<-p.asked
	must(t, conn.Close())
	eventually(t, "a drain", func() bool { return r.gateway.Drains() == 1 })
	_, err := io.WriteString(writer, oneWord+oneWord)
	must(t, err)
	eventually(t, "a body given back", func() bool { return r.gateway.bodyMemory.Load() == 0 })
	must(t, writer.Close())
	if record := r.only(); record.Prompt == 0 {
		t.Errorf("recorded %+v", record)
	}
}

// TestDrainsHoldSlots reads an answer on without its client: its provider is busy with it, and so is its key's slot.
func TestDrainsHoldSlots(t *testing.T) {
	p, writer := pipedProvider()
	r := newSocketRig(t, p, rigOptions{upstream: draining(nil), spec: keys.Spec{Limits: keys.Limits{Concurrent: 1}}})
	conn := r.start(streamOne)
	<-p.asked
	must(t, conn.Close())
	eventually(t, "a drain", func() bool { return r.gateway.Drains() == 1 })
	if got := r.ask(plainAlias); got.status != 429 {
		t.Errorf("another request got %d %s while the key's only slot is taken", got.status, got.body)
	}
	must(t, writer.Close())
	r.settled()
	if held := r.gateway.Limiter.Stats().Held; held != 0 {
		t.Errorf("%d slots are held when all is over", held)
	}
}

// TestAnnouncedOnAClosedConnection gives the place of a request back whose
// connection was closed while it was being let through.
func TestAnnouncedOnAClosedConnection(t *testing.T) {
	r := newSocketRig(t, answering(someAnswer), rigOptions{})
	c := r.server.connections.add(&closingConn{})
	x := &exchange{gateway: r.gateway, conn: c, accepted: time.Now()}
	must(t, x.enter())
	must(t, c.Close()) // by a shutdown
	c.announced.Store(x)
	must(t, c.Close()) // by its own goroutine
	if n := r.gateway.InFlight(); n != 0 {
		t.Errorf("%d requests in flight", n)
	}
}

type closingConn struct{ net.Conn }

func (c *closingConn) Close() error { return nil }
