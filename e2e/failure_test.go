package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// TestProvidersFail makes the providers of the alias fail together, in every way
// in which no other can help: the client gets a typed error, and no bill.
func TestProvidersFail(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"FIRST_TOKEN": "2s", "ANSWER": "2s"})
	c := f.call(t, f.issue(t).Secret)
	// By both ways of asking, every time: the last case needs the breakers still closed.
	both := func(model, prompt string, check func(*answer)) {
		t.Helper()
		check(c.plain(t.Context(), ask(model, prompt+", plainly")))
		check(c.stream(t.Context(), ask(model, prompt+", in a stream")))
	}
	unbilled := func(a *answer, end string) {
		t.Helper()
		if r := f.record(t, a.id()); r.EndReason != end || r.Charge != 0 || r.figures() != (figures{}) {
			t.Errorf("billed %+v, want nothing and the end reason %s", r, end)
		}
	}

	f.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 500})
	both("gemini-flash", "Everyone is down", func(a *answer) {
		a.refused(t, refused{502, "server_error", "upstream_error", ""})
		unbilled(a, "upstream_failed")
	})
	for _, prompt := range []string{"Everyone is down, plainly", "Everyone is down, in a stream"} {
		if asked := providersOf(f.attempts(t, prompt)); !slices.Equal(asked, []string{"evolink", "starmagic", "theturbo"}) {
			t.Errorf("asked %v, want each of the three once", asked)
		}
	}
	f.providers.ClearFaults()

	f.inject(t, simulator.Fault{Kind: simulator.HangBeforeHeaders, Provider: simulator.Evolink, Times: 2})
	both("gemini-3-pro-preview", "Silence", func(a *answer) {
		a.refused(t, refused{504, "server_error", "upstream_timeout", ""})
		unbilled(a, "upstream_timeout")
	})
	for _, prompt := range []string{"Silence, plainly", "Silence, in a stream"} {
		if e := f.attempt(t, prompt); !e.ClientGone {
			t.Errorf("%s: the provider was not told that nobody waits any more: %+v", prompt, e)
		}
	}

	f.inject(t, simulator.Fault{
		Kind: simulator.Respond, Status: 422, Times: 2,
		Body: `{"error":{"message":"The temperature is too high today.","type":"invalid_request_error","param":"temperature","code":"too_hot"}}`,
	})
	both("gemini-flash", "Refused", func(a *answer) {
		e := a.refused(t, refused{422, "invalid_request_error", "too_hot", "temperature"})
		if e.Message != "The temperature is too high today." {
			t.Errorf("the provider's message became %q", e.Message)
		}
		unbilled(a, "refused")
	})
	f.attempt(t, "Refused, plainly") // nobody else was asked: they would refuse too

	f.tripAll(t, c)
}

// tripAll lets everyone fail until every breaker is open: then the answer comes
// at once, nobody is asked, and the client is told when to come back.
func (f *fleet) tripAll(t *testing.T, c caller) {
	t.Helper()
	f.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 500})
	for range 20 {
		a := c.plain(t.Context(), ask("gemini-flash", "Is anybody there?"))
		if refusalOf(t, a.err).StatusCode == 502 {
			continue
		}
		a.refused(t, refused{503, "server_error", "upstream_unavailable", ""})
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || seconds < 1 || seconds > 13 {
			t.Errorf("retry-after is %q, want 1 to 13 seconds", a.header.Get("Retry-After"))
		}
		before := len(f.providers.Truth())
		c.stream(t.Context(), ask("gemini-flash", "Is anybody there?")).refused(t, refused{503, "server_error", "upstream_unavailable", ""})
		if after := len(f.providers.Truth()); after != before {
			t.Errorf("%d requests were sent upstream through open breakers", after-before)
		}
		if _, body := f.get(t, "/admin/v1/upstreams"); strings.Count(body, `"state":"open"`) != 3 {
			t.Errorf("the operators see %s, want three open breakers", body)
		}
		return
	}
	t.Fatal("20 failures in a row, and no breaker has opened")
}

func providersOf(entries []simulator.Entry) []string {
	var names []string
	for _, e := range entries {
		names = append(names, string(e.Provider))
	}
	slices.Sort(names)
	return names
}

