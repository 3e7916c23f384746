package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tollgate/upstream"
	"tollgate/usage"

	"github.com/valyala/fasthttp/fasthttputil"
)

// slowStop ends its stream some time after its context ended, as a busy process would.
type slowRecorder struct{ next Recorder }

func (s slowRecorder) Record(ctx context.Context, r usage.Record) error {
	time.Sleep(100 * time.Millisecond) // a slow fsync
	return s.next.Record(ctx, r)
}

func TestZZShutdownDoesNotWait(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&endless{ctx: ctx}), nil
	}), rigOptions{recorder: func(n Recorder) Recorder { return slowRecorder{n} }})
	server := NewServer(r.gateway)
	ln := fasthttputil.NewInmemoryListener()
	go server.Serve(ln)
	c, err := ln.Dial()
	must(t, err)
	fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", r.secret.Reveal(), len(streamOne), streamOne)
	br := bufio.NewReader(c)
	_, err = br.Peek(200)
	must(t, err)
	go io.Copy(io.Discard, br)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = server.Shutdown(ctx)
	t.Logf("Shutdown returned after %s: %v, in flight %d", time.Since(began), err, r.gateway.InFlight())
	must(t, r.ledger.Close()) // what process.close does next
	time.Sleep(400 * time.Millisecond)
	for _, l := range strings.Split(r.log.String(), "\n") {
		if strings.Contains(l, "usage record lost") {
			t.Log(l)
		}
	}
	rows, err := r.ledger.Sum(context.Background(), usage.Query{})
	t.Logf("rows %+v %v", rows, err)
}

func TestZZStalledClientAtShutdown(t *testing.T) {
	big := strings.Repeat("x", 4<<10)
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&flood{ctx: ctx, event: `data: {"choices":[{"index":0,"delta":{"content":"` + big + `"}}]}` + "\n\n"}), nil
	}), rigOptions{})
	server := NewServer(r.gateway)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go server.Serve(ln)
	c, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", r.secret.Reveal(), len(streamOne), streamOne)
	time.Sleep(500 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	err = server.Shutdown(ctx)
	time.Sleep(haltGrace + time.Second) // even if the grace were kept
	rows, _ := r.ledger.Sum(context.Background(), usage.Query{})
	t.Logf("Shutdown %v, in flight %d, rows %+v", err, r.gateway.InFlight(), rows)
}

type flood struct {
	ctx   context.Context
	event string
	rest  string
}

func (e *flood) Read(p []byte) (int, error) {
	if e.ctx.Err() != nil {
		return 0, context.Cause(e.ctx)
	}
	if e.rest == "" {
		e.rest = e.event
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestZZBodyPinned(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&endless{ctx: ctx}), nil
	}), rigOptions{memory: true, server: func(c *Config) { c.MaxBodyMemory = 10 << 20; c.MaxRequestBody = 4 << 20 }, upstream: func(c *upstream.Config) {
		c.Models["renamed"] = upstream.ModelConfig{Targets: []upstream.TargetConfig{{Provider: "other", Model: "real/name"}}}
	}})
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc >> 20
	}
	before := heap()
	for range 30 {
		body := r.open(`{"model":"renamed","messages":[{"role":"user","content":"` + strings.Repeat("x", 3<<20) + `"}],"stream":true}`)
		_, err := io.ReadFull(body, make([]byte, 200))
		must(t, err)
		defer body.Close()
	}
	time.Sleep(300 * time.Millisecond)
	t.Logf("heap before %d MiB, with 30 streams of 3 MiB bodies %d MiB; counted body memory %d", before, heap(), r.gateway.bodyMemory.Load())
}

func TestZZPlainNotAnAnswer(t *testing.T) {
	f := func(body string) {
		r := newRig(t, answering(body), rigOptions{})
		got := r.ask(`{"model":"any","messages":[{"role":"user","content":"hello there my friend"}]}`)
		rec := r.record(got)
		t.Logf("%s -> %d %s; end %s source %s prompt %d completion %d charge %d", body, got.status, got.body, rec.EndReason, rec.Source, rec.Prompt, rec.Completion, rec.Charge)
	}
	f(`{}`)
	f(`{"choices":[]}`)
	f(`{"code":500,"msg":"internal failure"}`)
	f(`{"id":"a1","choices":[{"index":0,"message":{"role":"assistant","content":"some real long answer"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3}}`)
	f(`{"id":"a1","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":300,"completion_tokens":0,"total_tokens":300}}`)
}

