package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tollgate/proxy/watch"
	"tollgate/upstream"
	"tollgate/usage"
)

// TestShutdownWaitsForRecords ends the server under a stream whose record takes
// its time: when Shutdown has returned, the ledger may be closed.
func TestShutdownWaitsForRecords(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&endless{ctx: ctx}), nil
	}), rigOptions{
		server:   func(c *Config) { c.DrainTimeout = 50 * time.Millisecond },
		recorder: func(next Recorder) Recorder { return slowRecorder{next} },
	})
	body := r.open(streamOne)
	defer body.Close()
	_, err := io.ReadFull(body, make([]byte, 200))
	must(t, err)
	go io.Copy(io.Discard, body)
	r.idle()
	checkOneRecord(t, r, usage.EndShutdown)
}

// TestShutdownWakesStalledClients does so under a client that accepts nothing.
func TestShutdownWakesStalledClients(t *testing.T) {
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(io.MultiReader(strings.NewReader(someContent(32<<20)), hangReader{ctx})), nil
	}), rigOptions{server: func(c *Config) { c.DrainTimeout = 50 * time.Millisecond }})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server, err := NewServer(r.gateway)
	must(r.t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	defer conn.Close()
	must(t, conn.(*net.TCPConn).SetReadBuffer(4<<10))
	_, err = io.WriteString(conn, r.request(streamOne))
	must(t, err)
	_, err = io.ReadFull(conn, make([]byte, 400)) // the stream has begun; no more is read
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	must(t, server.Shutdown(ctx))
	must(t, <-served)
	checkOneRecord(t, r, usage.EndShutdown)
}

func checkOneRecord(t *testing.T, r *rig, end usage.EndReason) {
	t.Helper()
	rows, err := r.books.Sum(context.Background(), usage.Query{})
	must(t, err)
	if len(rows) != 1 || rows[0].Requests != 1 || rows[0].CompletionTokens == 0 {
		t.Errorf("recorded %+v, want the one request with what was delivered", rows)
	}
	if log := r.log.String(); !strings.Contains(log, `"end_reason":"`+string(end)+`"`) {
		t.Errorf("want end reason %s:\n%s", end, log)
	}
}

type slowRecorder struct{ Recorder }

func (s slowRecorder) Settle(ctx context.Context, r *usage.Record) error {
	time.Sleep(200 * time.Millisecond) // a disk's bad moment
	return s.Recorder.Settle(ctx, r)
}

// someContent is about n bytes of events with content, and no end.
func someContent(n int) string {
	event := `data: {"choices":[{"index":0,"delta":{"content":" word"}}]}` + "\n\n"
	return strings.Repeat(event, n/len(event))
}

// request is a chat completion as bytes for a connection.
func (r *rig) request(body string) string {
	return "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + r.secret.Reveal() +
		"\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// TestOpenStreamsHoldNoBodies opens streams with large requests: once they run,
// neither the requests nor their rewritten copies are in memory.
func TestOpenStreamsHoldNoBodies(t *testing.T) {
	const streams, size = 12, 3 << 20
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(io.MultiReader(strings.NewReader(someContent(1000)), hangReader{ctx})), nil
	}), rigOptions{memory: true})
	image := strings.Repeat("A", size)
	body := `{"model":"gemini-2.5-flash-lite","stream":true,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + image + `"}}]}]}`
	before := heap()
	for range streams {
		open := r.open(body)
		defer open.Close()
		_, err := io.ReadFull(open, make([]byte, 500))
		must(t, err)
	}
	if grown := heap() - before; grown > size*streams/4 {
		t.Errorf("%d open streams with bodies of %d MiB hold %d MiB", streams, size>>20, grown>>20)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBodiesOfEverySize sends bodies around every step of the buffer, framed
// both ways, up to the very limit and one byte beyond.
func TestBodiesOfEverySize(t *testing.T) {
	const limit = 300 << 10
	var sent int
	r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
		sent = len(q.Body)
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{memory: true, server: func(c *Config) { c.MaxRequestBody, c.MaxBodyMemory = limit, 2*limit+4<<10 }})
	const open, end = `{"model":"any","messages":[{"role":"user","content":"`, `"}]}`
	for _, size := range []int{len(open + end), 1 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 256<<10 + 1, limit - 1, limit, limit + 1} {
		body := open + strings.Repeat("x", size-len(open+end)) + end
		want := 200
		if size > limit {
			want = 413
		}
		for _, framing := range []io.Reader{strings.NewReader(body), struct{ io.Reader }{strings.NewReader(body)}} {
			got := r.send(framing)
			if got.status != want || want == 200 && sent != size {
				t.Errorf("%d bytes: status %d, want %d; %d bytes went on: %.200s", size, got.status, want, sent, got.body)
			}
		}
	}
	r.idle()
}