// TestCutStream lets the provider break off inside its answer: what came so far
// stays, and nobody can take it for the whole.
func TestCutStream(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	f.behave(simulator.Behaviour{Tokens: 40})
	for _, reset := range []bool{false, true} {
		for i, model := range []string{"gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-3-pro-preview"} {
			prompt := fmt.Sprintf("Please break off, %s, with a reset: %v", model, reset)
			f.inject(t, simulator.Fault{Kind: simulator.Cut, AtByte: 4000 + int64(i), Reset: reset, Times: 1})
			a := c.stream(t.Context(), ask(model, prompt))
			a.interrupted(t, "upstream_interrupted")
			e := f.attempt(t, prompt)
			if e.Done || a.text() == "" || !strings.HasPrefix(e.Choices[0].Text, a.text()) {
				t.Errorf("%s: the client has %q of %q", model, a.text(), e.Choices[0].Text)
			}
			f.checkPartial(t, f.accessed(t, a.id()), e, "upstream_cut")
		}
	}
	// The client stops reading at the error event. Whoever reads on sees that the transfer itself broke off.
	f.inject(t, simulator.Fault{Kind: simulator.Cut, AtByte: 4000, Times: 1})
	f.readBroken(t, f.issue(t).Secret)
}

// readBroken asks for a stream over bare HTTP, which must end in the middle of
// its transfer.
func (f *fleet) readBroken(t *testing.T, secret string) {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t, patience), http.MethodPost, f.url+"/v1/chat/completions",
		strings.NewReader(`{"model":"gemini-flash","messages":[{"role":"user","content":"Please break off"}],"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(string(raw), `data: {"error":{`) {
		t.Errorf("the transfer ended with %v, want an unexpected end:\n%s", err, raw)
	}
}

// accessed is the record of a request whose end the client could not wait for.
func (f *fleet) accessed(t *testing.T, requestID string) record {
	t.Helper()
	f.accessLine(t, requestID)
	return f.record(t, requestID)
}

// checkPartial holds the bill of an answer that broke off against what the
// provider had delivered until then. Estimated tokens are not the simulator's
// words: half of them and twice as many are both fine, the whole answer is not.
func (f *fleet) checkPartial(t *testing.T, r record, e simulator.Entry, end string) {
	t.Helper()
	if r.EndReason != end || r.Source != "partial" || r.Provider != string(e.Provider) {
		t.Errorf("record %+v, want a partial one of %s that ended as %s", r, e.Provider, end)
	}
	if r.PromptTokens <= 0 || r.CompletionTokens <= 0 || r.CompletionTokens > 2*e.TokensWritten+2 {
		t.Errorf("billed %+v, the provider had delivered %d tokens", r.figures(), e.TokensWritten)
	}
	if want := tariffs()[r.Model].charge(r.figures()); r.Charge != want || want == 0 {
		t.Errorf("charged %d nano-dollars, want %d", r.Charge, want)
	}
}

// TestFailover takes a provider of the alias away and brings it back: no client
// notices either, and it gets its share of the work again.
func TestFailover(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"REQUESTS_PER_MINUTE": "0"})
	c := f.call(t, f.issue(t).Secret)
	down := simulator.StarMagic // three quarters of the first tier
	f.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 503, Provider: down})
	for i := range 50 {
		by := c.plain
		if i%2 == 1 {
			by = c.stream
		}
		a := by(t.Context(), ask("gemini-flash", fmt.Sprintf("Please answer request %d", i)))
		a.complete(t)
		if r := f.record(t, a.id()); r.Provider == string(down) || r.Charge == 0 {
			t.Errorf("request %d: billed %+v while %s was down", i, r, down)
		}
	}
	failed := 0
	for _, e := range f.providers.Truth() {
		if e.Provider == down {
			failed++
		}
	}
	// Five in a row open the breaker; a slow machine may see its three probes as well.
	if failed == 0 || failed > 8 {
		t.Errorf("%s was asked %d times while it was down, want its breaker to stop that after five", down, failed)
	}
	f.providers.ClearFaults()
	ctx := within(t, patience) // the breaker is open for 10 s, give or take 3
	traffic := time.NewTicker(50 * time.Millisecond)
	defer traffic.Stop()
	for i := 0; ; i++ {
		prompt := fmt.Sprintf("Are you back? %d.", i)
		c.plain(t.Context(), ask("gemini-flash", prompt)).complete(t)
		if e := f.attempt(t, prompt); e.Provider == down && e.Done {
			return
		}
		select {
		case <-traffic.C:
		case <-ctx.Done():
			t.Fatalf("%s is back and gets no traffic", down)
		}
	}
}
