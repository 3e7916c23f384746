package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tollgate/simulator"
)

// TestStormClientsLeave lets clients lose their patience with providers that are
// silent, before the header, before the first event and in the middle. That is
// no reason to avoid anybody, or to ask anybody else.
func TestStormClientsLeave(t *testing.T) {
	alone(t)
	rounds, clients := 10, 30
	if proving() {
		rounds, clients = 100, 100
	}
	s := newStorm(t, 1, nil)
	for _, p := range simulator.Providers() {
		s.inject(t,
			simulator.Fault{Kind: simulator.HangBeforeHeaders, Provider: p, Every: 2},
			simulator.Fault{Kind: simulator.HangBeforeFirstEvent, Provider: p, Every: 3},
			simulator.Fault{Kind: simulator.Stall, Provider: p, Events: 3})
	}
	for range rounds {
		s.leaveTogether(t, clients)
	}
	s.atRest(t)
	asked, left := s.settled(t), 0
	for _, e := range asked {
		if e.ClientGone {
			left++
		}
	}
	if most := rounds * clients; len(asked) != most || left != most {
		t.Errorf("%d clients have left, the providers were asked %d times and saw %d leave", most, len(asked), left)
	}
	s.allReady(t)
	s.providers.ClearFaults()
	for _, r := range s.gust(t, "anyone", 20, 4) {
		if !r.whole() || r.header.Get("X-Tollgate-Attempts") != "1" {
			t.Errorf("got %s by %s, want the answer of whoever was asked first", r, r.by())
		}
	}
}

// leaveTogether lets so many clients ask, and leave when all of them are waiting.
func (s *storm) leaveTogether(t *testing.T, clients int) {
	t.Helper()
	var (
		waiting     sync.WaitGroup
		wrong       complaints
		ctx, cancel = context.WithCancel(t.Context())
	)
	defer cancel()
	for range clients {
		waiting.Go(func() {
			if r := s.ask(ctx, "anyone"); r.err == nil {
				wrong.add("a client has an answer that no provider gave: %s", r)
			}
		})
	}
	until(t, "every client's request at a provider", patience, func() bool { return s.providers.InFlight() == clients })
	<-time.After(rand.N(20 * time.Millisecond))
	cancel()
	waiting.Wait()
	until(t, "the end of every request", patience, func() bool { return s.providers.InFlight() == 0 })
	wrong.fail(t)
}

// TestStormSlowProvider makes one of two equals ten times slower than the other,
// and wants most requests to go where the answers come from.
func TestStormSlowProvider(t *testing.T) {
	alone(t)
	requests := 150
	if proving() {
		requests = 1_000
	}
	s := newStorm(t, 1, nil)
	const quick = 150 * time.Millisecond // a busy machine adds to both
	s.providers.Behave(simulator.Behaviour{FirstToken: 10 * quick}, simulator.StarMagic)
	s.providers.Behave(simulator.Behaviour{FirstToken: quick}, simulator.TheTurbo)
	for _, r := range s.gust(t, "two-of-them", 2*requests, 8) { // half of them for streams
		if !r.whole() {
			t.Fatalf("got %s", r)
		}
	}
	slow, all := map[bool]int{}, map[bool]int{}
	for _, e := range s.settled(t) {
		all[e.Stream]++
		if e.Provider == simulator.StarMagic {
			slow[e.Stream]++
		}
	}
	for _, stream := range []bool{false, true} {
		share := float64(slow[stream]) / float64(all[stream])
		what := fmt.Sprintf("streams: %v: the slow provider was asked %d times of %d", stream, slow[stream], all[stream])
		t.Log(what)
		if all[stream] != requests || share >= 0.15 {
			t.Error(what)
		}
	}
}
