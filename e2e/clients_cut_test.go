package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// sdkCut is one way to break a stream, and what becomes of it.
type sdkCut struct {
	name  string
	fault simulator.Fault
	end   string // the record's end reason
	code  string // the error event's
}

// sdkCuts are all ways in which a stream breaks without a word of the gateway's own limits.
func sdkCuts() []sdkCut {
	const events, bytes = 10, 2500
	broken := func(name string, fault simulator.Fault) sdkCut {
		return sdkCut{name, fault, "upstream_cut", "upstream_interrupted"}
	}
	return []sdkCut{
		broken("between two events", simulator.Fault{Kind: simulator.CutBetween, Events: events}),
		broken("inside an event", simulator.Fault{Kind: simulator.Cut, AtByte: bytes}),
		broken("inside an event, with a reset", simulator.Fault{Kind: simulator.Cut, AtByte: bytes, Reset: true}),
		broken("inside an HTTP chunk", simulator.Fault{Kind: simulator.CutInside, AtByte: bytes}),
		broken("at a chunk that is none", simulator.Fault{Kind: simulator.MalformedChunk, Events: events}),
		broken("at an event that is none", simulator.Fault{Kind: simulator.MalformedEvent, Events: events}),
		broken("by an error event", simulator.Fault{Kind: simulator.ErrorEvent, Events: events}),
		broken("by a clean end", simulator.Fault{Kind: simulator.EndEarly, Events: events}),
		broken("by [DONE] without a finish reason", simulator.Fault{Kind: simulator.DoneWithoutFinish}),
	}
}

// TestClientsSeeCuts breaks streams in every way in which a provider can: no
// program takes what came for a whole answer.
func TestClientsSeeCuts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"IDLE": "1s"})
	secret := f.issue(t).Secret
	clients := sdks(t)
	silence := sdkCut{"by silence", simulator.Fault{Kind: simulator.Stall, Events: 10}, "upstream_timeout", "upstream_timeout"}
	check := func(provider simulator.Provider, style simulator.Style, cuts []sdkCut) {
		f.behave(simulator.Behaviour{Tokens: 20, Gap: time.Millisecond, Style: style}, provider)
		t.Run(fmt.Sprintf("%s, %s", provider, style), func(t *testing.T) {
			t.Parallel()
			for _, client := range clients {
				if !client.reads(style) {
					continue
				}
				for _, c := range cuts { // one by one: a fault strikes the next request
					t.Run(client.language+" "+c.name, func(t *testing.T) { f.seesCut(t, client, secret, provider, c) })
				}
			}
		})
	}
	check(simulator.StarMagic, simulator.LF, sdkCuts())
	check(simulator.TheTurbo, simulator.CR, sdkCuts())
	check(simulator.Evolink, simulator.CRLF, append(sdkCuts(), silence))
}

// seesCut asks for a stream that breaks, and for a whole one behind it: a
// client goes on working, and five failures in a row would open the breaker.
func (f *fleet) seesCut(t *testing.T, client namedSDK, secret string, provider simulator.Provider, c sdkCut) {
	t.Helper()
	prompt := "Please break off, " + t.Name() + "."
	c.fault.Provider, c.fault.Times = provider, 1
	f.inject(t, c.fault)
	params := withUsage(ask(modelOf(provider), prompt))
	a := client.chat(t.Context(), t, sdkRequest{f.gateway, secret, true, params, nil})
	failure := a.failed(t)
	e := f.attempt(t, prompt)
	if a.Text == "" || !strings.HasPrefix(e.Choices[0].Text, a.Text) || a.Finish != "" || a.Usages != 0 {
		t.Errorf("the program has %+v, of %q", a, e.Choices[0].Text)
	}
	if failure.Status != 0 || failure.Code != c.code {
		t.Errorf("the program got %+v, want the code %s", failure, c.code)
	}
	if r := f.record(t, a.RequestID); r.EndReason != c.end {
		t.Errorf("the record says %s, want %s", r.EndReason, c.end)
	}
	prompt = "Please go on, " + t.Name() + "."
	a = client.chat(t.Context(), t, sdkRequest{f.gateway, secret, true, ask(modelOf(provider), prompt), nil})
	f.checkSeen(t, a, prompt, 0)
}