type panicBody struct{ n int }

func (p *panicBody) Read(b []byte) (int, error) {
	if p.n++; p.n == 1 {
		return copy(b, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n"), nil
	}
	panic("boom")
}

func TestZZPanicInStream(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&panicBody{}), nil
	}), rigOptions{})
	got := r.ask(streamOne)
	rec := r.record(got)
	t.Logf("%d %q %v: end %s source %s prompt %d completion %d charge %d", got.status, got.body, got.err, rec.EndReason, rec.Source, rec.Prompt, rec.Completion, rec.Charge)
}

type panicAtOnce struct{}

func (panicAtOnce) Read(b []byte) (int, error) { panic("boom") }

func TestZZPanicLeaksAttempt(t *testing.T) {
	var cause atomic.Value
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		context.AfterFunc(ctx, func() { cause.Store(context.Cause(ctx)) })
		return streamAnswer(panicAtOnce{}), nil
	}), rigOptions{})
	got := r.ask(streamOne)
	time.Sleep(200 * time.Millisecond)
	t.Logf("%d; upstream context ended: %v", got.status, cause.Load())
}

type panicRecorder struct{}

func (panicRecorder) Record(context.Context, usage.Record) error { panic("boom") }

func TestZZPanicInSettle(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, q *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{recorder: func(Recorder) Recorder { return panicRecorder{} }})
	got := r.ask(plainAlias)
	recs, _ := r.records.ByRequest(context.Background(), got.header.Get("X-Request-Id"))
	t.Logf("%d %s records %d log %s", got.status, got.body, len(recs), r.log.String()[:200])
}

type emfile struct {
	net.Listener
	n atomic.Int64
}

func (l *emfile) Accept() (net.Conn, error) {
	if l.n.Add(1) == 1 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: &osErr{syscall.EMFILE}}
	}
	return l.Listener.Accept()
}

type osErr struct{ syscall.Errno }

func TestZZAcceptError(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := NewServer(r.gateway)
	served := make(chan error, 1)
	go func() { served <- server.Serve(&emfile{Listener: ln}) }()
	select {
	case err := <-served:
		t.Logf("Serve returned: %v", err)
	case <-time.After(3 * time.Second):
		t.Log("serves on")
	}
	ln.Close()
}

func TestZZShutdownBeforeServe(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := NewServer(r.gateway)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	must(t, server.Shutdown(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	select {
	case err := <-served:
		t.Logf("Serve returned: %v", err)
	case <-time.After(2 * time.Second):
		t.Log("Serve never returns")
	}
	ln.Close()
	<-served
}

type lateEnd struct {
	io.Reader
	ctx context.Context
}

func (l *lateEnd) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err == io.EOF {
		<-l.ctx.Done()
		return 0, context.Cause(l.ctx)
	}
	return n, err
}

func TestZZFinishDelays(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&lateEnd{strings.NewReader(someStream), ctx}), nil
	}), rigOptions{memory: true})
	body := r.open(streamOne)
	defer body.Close()
	var got []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(got), "[DONE]") {
		n, err := body.Read(buf)
		must(t, err)
		got = append(got, buf[:n]...)
	}
	at := time.Now()
	_, err := io.ReadAll(body)
	t.Logf("end of body %s after [DONE]: %v", time.Since(at), err)
}

func TestZZPipelinedWithheld(t *testing.T) {
	hold := make(chan struct{})
	var n atomic.Int64
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		if n.Add(1) == 2 {
			<-hold
		}
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{memory: true})
	c, err := r.dial()
	must(t, err)
	defer c.Close()
	one := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", r.secret.Reveal(), len(plainAlias), plainAlias)
	go io.WriteString(c, one+one)
	got := make(chan time.Duration, 1)
	at := time.Now()
	go func() { c.Read(make([]byte, 1)); got <- time.Since(at) }()
	time.Sleep(time.Second)
	close(hold)
	t.Logf("first byte of the first answer after %s; asked %d", <-got, n.Load())
}