// TestEmptyAnswersAreFree gives the reader nothing: no charge, unless the
// provider's tokens all went into reasoning.
func TestEmptyAnswersAreFree(t *testing.T) {
	f := func(name, figures string, end usage.EndReason, charge usage.NanoUSD) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
				const choice = `{"content":""},"finish_reason":"stop"}],"usage":`
				if q.Stream {
					return streamAnswer(strings.NewReader(`data: {"choices":[{"index":0,"delta":` + choice + figures + "}\n\ndata: [DONE]\n\n")), nil
				}
				return plainAnswer(200, `{"choices":[{"index":0,"message":`+choice+figures+`}`), nil
			}), rigOptions{memory: true})
			for _, request := range []string{plainAlias, streamAlias} {
				got := r.ask(request)
				if got.status != 200 || got.err != nil {
					t.Fatalf("got %d %v %s", got.status, got.err, got.body)
				}
				if record := r.record(got); record.EndReason != end || record.Charge != charge {
					t.Errorf("billed %+v, want %s and %s", record, end, charge)
				}
			}
		})
	}
	f("no tokens", `{"prompt_tokens":300,"completion_tokens":0,"total_tokens":300}`, usage.EndNoOutput, 0)
	f("no figures", `null`, usage.EndNoOutput, 0)
	f("reasoning alone", `{"prompt_tokens":300,"completion_tokens":50,"total_tokens":350,"completion_tokens_details":{"reasoning_tokens":50}}`, usage.EndCompleted, 400_000)
}

// TestContentWithoutFigures delivers text that the provider says cost nothing:
// that cannot be, so Tollgate's own count is charged.
func TestContentWithoutFigures(t *testing.T) {
	body := strings.Replace(someAnswer, `"completion_tokens":2,"total_tokens":5`, `"completion_tokens":0,"total_tokens":3`, 1)
	r := newRig(t, answering(body), rigOptions{})
	if record := r.record(r.ask(plainAlias)); record.Source != usage.SourceRejected || record.Completion == 0 {
		t.Errorf("billed %+v", record)
	}
}

// TestOversizeEventsCountAsDelivered cuts a stream behind one long event.
func TestOversizeEventsCountAsDelivered(t *testing.T) {
	long := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("word ", 40_000) + `"}}]}` + "\n\n"
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(broken(long)), nil
	}), rigOptions{})
	got := r.ask(streamOne)
	if !strings.HasPrefix(got.body, long) || got.err == nil {
		t.Fatalf("%d bytes, %v", len(got.body), got.err)
	}
	if record := r.record(got); record.EndReason != usage.EndUpstreamCut || record.Charge == 0 {
		t.Errorf("billed %+v, want a charge for what was delivered", record)
	}
}

// TestPanicsAreNotTheClients panics while a stream is read and while a record
// is made: one record, no charge for nothing, everything given back.
func TestPanicsAreNotTheClients(t *testing.T) {
	ended := make(chan struct{}, 1)
	r := newRig(t, legFunc(func(ctx context.Context, q *upstream.Request) (*upstream.Response, error) {
		context.AfterFunc(ctx, func() { ended <- struct{}{} })
		return streamAnswer(io.MultiReader(strings.NewReader(someContent(100)), panicReader{})), nil
	}), rigOptions{})
	got := r.ask(streamOne)
	if record := r.record(got); got.err == nil || record.EndReason != usage.EndUpstreamCut {
		t.Errorf("%v, billed %+v", got.err, record)
	}
	<-ended
	r.idle()
}