// TestClientsSeeLateErrors lets a request fail when comments have fixed the
// status at 200 already: the error event behind them is an error to a program.
func TestClientsSeeLateErrors(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"KEEPALIVE_COMMENT": "100ms", "KEEPALIVE_BEFORE_FIRST_TOKEN": "true", "FIRST_TOKEN": "1s"})
	secret := f.issue(t).Secret
	f.inject(t, simulator.Fault{Kind: simulator.HangBeforeHeaders})
	for _, client := range sdks(t) {
		a := client.chat(t.Context(), t, sdkRequest{f.gateway, secret, true, ask(modelOf(simulator.Evolink), "Please be silent."), nil})
		if failure := a.failed(t); failure.Status != 0 || failure.Code != "upstream_timeout" {
			t.Errorf("%s got %+v, want an error event with the code upstream_timeout", client.language, failure)
		}
	}
}

// TestClientsAbort aborts requests at every stage of an answer: the provider
// need not go on, and the record says why the answer ended.
func TestClientsAbort(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: 2 * time.Millisecond})
	for _, client := range sdks(t) {
		check := func(name string, stream bool, tokens int64, provider simulator.Provider, fault simulator.Fault) {
			t.Run(client.language+", "+name, func(t *testing.T) {
				if fault.Kind != "" {
					fault.Provider, fault.Times = provider, 1
					f.inject(t, fault)
				}
				f.aborts(t, client, stream, tokens, provider)
			})
		}
		check("a plain answer that does not come", false, 0, simulator.StarMagic, simulator.Fault{Kind: simulator.HangBeforeHeaders})
		check("a stream whose header does not come", true, 0, simulator.StarMagic, simulator.Fault{Kind: simulator.HangBeforeHeaders})
		check("before the first token", true, 0, simulator.TheTurbo, simulator.Fault{Kind: simulator.HangBeforeFirstEvent})
		check("inside the answer", true, 20, simulator.Evolink, simulator.Fault{})
		check("in a silence inside the answer", true, 19, simulator.TheTurbo, simulator.Fault{Kind: simulator.Stall, Events: 20})
	}
}

// aborts asks with a key of its own, by which the request is found in the log,
// and aborts when the provider has written so many tokens.
func (f *fleet) aborts(t *testing.T, client namedSDK, stream bool, tokens int64, provider simulator.Provider) {
	t.Helper()
	prompt := "Please go on without me, " + t.Name() + "."
	key, reading := f.issue(t), make(chan struct{})
	ctx, abort := context.WithCancel(within(t, patience))
	defer abort()
	ended := make(chan sdkAnswer, 1)
	go func() {
		ended <- client.chat(ctx, t, sdkRequest{f.gateway, key.Secret, stream, ask(modelOf(provider), prompt), reading})
	}()
	f.written(t, prompt, tokens)
	if tokens > 0 && !wait(ctx, reading) {
		t.Fatal("the program has nothing to read")
	}
	abort()
	left := time.Now()
	e := f.attempt(t, prompt)
	if took := time.Since(left); !e.ClientGone || e.Done || proving() && took > 5*time.Second {
		t.Errorf("the provider was told after %s: %+v", took, e)
	}
	if a := <-ended; a.Finish != "" || a.Text != "" && !strings.HasPrefix(e.Choices[0].Text, a.Text) {
		t.Errorf("the program has %+v", a)
	}
	line := f.logged(t, "the access line of the key "+key.ID, func(l logLine) bool { return l.Message == "request" && l.KeyID == key.ID })
	if r := f.record(t, line.RequestID); line.EndReason != "client_gone" || r.EndReason != "client_gone" {
		t.Errorf("the access line says %s, the record %+v", line.EndReason, r)
	}
}

// written waits until a provider was asked this and has written so many tokens of its answer.
func (f *fleet) written(t *testing.T, prompt string, tokens int64) {
	t.Helper()
	_, err := f.providers.Await(within(t, patience), func(all []simulator.Entry) bool {
		return slices.ContainsFunc(all, func(e simulator.Entry) bool {
			return strings.Contains(e.Body, prompt) && e.TokensWritten >= tokens
		})
	})
	if err != nil {
		t.Fatalf("no provider has written %d tokens for %q: %v", tokens, prompt, err)
	}
}

// TestClientsBelieveACleanEnd shows why a broken stream must never end cleanly:
// to the official clients every clean end is the end of the answer.
func TestClientsBelieveACleanEnd(t *testing.T) {
	t.Parallel()
	const half = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"half of"}}]}` + "\n\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, half)
	}))
	t.Cleanup(server.Close)
	careless := &gateway{url: server.URL}
	for _, client := range sdks(t) {
		a := client.chat(t.Context(), t, sdkRequest{careless, "any", true, ask("any", "Please break off"), nil})
		if a.Failure != nil || a.Text != "half of" || a.Finish != "" {
			t.Errorf("%s: got %+v, %+v", client.language, a, a.Failure)
		}
	}
}
