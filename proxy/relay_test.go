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
	"testing"
	"time"

	"tollgate/proxy/sse"
	"tollgate/upstream"
	"tollgate/usage"
)

const streamOne = `{"model":"any","messages":[{"role":"user","content":"hello"}],"stream":true}`

// TestCutStream cuts the provider's stream at every byte: never a [DONE], never
// a clean end, and what the client has is a prefix of what the provider sent
// plus at most one error event.
func TestCutStream(t *testing.T) {
	at := 0
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(broken(someStream[:at])), nil
	}), rigOptions{memory: true})
	const event = `data: {"error":{"message":"the provider broke off its answer: what came so far is incomplete","type":"server_error","param":null,"code":"upstream_interrupted"}}` + "\n\n"
	content := strings.Index(someStream, `"hi"`)
	content += strings.Index(someStream[content:], "\n\n") + 2
	done := strings.Index(someStream, "data: [DONE]") + len("data: [DONE]\n\n")
	for at = range done {
		// The breaker of the one endpoint must not refuse the next cut.
		r.gateway.Follow(Plan{Table: freshTable(t), Prices: r.gateway.plan.Load().Prices})
		got := r.ask(streamOne)
		if at < content {
			if got.status != 502 {
				t.Fatalf("cut at %d: status %d, want 502: nothing had been forwarded", at, got.status)
			}
			r.record(got)
			continue
		}
		forwarded, found := strings.CutSuffix(got.body, event)
		if got.status != 200 || got.err == nil || !found || strings.Contains(got.body, "[DONE]") || !strings.HasPrefix(someStream, forwarded) {
			t.Fatalf("cut at %d: %d %v %q", at, got.status, got.err, got.body)
		}
		// A usage object that came before the cut is what the provider will charge.
		if record := r.record(got); record.EndReason != usage.EndUpstreamCut || record.Completion == 0 {
			t.Fatalf("cut at %d: billed %+v", at, record)
		}
	}
	r.idle()
}

func freshTable(t *testing.T) *upstream.Table {
	t.Helper()
	table, err := upstream.NewTable(rigUpstreams(nil), upstream.TableOptions{})
	must(t, err)
	return table
}

// TestDishonestEnds lists the ways a stream can look complete and not be.
func TestDishonestEnds(t *testing.T) {
	finish := strings.Index(someStream, `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish_reason"`)
	f := func(name, stream string, end usage.EndReason) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
				return streamAnswer(strings.NewReader(stream)), nil
			}), rigOptions{})
			got := r.ask(streamOne)
			complete := got.err == nil && strings.HasSuffix(got.body, "data: [DONE]\n\n")
			if complete != (end == usage.EndCompleted) {
				t.Errorf("complete to the client: %v: %v %q", complete, got.err, got.body)
			}
			if n := strings.Count(got.body, "[DONE]"); n > 1 || !complete && n > 0 {
				t.Errorf("%d times [DONE]: %q", n, got.body)
			}
			if record := r.record(got); record.EndReason != end {
				t.Errorf("end reason %s, want %s", record.EndReason, end)
			}
			r.idle()
		})
	}
	f("as it should be", someStream, usage.EndCompleted)
	f("a clean end without [DONE]", strings.TrimSuffix(someStream, "data: [DONE]\n\n"), usage.EndUpstreamCut)
	f("a clean end after the content", someStream[:finish], usage.EndUpstreamCut)
	f("[DONE] without a finish reason", someStream[:finish]+"data: [DONE]\n\n", usage.EndUpstreamCut)
	f("an error event in the middle", someStream[:finish]+`data: {"error":{"message":"oops"}}`+"\n\n"+someStream[finish:], usage.EndUpstreamCut)
	f("an event that is not JSON", someStream[:finish]+"data: {\"id\n\n"+someStream[finish:], usage.EndUpstreamCut)
	f("two [DONE]", someStream+"data: [DONE]\n\n", usage.EndCompleted)
	f("bytes after [DONE]", someStream+"data: {\"more\":1}\n\n", usage.EndCompleted)
	f("a [DONE] without its blank line", strings.TrimSuffix(someStream, "\n\n")+"\n\n", usage.EndCompleted)
}

// TestEventsArriveOneByOne sends events 50 ms apart: each must reach the client
// before the next one is sent.
func TestEventsArriveOneByOne(t *testing.T) {
	const events, gap = 8, 50 * time.Millisecond
	pipe, feed := io.Pipe()
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(pipe), nil
	}), rigOptions{})
	arrived := make(chan string)
	go func() {
		defer feed.Close()
		for i := range events {
			time.Sleep(gap)
			fmt.Fprintf(feed, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d\"}}]}\n\n", i)
			select {
			case got := <-arrived:
				if !strings.Contains(got, fmt.Sprintf(`"content":"%d"`, i)) {
					t.Errorf("event %d: got %q", i, got)
				}
			case <-time.After(patience):
				t.Errorf("event %d did not arrive before the next one was due", i)
				return
			}
		}
		io.WriteString(feed, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}()
	body := r.open(streamOne)
	defer body.Close()
	lines := bufio.NewScanner(body)
	for n := 0; n < events && lines.Scan(); {
		if line := lines.Text(); line != "" {
			arrived <- line
			n++
		}
	}
	rest, err := io.ReadAll(body)
	if err != nil {
		t.Errorf("the end: %v %q", err, rest)
	}
	r.idle()
}

