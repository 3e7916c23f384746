package simulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStartRefusesATakenAddress(t *testing.T) {
	s := New(Options{})
	running := start(t, s)
	if _, err := s.Start(running.Addr()); err == nil || !strings.Contains(err.Error(), running.Addr()) {
		t.Errorf("got %v, want an error that names the address", err)
	}
}

// Close ends requests in each of their phases, and a client that reads nothing.
func TestCloseEndsEverything(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Tokens: 100}, Providers: map[Provider]Behaviour{
		Evolink: {Text: strings.Repeat("x", 16<<20), ChunkBytes: 64 << 10}, // more than socket buffers hold
	}})
	running, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inject(t, s,
		Fault{Kind: HangBeforeHeaders, Provider: TheTurbo, Nth: 1},
		Fault{Kind: HangBeforeFirstEvent, Provider: TheTurbo, Nth: 2},
		Fault{Kind: Stall, Events: 5, Provider: TheTurbo, Nth: 3})
	for range 3 {
		defer dial(t, running.Addr(), TheTurbo, hi(TheTurbo, `"stream":true,`)).Close()
	}
	s.Behave(Behaviour{FirstToken: time.Hour}, StarMagic)
	defer dial(t, running.Addr(), StarMagic, hi(StarMagic, "")).Close()
	deaf := dial(t, running.Addr(), Evolink, hi(Evolink, `"stream":true,`))
	defer deaf.Close()
	events(t, deaf, 1)
	if _, err := s.Await(within(t), func(e []Entry) bool { return allReceived(e, 5) }); err != nil {
		t.Fatal(err)
	}

	if err := running.Close(within(t)); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := running.Close(within(t)); err != nil {
		t.Errorf("Close again: %v", err)
	}
	for _, e := range settled(t, s, 5) {
		if !e.Closed || e.ClientGone || e.Done {
			t.Errorf("the truth says %+v", e)
		}
	}
	if _, err := http.Post(running.URL(), "", nil); err == nil {
		t.Error("the closed simulator still answers")
	}
}

// allReceived: n requests have come so far that their model is known.
func allReceived(entries []Entry, n int) bool {
	return len(entries) == n && !slices.ContainsFunc(entries, func(e Entry) bool { return e.Model == "" })
}

func TestCloseIsBoundedByItsContext(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := New(Options{Now: func() time.Time { // a handler that does not end
		once.Do(func() { close(entered) })
		<-release
		return time.Now()
	}})
	running, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dial(t, running.Addr(), Evolink, hi(Evolink, "")).Close()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := running.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	close(release)
}

// A client that leaves in the middle of a stream ends it at once.
func TestClientLeaves(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Tokens: 1000, Gap: 5 * time.Millisecond}})
	addr := start(t, s).Addr()
	for range 10 {
		conn := dial(t, addr, StarMagic, hi(StarMagic, `"stream":true,`))
		events(t, conn, 4)
		conn.Close()
	}
	for _, e := range settled(t, s, 10) {
		if !e.ClientGone || e.Done || e.TokensWritten < 3 || e.TokensWritten > 900 {
			t.Errorf("the truth says %+v", e)
		}
	}
}

func TestBehaveWhileServing(t *testing.T) {
	s := New(Options{Providers: map[Provider]Behaviour{Evolink: {Text: "mine"}}, Behaviour: Behaviour{Text: "shared"}})
	f := func(want ...string) {
		t.Helper()
		for i, p := range Providers() {
			if got := told(s, p, hi(p, "")).Choices[0].Text; got != want[i] {
				t.Errorf("%s says %q, want %q", p, got, want[i])
			}
		}
	}
	f("shared", "shared", "mine")
	s.Behave(Behaviour{Text: "new"}, TheTurbo)
	f("shared", "new", "mine")
	s.Behave(Behaviour{Text: "all"})
	f("all", "all", "all")
}

func TestManyAtOnce(t *testing.T) {
	s := New(Options{})
	url := start(t, s).URL()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			p := Providers()[i%3]
			r, err := client.Do(newRequest(url, p, hi(p, `"stream":true,`)))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			if raw, err := io.ReadAll(r.Body); err != nil || !strings.HasSuffix(string(raw), "data: [DONE]\n\n") {
				t.Errorf("%v: %s", err, raw)
			}
			s.Behave(Behaviour{Tokens: 5 + i})
			_ = s.Inject(Fault{Kind: Drop, Model: "none"})
			s.Truth()
		})
	}
	wg.Wait()
	for _, e := range settled(t, s, 30) {
		if !e.Done || e.TokensWritten != e.Usage.Completion {
			t.Errorf("the truth says %+v", e)
		}
	}
}