// TestPanicOfTheTokenizer loses the tokenizer: prompts are counted in a goroutine
// of their own, where a panic would end the process. The record stands.
func TestPanicOfTheTokenizer(t *testing.T) {
	stream := `data: {"choices":[{"index":0,"delta":{"content":"hello there"},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(strings.NewReader(stream)), nil
	}), rigOptions{})
	r.gateway.Estimator = nil
	got := r.ask(`{"model":"gemini-2.0-flash","messages":[{"role":"user","content":"What is it?"}],"stream":true}`)
	if got.status != 200 || got.err != nil {
		t.Fatalf("got %d %v %s", got.status, got.err, got.body)
	}
	// 11 bytes each: three tokens at four bytes to a token.
	if record := r.record(got); record.Source != usage.SourceEstimated || record.Prompt != 3 || record.Completion != 3 {
		t.Errorf("billed %+v", record)
	}
	r.idle()
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("prompt canary") }

func TestPanicInAnAttemptEndsIt(t *testing.T) {
	ended := make(chan struct{}, 1)
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		context.AfterFunc(ctx, func() { ended <- struct{}{} })
		panic("prompt canary")
	}), rigOptions{})
	if got := r.ask(plainAlias); got.status != 500 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	<-ended
	r.idle()
}

// TestPanicsCostWhatTheyMay panics at several places of an attempt: the provider may have
// been asked, and what that costs is on record.
func TestPanicsCostWhatTheyMay(t *testing.T) {
	f := func(name string, leg legFunc, aloud bool, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r := newRig(t, leg, rigOptions{costs: rigCosts(), server: func(c *Config) { c.KeepaliveBeforeFirstToken = aloud }})
			request := plainAlias
			if aloud {
				request = streamAlias
			}
			got := r.ask(strings.Replace(request, `}]`, `}],"max_tokens":10`, 1))
			r.idle()
			failures, bill := r.billOf(got.header.Get("X-Request-Id"))
			line := fmt.Sprintf("%d: %s %s charge %d cost %d", got.status, bill.EndReason, bill.Source, bill.Charge, bill.Cost)
			for _, a := range failures {
				line += fmt.Sprintf(", attempt %d %s %s cost %d", a.Attempt, a.EndReason, a.Source, a.Cost)
			}
			if line != want {
				t.Errorf("%s\nwant %s", line, want)
			}
		})
	}
	asked := func(context.Context, *upstream.Request) (*upstream.Response, error) { panic("prompt canary") }
	read := func(context.Context, *upstream.Request) (*upstream.Response, error) {
		a := plainAnswer(200, someAnswer)
		a.Body, a.ContentLength = io.NopCloser(panicReader{}), -1
		return a, nil
	}
	const want = "500: upstream_failed none charge 0 cost 0, attempt 0 upstream_failed partial cost 10500"
	f("while it is asked", asked, false, want)
	f("while it answers", read, false, want)
	f("behind a comment's back", asked, true, want)
}

func TestPanicOfTheLedger(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{recorder: func(next Recorder) Recorder { return panicRecorder{next} }})
	for range 2 {
		got := r.ask(plainAlias)
		if _, code, _, _ := errorOf(t, got); got.status != 500 || code != "internal_error" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	r.idle()
}

type panicRecorder struct{ Recorder }

func (panicRecorder) Settle(context.Context, *usage.Record) error { panic("disk") }

// TestSlowReadersOfPlainAnswers accepts a large answer steadily, for longer
// than write_timeout: only a client that accepts nothing is cut.
func TestSlowReadersOfPlainAnswers(t *testing.T) {
	large := strings.Replace(someAnswer, `"hi"`, `"`+strings.Repeat("x", 4<<20)+`"`, 1)
	r := newRig(t, answering(large), rigOptions{memory: true, server: func(c *Config) { c.WriteTimeout = time.Second }})
	body := r.open(plainAlias)
	defer body.Close()
	var got bytes.Buffer
	for {
		n, err := io.CopyN(&got, body, 256<<10)
		if errors.Is(err, io.EOF) && n < 256<<10 {
			break
		}
		must(t, err)
		time.Sleep(150 * time.Millisecond)
	}
	if got.String() != large {
		t.Errorf("got %d bytes, want %d", got.Len(), len(large))
	}
	r.idle()
}

// TestPipelinedAnswersDoNotWait holds the second of two pipelined requests: the
// first one's answer must be there already.
func TestPipelinedAnswersDoNotWait(t *testing.T) {
	first, second := make(chan struct{}), make(chan struct{})
	asked := 0
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		if asked++; asked == 2 {
			close(first)
			<-second
		}
		return plainAnswer(200, someAnswer), nil
	}), rigOptions{memory: true})
	conn, err := r.dial()
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, r.request(plainAlias)+r.request(plainAlias))
	must(t, err)
	<-first
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	if _, err := io.ReadFull(conn, make([]byte, 200)); err != nil {
		t.Errorf("the first answer waits for the second: %v", err)
	}
	close(second)
}

// TestRefusalsNameTheWayOut checks the headers that RFC 9110 asks for.
func TestRefusalsNameTheWayOut(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{})
	if got := r.do("DELETE", "/v1/models", ""); got.status != 405 || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("got %d, Allow %q", got.status, got.header.Get("Allow"))
	}
	r.secret = "tg_wrong"
	if got := r.ask(plainAlias); got.status != 401 || got.header.Get("Www-Authenticate") != "Bearer" {
		t.Errorf("got %d, WWW-Authenticate %q", got.status, got.header.Get("Www-Authenticate"))
	}
}

// TestAcceptErrorsPass runs out of descriptors now and then: the server lives.
func TestAcceptErrorsPass(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	log := new(lockedBuffer)
	watcher, err := watch.New()
	must(t, err)
	defer watcher.Close()
	all := &connections{watcher: watcher, log: slog.New(slog.NewTextHandler(log, nil)), open: map[*connection]struct{}{}}
	ln := &listener{Listener: &flakyListener{Listener: inner, failures: 3}, all: all}
	go func() {
		if conn, err := net.Dial("tcp", inner.Addr().String()); err == nil {
			conn.Close()
		}
	}()
	conn, err := ln.Accept()
	must(t, err)
	must(t, conn.Close())
	if n := strings.Count(log.String(), "too many open files"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	must(t, ln.Close())
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

type flakyListener struct {
	net.Listener
	failures int
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}