// open sends a chat completion and returns its body as it comes.
func (r *rig) open(body string) io.ReadCloser {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://gateway/v1/chat/completions", strings.NewReader(body))
	must(r.t, err)
	request.Header.Set("Authorization", "Bearer "+r.secret.Reveal())
	response, err := r.client.Do(request)
	must(r.t, err)
	return response.Body
}

// TestClientLeaves closes the client's connection in the middle of a stream: the
// provider's request is cancelled and what was delivered is on the bill.
func TestClientLeaves(t *testing.T) {
	cancelled := make(chan error, 1)
	r := newRig(t, legFunc(func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		context.AfterFunc(ctx, func() { cancelled <- context.Cause(ctx) })
		return streamAnswer(&endless{ctx: ctx}), nil
	}), rigOptions{})
	body := r.open(streamOne)
	_, err := io.ReadFull(body, make([]byte, 200))
	must(t, err)
	must(t, body.Close())
	select {
	case why := <-cancelled:
		if !errors.Is(why, errClientGone) {
			t.Errorf("cancelled because %v", why)
		}
	case <-time.After(patience):
		t.Fatal("the provider's request goes on after the client left")
	}
	r.idle()
	rows, err := r.books.Sum(context.Background(), usage.Query{By: []usage.Dimension{usage.ByTenant}, From: time.Now().AddDate(0, 0, -1), To: time.Now().AddDate(0, 0, 1)})
	must(t, err)
	if len(rows) != 1 || rows[0].Requests != 1 || rows[0].CompletionTokens == 0 {
		t.Errorf("billed %+v", rows)
	}
	if !strings.Contains(r.log.String(), `"end_reason":"client_gone"`) {
		t.Errorf("the access line does not say that the client left:\n%s", r.log.String())
	}
}

// endless streams one event after the other until its context ends.
type endless struct {
	ctx  context.Context
	rest string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.ctx.Err() != nil {
		return 0, context.Cause(e.ctx)
	}
	if e.rest == "" {
		time.Sleep(time.Millisecond)
		e.rest = `data: {"choices":[{"index":0,"delta":{"content":" word"}}]}` + "\n\n"
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// TestRelayAllocatesNothingPerEvent relays two streams, one much longer than
// the other and with 45 checkpoints more, and expects the same number of allocations.
func TestRelayAllocatesNothingPerEvent(t *testing.T) {
	chunk := `data: {"id":"s1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null}` + "\n\n"
	notes := new(noteCounter)
	r := newRig(t, legFunc(nil), rigOptions{recorder: func(Recorder) Recorder { return notes }})
	allocations := func(events int) float64 {
		stream := strings.Repeat(chunk, events)
		conn := &discardConn{}
		return testing.AllocsPerRun(20, func() {
			x := &exchange{gateway: r.gateway, conn: connectionOf(conn), accepted: time.Now(), model: mustModel(r), settled: true}
			x.serving = relayedServing(r.gateway, io.NopCloser(&perEvent{stream: stream, size: len(chunk)}))
			n, err := x.WriteTo(io.Discard)
			if !errors.Is(err, errInterrupted) || n < int64(len(stream)) {
				t.Fatalf("relayed %d of %d bytes: %v", n, len(stream), err)
			}
			x.serving.close()
		})
	}
	short, long := allocations(1100), allocations(11_100) // the first kilobyte of text is counted, for checkpoints
	// What is left is the buffer of the answer's text, which doubles now and then.
	if perEvent := (long - short) / 10_000; perEvent > 0.02 {
		t.Errorf("%.3f allocations per event (%.0f for 1,100 events, %.0f for 11,100), want none", perEvent, short, long)
	}
	if notes.notes < 20*48 {
		t.Errorf("%d checkpoints prove little", notes.notes)
	}
}

// noteCounter counts notes, and keeps none.
type noteCounter struct {
	discardRecorder
	notes int
}

func (n *noteCounter) Note(*usage.Record) { n.notes++ }

func mustModel(r *rig) *upstream.Model {
	m, ok := r.gateway.plan.Load().Table.Model("any")
	if !ok {
		r.t.Fatal("no such model")
	}
	return m
}

// relayedServing is an attempt whose first event is about to be relayed.
func relayedServing(g *Gateway, body io.ReadCloser) *serving {
	s := &serving{gateway: g, choices: 1, meter: g.Estimator.NewMeter(usage.CountAtEnd), response: &upstream.Response{Status: 200, Body: body}}
	s.tap.Reset(s.meter)
	s.ctx, s.cancel = context.WithCancelCause(g.running)
	s.alarm = newAlarm(s.cancel, time.Now().Add(10*time.Minute))
	s.framer, _ = g.framers.Get().(*sse.Framer)
	return s
}

// perEvent gives one event per read, as a provider that flushes each does.
type perEvent struct {
	stream string
	size   int
}

func (p *perEvent) Read(b []byte) (int, error) {
	if p.stream == "" {
		return 0, io.EOF
	}
	n := copy(b, p.stream[:min(p.size, len(p.stream))])
	p.stream = p.stream[n:]
	return n, nil
}

// discardConn is a connection of which only the deadline is set.
type discardConn struct{ net.Conn }

func (*discardConn) SetWriteDeadline(time.Time) error { return nil }

func (*discardConn) RemoteAddr() net.Addr { return nil }
