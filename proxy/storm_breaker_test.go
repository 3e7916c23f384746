package proxy

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/upstream"
)

// TestStormCancels has thousands of clients leave before the first event: that says
// nothing about the provider.
func TestStormCancels(t *testing.T) {
	p := steadily("p", reply{first: time.Second})
	inStorm(t, nil, func(t *testing.T, s *storm) {
		h := s.watch("p", time.Second)
		n := scaled(10_000, 1_000)
		for _, stream := range []bool{true, false} {
			for _, v := range s.clients(100, time.Duration(n)*time.Second/200, call{stream: stream, leaves: 100 * time.Millisecond}) {
				if v.status != 499 || v.took != 100*time.Millisecond {
					t.Fatalf("status %d after %s, want 499 after 100ms", v.status, v.took)
				}
			}
		}
		if changes := h.close(); len(changes) != 1 || len(p.all()) != n {
			t.Errorf("%d clients that left reached the provider %d times; its state: %v", n, len(p.all()), changes)
		}
		if v := s.ask(call{stream: true}); !v.served() {
			t.Errorf("a client that stayed got status %d", v.status)
		}
	}, p)
}

// TestStormAbandonedProbes has probes end in every way that tells nothing, or only
// late: the provider is asked again soon, and comes back when it is well.
func TestStormAbandonedProbes(t *testing.T) {
	const (
		firstToken = time.Minute
		open       = 13 * time.Second // the longest first time-out
		longest    = 390 * time.Second
	)
	// f abandons many probes, with a client each second.
	f := func(name string, r reply, leaves time.Duration, many int, stuck time.Duration) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var recovered atomic.Bool
			p := &scripted{name: "p", script: func(q question) reply {
				switch {
				case q.nth < 5:
					return fails(500)
				case recovered.Load():
					return well()
				}
				return r
			}}
			inStorm(t, nil, func(t *testing.T, s *storm) {
				for range 5 {
					s.ask(call{stream: true})
				}
				var group sync.WaitGroup
				for s.now() < time.Duration(many)*stuck && len(p.all()) < 5+many {
					group.Go(func() { s.ask(call{stream: true, leaves: leaves}) })
					time.Sleep(time.Second)
				}
				abandoned := p.all()[5:]
				recovered.Store(true)
				well := s.now()
				for s.now() < well+stuck && s.state("p") != upstream.StateReady {
					group.Go(func() { s.ask(call{stream: true}) })
					time.Sleep(time.Second)
				}
				back := s.now() - well
				group.Wait()
				var gap time.Duration
				for i, q := range abandoned[1:] {
					gap = max(gap, q.at-abandoned[i].at)
				}
				t.Logf("%d probes abandoned in %s, the longest wait between two %s, %s until it was in service again", len(abandoned), well, gap, back)
				if len(abandoned) < many {
					t.Errorf("%d probes in %s, want %d", len(abandoned), well, many)
				}
				if gap > stuck {
					t.Errorf("not asked for %s, want at most %s", gap, stuck)
				}
				if state := s.state("p"); state != upstream.StateReady {
					t.Errorf("%s %s after it was well, want ready", state, back)
				}
			}, p)
		})
	}
	n := scaled(1_000, 200)
	f("a panic", reply{ending: panics, first: 10 * time.Millisecond}, 0, n, firstToken+open)
	f("a client that leaves", reply{first: 10 * time.Second}, 100*time.Millisecond, n, firstToken+open)
	f("a hang", reply{ending: hangs}, 0, scaled(1_000, 20), firstToken+longest)
}
