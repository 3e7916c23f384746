package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"tollgate/simulator"
)

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
	f := newFleet(t, environment{"DRAIN_TIMEOUT": "300ms", "WRITE_TIMEOUT": "5m"})
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
	f := newFleet(t, environment{"DRAIN_TIMEOUT": "200ms"})
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
