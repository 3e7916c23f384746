package e2e

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// inProgress is the figure that operators watch while a gateway drains.
func (g *gateway) inProgress(t *testing.T) string {
	t.Helper()
	return g.scrape(t)["http_server_active_requests"]
}

// draining waits until a gateway that was asked to end says so to its operators.
func (g *gateway) draining(t *testing.T) {
	t.Helper()
	until(t, "/readyz to say no", patience, func() bool {
		status, _ := g.get(t, "/readyz")
		return status == http.StatusServiceUnavailable
	})
	if status, body := g.get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d %s while draining, want 200", status, body)
	}
}

// TestShutdown goes through a whole end with everything open that can be: what
// may still begin begins, what may still end ends, what is left is cut short in
// the open, and every part of it is on the bill.
func TestShutdown(t *testing.T) {
	t.Parallel()
	const delay, drain = 4 * time.Second, 6 * time.Second // for what a busy machine does in each of them
	p := newPuppet(t)
	f := newFleet(t, environment{"FOURTH": p.url, "SHUTDOWN_DELAY": delay.String(), "DRAIN_TIMEOUT": drain.String()})
	key := f.issue(t)
	c := f.call(t, key.Secret)
	f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: 20 * time.Millisecond})

	idle, busy, silent := f.dial(t), f.dial(t), f.dial(t)
	for _, w := range []*wire{idle, busy} {
		w.write(t, models(key.Secret))
		if r := w.answered(t, http.StatusOK, ""); r.header.Get("Connection") == "close" {
			t.Error("a gateway in its best years closes connections")
		}
	}
	begin := func(prompt string, by func(string) *answer) (*part, <-chan *answer) {
		t.Helper()
		part, ended := p.expect(prompt), make(chan *answer, 1)
		go func() { ended <- by(prompt) }()
		happens(t, prompt, part.asked)
		return part, ended
	}
	stream := func(prompt string) *answer { return c.stream(t.Context(), ask("fourth", prompt)) }
	plain := func(prompt string) *answer { return c.plain(t.Context(), ask("fourth", prompt)) }
	first, firstEnded := begin("A stream from before", stream)
	first.say <- word("Hello")
	call, callEnded := begin("A plain call from before", plain)
	endless := f.endless(t, key.Secret)

	signalled := time.Now()
	f.terminate(t)
	f.draining(t)
	for _, w := range []*wire{busy, f.dial(t)} {
		w.write(t, models(key.Secret))
		if r := w.answered(t, http.StatusOK, ""); r.header.Get("Connection") != "close" {
			t.Error("an answer keeps its connection to a gateway that ends")
		}
		w.closed(t)
	}
	late, lateEnded := begin("A stream from the last moment", stream)
	late.say <- word("Hello")

	refusesConnections(t, f.url)
	if after := time.Since(signalled); after < delay {
		t.Errorf("connections are refused after %s, within the delay of %s", after, delay)
	}
	idle.closed(t)
	if got := f.inProgress(t); got != "4" {
		t.Errorf("operators are told that %s requests are in progress, want 4", got)
	}
	first.end(word(" you") + lastWords)
	late.end(word(" there") + lastWords)
	call.end(fourthAnswer)
	answers := map[string]*answer{"Hello you": receive(t, firstEnded), "Hello there": receive(t, lateEnded), "It was the fourth.": receive(t, callEnded)}
	for text, a := range answers {
		if a.complete(t); a.text() != text || a.completion.Choices[0].FinishReason != "stop" {
			t.Errorf("got %q, want %q", a.text(), text)
		}
	}
	f.watched(t, endless.ended)

	cut := <-endless.ended
	f.stopped(t)
	if took := time.Since(signalled); took < delay+drain {
		t.Errorf("the gateway ended after %s, before its time was over", took)
	}
	silent.closed(t)
	cut.cutShort(t)
	e := f.attempt(t, endless.prompt)
	if !e.ClientGone {
		t.Errorf("the provider was not told: %+v", e)
	}
	f.start(t)
	f.checkPartial(t, f.record(t, cut.id()), e, "shutdown")
	for _, a := range answers {
		if r := f.record(t, a.id()); r.EndReason != "completed" {
			t.Errorf("the record is %+v", r)
		}
	}
}

// openEnd is a stream that only the gateway's end ends.
type openEnd struct {
	prompt string
	ended  chan reply
}

// endless begins one, read over bare HTTP: to its last byte.
func (f *fleet) endless(t *testing.T, secret string) openEnd {
	t.Helper()
	s := openEnd{"Please never end, " + t.Name(), make(chan reply, 1)}
	client := f.bare(t)
	ctx := within(t, patience)
	go func() {
		s.ended <- client.send(ctx, wish{secret: secret, body: inStream(question("gemini-2.5-flash-lite", s.prompt))})
	}()
	f.delivering(t, s.prompt)
	return s
}

func (r reply) id() string { return r.header.Get("X-Request-Id") }

// cutShort fails the test unless the stream was ended by the gateway's end: one
// error event, the last, no [DONE], and the transfer itself without an end.
func (r reply) cutShort(t *testing.T) {
	t.Helper()
	events := strings.Split(r.body, "\n\n")
	if n := len(events); n < 3 || events[n-1] != "" || !strings.HasPrefix(events[n-2], `data: {"error":{`) ||
		!strings.HasSuffix(events[n-2], `"type":"server_error","param":null,"code":"shutting_down"}}`) {
		t.Errorf("the last event should be an error with the code shutting_down:\n%s", r)
	}
	if got := strings.Count(r.body, `{"error"`); got != 1 {
		t.Errorf("%d error events, want one", got)
	}
	if strings.Contains(r.body, "[DONE]") || !errors.Is(r.err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream that was cut short ends as if it were whole: %v", r.err)
	}
}

// watched scrapes the operators' listener until the stream has ended: it must
// answer until then.
func (g *gateway) watched(t *testing.T, ended chan reply) {
	t.Helper()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	client := g.bare(t)
	client.url = g.admin
	const series = "\nhttp_server_active_requests "
	for seen := 0; ; seen++ {
		<-pace.C
		r := client.send(t.Context(), wish{method: http.MethodGet, path: "/metrics"})
		_, rest, _ := strings.Cut(r.body, series)
		figure, _, _ := strings.Cut(rest, "\n")
		if r.err == nil && r.status == http.StatusOK && figure == "1" {
			continue
		}
		select {
		case end := <-ended: // the figure was of the moment after it, or nobody was there to tell it
			ended <- end
		case <-time.After(time.Second):
			t.Errorf("while a stream was open, /metrics answered %d, %v, with %q in progress", r.status, r.err, figure)
		}
		if seen == 0 {
			t.Error("nobody saw the last stream in progress")
		}
		return
	}
}