func TestZZOversizeNotDelivered(t *testing.T) {
	big := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("word ", 40<<10) + `"}}]}` + "\n\n"
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(broken(big)), nil
	}), rigOptions{})
	got := r.ask(streamOne)
	rec := r.record(got)
	t.Logf("%d bytes delivered, %v: end %s source %s prompt %d completion %d charge %d cost? ", len(got.body), got.err, rec.EndReason, rec.Source, rec.Prompt, rec.Completion, rec.Charge)
	img := `data: {"choices":[{"index":0,"delta":{"images":[{"image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", 20<<10) + `"}}]}}]}` + "\n\n"
	r2 := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(broken(img)), nil
	}), rigOptions{})
	got = r2.ask(streamOne)
	rec = r2.record(got)
	t.Logf("%d bytes delivered, %v: end %s source %s prompt %d completion %d charge %d", len(got.body), got.err, rec.EndReason, rec.Source, rec.Prompt, rec.Completion, rec.Charge)
}

func TestZZExpect(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{})
	c, err := r.dial()
	must(t, err)
	defer c.Close()
	go io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer nobody\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n")
	br := bufio.NewReader(c)
	l, _ := br.ReadString('\n')
	t.Logf("%q", l)
}

func TestZZSlowBodyHoldsMemory(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, server: func(c *Config) { c.MaxBodyMemory = 2 << 20; c.MaxRequestBody = 1 << 20; c.ReadTimeout = 2 * time.Second }})
	c, err := r.dial()
	must(t, err)
	defer c.Close()
	go io.WriteString(c, fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", r.secret.Reveal(), 1<<20, strings.Repeat(" ", 9000)))
	time.Sleep(200 * time.Millisecond)
	_, other := r.issue(specOther())
	r.secret = other
	got := r.ask(plainAlias)
	t.Logf("another tenant: %d %s", got.status, got.body)
}

func TestZZFirstTokenAlarmInWrite(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&slowStart{ctx: ctx}), nil
	}), rigOptions{upstream: func(c *upstream.Config) {
		m := c.Models["any"]
		m.Timeouts.FirstToken = 150 * time.Millisecond
		c.Models["any"] = m
	}})
	server := NewServer(r.gateway)
	mem := fasthttputil.NewInmemoryListener()
	go server.Serve(slowListener{mem})
	c, err := mem.Dial()
	must(t, err)
	fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", r.secret.Reveal(), len(streamOne), streamOne)
	text, err := io.ReadAll(c)
	t.Logf("%q %v", text[max(0, len(text)-400):], err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	server.Shutdown(ctx)
}

type slowStart struct {
	ctx context.Context
	n   int
}

func (s *slowStart) Read(p []byte) (int, error) {
	s.n++
	switch s.n {
	case 1:
		time.Sleep(100 * time.Millisecond)
		return copy(p, someStream[:strings.Index(someStream, `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish`)]), nil
	case 2:
		if s.ctx.Err() != nil {
			return 0, context.Cause(s.ctx)
		}
		return copy(p, someStream[strings.Index(someStream, `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish`):]), nil
	}
	return 0, io.EOF
}

type slowListener struct{ net.Listener }

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{Conn: c}, nil
}

type slowConn struct {
	net.Conn
	n int
}

func (c *slowConn) Write(p []byte) (int, error) {
	if c.n++; c.n == 1 {
		time.Sleep(150 * time.Millisecond)
	}
	return c.Conn.Write(p)
}

func TestZZCountingRace(t *testing.T) {
	for range 30 {
		r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
			return nil, errors.New("no")
		}), rigOptions{memory: true})
		c, err := r.dial()
		must(t, err)
		body := strings.Replace(streamOne, `"any"`, `"gemini-2.0-flash"`, 1)
		fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", r.secret.Reveal(), len(body), body[:10])
		time.Sleep(5 * time.Millisecond)
		go r.gateway.Close()
		io.WriteString(c, body[10:])
		io.CopyN(io.Discard, c, 100)
		c.Close()
	}
}
