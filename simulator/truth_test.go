package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTruthOfAPlainAnswer(t *testing.T) {
	s := New(Options{Now: fixed, Behaviour: Behaviour{Text: "one two", ReasoningTokens: 4}})
	body := hi(Evolink, "")
	send(s, Evolink, body)
	want := []Entry{{
		Number:   1,
		Provider: Evolink,
		Method:   "POST",
		Path:     "/evolink/v1/chat/completions",
		Model:    "gemini-3-pro-preview",
		Header: http.Header{
			"Accept":        {"application/json"},
			"Authorization": {"Bearer ****6789"},
			"Content-Type":  {"application/json"},
			"Host":          {"simulator"},
		},
		BodyBytes:     int64(len(body)),
		BodySHA256:    "683980d730eb56b7ea1e89a63341b583b7d3ea30aae41da0baa86253ddd777ab",
		Body:          body,
		Status:        200,
		Usage:         Usage{Prompt: 3, Completion: 6, Reasoning: 4},
		TokensWritten: 2,
		BytesWritten:  534,
		UsageSent:     true,
		Choices:       []Delivered{{Text: "one two", Finish: "stop"}},
		Done:          true,
		CleanEnd:      true,
		Received:      fixed(),
		FirstByte:     fixed(),
		Ended:         fixed(),
	}}
	if diff := cmp.Diff(want, s.Truth()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTruthOfStreamsAndRefusals(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two"}})
	send(s, StarMagic, hi(StarMagic, `"stream":true,"stream_options":{"include_usage":true},`))
	send(s, StarMagic, hi(StarMagic, `"stream":true,`))
	send(s, TheTurbo, hi(TheTurbo, `"top_k":1,`))
	s.Handler().ServeHTTP(httptest.NewRecorder(), newRequest("http://simulator", "nobody", "{}"))
	entries := s.Truth()
	if e := entries[0]; !e.Stream || !e.IncludeUsage || !e.UsageSent || !e.Done || e.TokensWritten != 2 {
		t.Errorf("a stream with usage: %+v", e)
	}
	if e := entries[1]; !e.Stream || e.IncludeUsage || e.UsageSent || !e.Done {
		t.Errorf("a stream without usage: %+v", e)
	}
	if e := entries[2]; e.Status != 400 || e.ErrorCode != "unknown_parameter" || e.Usage != (Usage{}) || e.Done {
		t.Errorf("a refusal: %+v", e)
	}
	if e := entries[3]; e.Status != 404 || e.Provider != "" || e.Path != "/nobody/v1/chat/completions" {
		t.Errorf("an unknown path: %+v", e)
	}
}

func TestTruthIsBounded(t *testing.T) {
	s := New(Options{TruthEntries: 3, TruthBytes: 10, Behaviour: Behaviour{Tokens: 50}})
	for range 5 {
		send(s, Evolink, hi(Evolink, `"stream":true,`))
	}
	entries := s.Truth()
	var numbers []int64
	for _, e := range entries {
		numbers = append(numbers, e.Number)
		if len(e.Body) != 10 || len(e.Choices[0].Text) > 20 || e.TokensWritten != 50 {
			t.Errorf("%d bytes of body and %d of text are kept", len(e.Body), len(e.Choices[0].Text))
		}
	}
	if diff := cmp.Diff([]int64{3, 4, 5}, numbers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Reset()
	if got := s.Truth(); len(got) != 0 {
		t.Errorf("Reset left %d entries", len(got))
	}
	send(s, Evolink, hi(Evolink, ``))
	if got := s.Truth(); len(got) != 1 || got[0].Number != 1 {
		t.Errorf("after Reset: %+v", got)
	}
}

func TestTruthShowsARequestInFlight(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two three"}})
	addr := start(t, s).Addr()
	inject(t, s, Fault{Kind: Stall, Events: 2})
	conn := dial(t, addr, Evolink, hi(Evolink, `"stream":true,`))
	events(t, conn, 2)

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	entries, err := s.Settled(short, 1)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Settled did not wait: %v", err)
	}
	if e := entries[0]; !e.Ended.IsZero() || e.Fault != "stall" {
		t.Errorf("in flight: %+v", e)
	}
	conn.Close()
	if e := settled(t, s, 1)[0]; e.Ended.IsZero() || e.Choices[0].Text != "one" || !e.ClientGone {
		t.Errorf("ended: %+v", e)
	}
}

// Await sees changes within a request, though its client reads nothing.
func TestAwait(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two three", Gap: time.Millisecond}})
	addr := start(t, s).Addr()
	inject(t, s, Fault{Kind: Stall, Events: 3})
	conn := dial(t, addr, Evolink, hi(Evolink, `"stream":true,`))
	defer conn.Close()
	entries, err := s.Await(within(t), func(e []Entry) bool { return len(e) == 1 && e[0].TokensWritten == 2 })
	if err != nil || entries[0].Choices[0].Text != "one two" {
		t.Errorf("got %+v, %v", entries, err)
	}
	if _, err := s.Await(t.Context(), func([]Entry) bool { return true }); err != nil {
		t.Errorf("what is there already: %v", err)
	}
}

func TestTruthByHTTP(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "<b>"}})
	url := start(t, s).URL()
	defer http.DefaultClient.CloseIdleConnections()
	for _, p := range Providers() {
		r, err := http.DefaultClient.Do(newRequest(url, p, hi(p, "")))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
	}
	settled(t, s, 3) // an answer has left a moment before its entry is complete
	r, err := http.Get(url + "/_truth")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var got struct{ Entries []Entry }
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got.Entries) != 3 || got.Entries[1].Provider != TheTurbo || got.Entries[1].Choices[0].Text != "<b>" {
		t.Errorf("got %+v", got)
	}
}

func TestKeysAreNotLogged(t *testing.T) {
	f := func(header, want string) {
		t.Helper()
		if got := redact(header); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
	f("Bearer sk-0123456789", "Bearer ****6789")
	f("Bearer short", "Bearer ****")
	f("sk-0123456789", "****")
	f("", "****")

	s := New(Options{})
	r := newRequest("http://simulator", Evolink, hi(Evolink, ""))
	r.Header["Authorization"] = []string{"Bearer sk-first-key", "Bearer sk-second-key"}
	s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	raw, _ := json.Marshal(s.Truth())
	if strings.Contains(string(raw), "sk-first") || strings.Contains(string(raw), "sk-second") {
		t.Errorf("the truth tells a key: %s", raw)
	}
	if r.Header.Get("Authorization") != "Bearer sk-first-key" {
		t.Error("the request itself was changed")
	}
}
