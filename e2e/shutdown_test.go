package e2e

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
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

// endsAtOnce fails the test unless the gateway, told to end, does not wait for
// what the test has set to a minute and more.
func (g *gateway) endsAtOnce(t *testing.T) {
	t.Helper()
	began := time.Now()
	g.terminate(t)
	g.stopped(t)
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the end took %s", took)
	}
}

// TestShutdown goes through a whole end with everything open that can be: what
// may still begin begins, what may still end ends, what is left is cut short in
// the open, and every part of it is on the bill.
func TestShutdown(t *testing.T) {
	t.Parallel()
	const delay, drain = time.Second, 2 * time.Second
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

// TestSecondSignal ends a gateway that drains by a second signal: at once, as if
// it had no handler. What it had on the bill is there after the restart.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"DRAIN_TIMEOUT": "5m"})
	key := f.issue(t)
	a := f.call(t, key.Secret).plain(t.Context(), ask("gemini-flash", "Will you remember me?"))
	e := f.checkText(t, a, "Will you remember me?")
	f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: 20 * time.Millisecond})
	endless := f.endless(t, key.Secret)
	f.terminate(t)
	f.draining(t)
	f.terminate(t)
	f.checked = true
	f.exit(t, patience/2)
	if status, ok := f.command.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("the process ended as %s, want by the signal", f.command.ProcessState)
	}
	if r := <-endless.ended; r.err == nil || strings.Contains(r.body, "[DONE]") {
		t.Errorf("a stream that was killed looks whole: %s", r)
	}
	f.behave(simulator.Behaviour{})
	f.start(t)
	f.checkBill(t, a, e)
	f.call(t, key.Secret).plain(t.Context(), ask("gemini-flash", "Is my key still good?")).complete(t)
}

// TestNothingToDrain ends a gateway whose connections wait: the used one for its
// next request, the fresh one for its first.
func TestNothingToDrain(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"DRAIN_TIMEOUT": "5m", "READ_TIMEOUT": "5m"})
	key := f.issue(t)
	used, fresh := f.dial(t), f.dial(t)
	used.write(t, models(key.Secret))
	used.answered(t, http.StatusOK, "")
	f.endsAtOnce(t)
	used.closed(t)
	fresh.closed(t)
}

// TestShutdownStuckWriter ends a gateway while it writes to a client that reads
// nothing: the end does not wait for that client, and the bill does not suffer.
func TestShutdownStuckWriter(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"DRAIN_TIMEOUT": "1s", "WRITE_TIMEOUT": "5m"})
	key := f.issue(t)
	// Far more than all the buffers on the way hold.
	f.behave(simulator.Behaviour{Text: strings.Repeat("over and over again ", 2<<20), Tokens: 1 << 16, ChunkBytes: 16 << 10})
	const prompt = "Please tell me more than I can take"
	w := f.dial(t)
	w.write(t, completion(key.Secret, inStream(question("gemini-2.5-flash-lite", prompt))))
	id := w.head(t, http.MethodPost).Header.Get("X-Request-Id")
	f.stuck(t)
	f.endsAtOnce(t)
	e := f.attempt(t, prompt)
	if !e.ClientGone {
		t.Errorf("the provider was not told: %+v", e)
	}
	f.start(t)
	if r := f.record(t, id); r.EndReason != "shutdown" || r.Source != "partial" || r.CompletionTokens == 0 || r.Charge == 0 {
		t.Errorf("the record is %+v, want a partial one that ended as shutdown", r)
	}
}

// stuck waits until the provider of the one request there is can write no more:
// every buffer up to the client is full.
func (f *fleet) stuck(t *testing.T) {
	t.Helper()
	const still = 25 // looks at the same figure, 10 ms apart
	same, before := 0, int64(0)
	until(t, "a provider that can write no more", patience, func() bool {
		written := f.providers.Truth()[0].TokensWritten
		if same++; written != before || written == 0 {
			same, before = 0, written
		}
		return same >= still
	})
}

// TestShutdownAbandonsDrains ends a gateway while it reads on for a client that
// has left: nobody waits for that answer, so the end does not either.
func TestShutdownAbandonsDrains(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"ON_DISCONNECT": "drain", "DRAIN_TIMEOUT": "5m"})
	key := f.issue(t)
	f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: 20 * time.Millisecond})
	const prompt = "Please go on without me"
	w := f.dial(t)
	w.write(t, completion(key.Secret, inStream(question("gemini-2.5-flash-lite", prompt))))
	id := w.head(t, http.MethodPost).Header.Get("X-Request-Id")
	f.delivering(t, prompt)
	w.Close()
	until(t, "the request's place to be given back", patience, func() bool { return f.inProgress(t) == "0" })
	if e := f.providers.Truth()[0]; !e.Ended.IsZero() {
		t.Fatalf("the provider was not read on: %+v", e)
	}
	f.endsAtOnce(t)
	e := f.attempt(t, prompt)
	if !e.ClientGone {
		t.Errorf("the provider was not told: %+v", e)
	}
	f.start(t)
	f.checkPartial(t, f.record(t, id), e, "client_gone")
}

// TestShutdownBeforeTheAnswer ends a gateway while a provider has not said a
// word: nothing was sent yet, so the clients get a real status.
func TestShutdownBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"DRAIN_TIMEOUT": "500ms"})
	c := f.call(t, f.issue(t).Secret)
	f.inject(t, simulator.Fault{Kind: simulator.HangBeforeHeaders})
	ended := make(chan *answer, 2)
	for _, by := range []func(string) *answer{
		func(prompt string) *answer { return c.plain(t.Context(), ask("gemini-flash", prompt)) },
		func(prompt string) *answer { return c.stream(t.Context(), ask("gemini-flash", prompt)) },
	} {
		go func() { ended <- by("Is anybody there?") }()
	}
	_, err := f.providers.Await(within(t, patience), func(all []simulator.Entry) bool {
		return len(all) == 2 && all[0].Fault != "" && all[1].Fault != ""
	})
	if err != nil {
		t.Fatal(err)
	}
	f.terminate(t)
	f.stopped(t)
	for _, e := range f.attempts(t, "Is anybody there?") {
		if !e.ClientGone {
			t.Errorf("the provider was not told: %+v", e)
		}
	}
	f.start(t)
	for range 2 {
		a := receive(t, ended)
		a.refused(t, refused{503, "server_error", "shutting_down", ""})
		if a.header.Get("Retry-After") == "" {
			t.Error("the client is not told when to come back")
		}
		if r := f.record(t, a.id()); r.EndReason != "shutdown" || r.Charge != 0 || r.CompletionTokens != 0 {
			t.Errorf("the record is %+v, want one without a charge that ended as shutdown", r)
		}
	}
}
