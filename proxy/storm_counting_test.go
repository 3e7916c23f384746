package proxy

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/upstream"
)

// TestStormSlowFailures has a provider whose failures take a minute each, one at a
// time: none may be forgotten before it is counted.
func TestStormSlowFailures(t *testing.T) {
	p := steadily("p", reply{ending: hangs})
	inStorm(t, nil, func(t *testing.T, s *storm) {
		for n := range 5 {
			if state := s.state("p"); state != upstream.StateReady {
				t.Fatalf("%s after %d failures, want ready", state, n)
			}
			if v := s.ask(call{stream: true}); v.status != 504 || v.took != time.Minute {
				t.Fatalf("status %d after %s, want 504 after 1m0s", v.status, v.took)
			}
		}
		if state := s.state("p"); state != upstream.StateOpen {
			t.Errorf("%s after 5 failures, want open", state)
		}
		last := s.now()
		visits := s.clients(10, 5*time.Second, call{stream: true})
		t.Logf("out of service after %s; of 50 clients in the next 5 s %d asked the provider", last, len(p.after(last)))
		refused := 0
		for _, v := range visits {
			if v.status == 503 && v.retryAfter != "" {
				refused++
			}
		}
		if refused < 47 {
			t.Errorf("%d of 50 clients were refused with a Retry-After, want at least 47", refused)
		}
	}, p)
}

// TestStormThrottled has one provider throttle every request while another serves:
// it is left alone for as long as it asked, never out of service.
func TestStormThrottled(t *testing.T) {
	const retryIn = time.Second
	a := steadily("a", reply{ending: refuses, first: 20 * time.Millisecond, status: 429, retryIn: retryIn})
	inStorm(t, nil, func(t *testing.T, s *storm) {
		h := s.watch("a", 100*time.Millisecond)
		served, clients, n := 0, 0, scaled(10_000, 100)
		for round := 0; len(a.all()) < n && round < n; round++ {
			visits := s.clients(10, 10*time.Second, call{})
			served += servedOf(visits)
			clients += len(visits)
		}
		changes := h.close()
		t.Logf("%d answers 429 to %d clients, of whom %d failed, in %s; cooling %d times", len(a.all()), clients, clients-served, s.now(), count(changes, upstream.StateCooling))
		if len(a.all()) < n {
			t.Errorf("asked %d times, want %d: it was left alone for too long", len(a.all()), n)
		}
		if count(changes, upstream.StateOpen)+count(changes, upstream.StateHalfOpen) != 0 {
			t.Errorf("its breaker opened: %v", changes)
		}
		if served != clients {
			t.Errorf("%d of %d clients failed", clients-served, clients)
		}
		if early := tooEarly(a.all(), retryIn); early != 0 {
			t.Errorf("%d requests within the %s that it asked to be left alone for", early, retryIn)
		}
	}, a, steadily("b", well()))
}

// tooEarly counts what was asked while the provider wanted to be left alone.
func tooEarly(all []asking, alone time.Duration) (n int) {
	for i, q := range all {
		for j := i - 1; j >= 0 && all[j].ended > q.at-alone; j-- {
			if all[j].ended < q.at {
				n++
				break
			}
		}
	}
	return n
}

// TestStormStreamBreak has a provider cut every third stream: streams go elsewhere,
// while what it does well it goes on doing.
func TestStormStreamBreak(t *testing.T) {
	var streams atomic.Int64
	a := &scripted{name: "a", script: func(q question) reply {
		r := well()
		if q.stream && streams.Add(1)%3 == 0 {
			r.ending = breaks
		}
		return r
	}}
	b := steadily("b", well())
	inStorm(t, nil, func(t *testing.T, s *storm) {
		const lasting = 60 * time.Second
		var group sync.WaitGroup
		var visits []visit
		group.Go(func() { visits = s.clients(20, lasting, call{stream: true}) })
		group.Go(func() { s.clients(10, lasting, call{}) })
		group.Wait()
		share := func(stream bool, from time.Duration) float64 {
			of := func(p *scripted) (n int) {
				for _, q := range p.after(from) {
					if q.stream == stream {
						n++
					}
				}
				return n
			}
			return rate(of(a), of(a)+of(b))
		}
		broken := 0
		for _, v := range visits {
			if v.firstByte > 0 && !v.whole {
				broken++
			}
		}
		at := 20 * time.Second
		t.Logf("%d of %d streams broke; from %s on its share of streams is %.3f, of plain answers %.3f", broken, len(visits), at, share(true, at), share(false, at))
		if got := share(true, at); got > 0.1 {
			t.Errorf("its share of streams is %.2f, want hardly any", got)
		}
		if got := share(false, at); got < 0.2 {
			t.Errorf("its share of plain answers is %.2f, want about half", got)
		}
	}, a, b)
}
