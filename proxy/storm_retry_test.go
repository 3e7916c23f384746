package proxy

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tollgate/upstream"
)

// carelessly is a provider that fails at once now and then, by the throw of dice.
func carelessly(name string, percent int, otherwise reply) *scripted {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(uint64(name[0]), 2))
	return &scripted{name: name, script: func(question) reply {
		mu.Lock()
		defer mu.Unlock()
		if dice.IntN(100) < percent {
			return fails(500)
		}
		return otherwise
	}}
}

// TestStormOneInFour has one upstream request in four fail: as many are asked again
// as the budget has, and the others' clients are told not to add to it.
func TestStormOneInFour(t *testing.T) {
	a, b, c := carelessly("a", 25, well()), carelessly("b", 25, well()), carelessly("c", 25, well())
	inStorm(t, nil, func(t *testing.T, s *storm) {
		visits := s.clients(200, time.Duration(scaled(60, 15))*time.Second, call{})
		failed, told := 0, 0
		for _, v := range visits {
			if v.served() {
				continue
			}
			failed++
			if v.shouldRetry == "false" {
				told++
			}
		}
		served := rate(servedOf(visits), len(visits))
		t.Logf("%d clients, %.3f upstream requests each, %.1f %% served; %d of %d that failed were told not to retry", len(visits), rate(s.asked(), len(visits)), 100*served, told, failed)
		if r := rate(s.asked(), len(visits)); r > 1.14 {
			t.Errorf("%.3f upstream requests for each of the clients, want at most 1.14", r)
		}
		// Three in four at once, and three in four of one more in ten, are 82.5 %.
		if served < 0.82 {
			t.Errorf("%.1f %% of the clients were served, want at least 82 %%", 100*served)
		}
		// A few were asked for three times over.
		if rate(told, failed) < 0.7 {
			t.Errorf("%d of %d clients that failed were told not to retry, want most", told, failed)
		}
	}, a, b, c)
}

// TestStormQuickFailures has failures come at once and answers take long: a few failures
// are then known before anything else is, and that is no reason to give up on anybody.
func TestStormQuickFailures(t *testing.T) {
	slow := reply{first: 10 * time.Second}
	a, b, c := carelessly("a", 20, slow), carelessly("b", 20, slow), carelessly("c", 20, slow)
	inStorm(t, nil, func(t *testing.T, s *storm) {
		var histories []*history
		for _, p := range s.providers {
			histories = append(histories, s.watch(p.name, 100*time.Millisecond))
		}
		visits := s.clients(5, time.Duration(scaled(1800, 300))*time.Second, call{})
		served := rate(servedOf(visits), len(visits))
		t.Logf("%d clients, %.1f %% served, %s", len(visits), 100*served, s.shares(0, forever))
		if served < 0.83 { // four in five, and four in five of one more in ten, are 88 %
			t.Errorf("%.1f %% of the clients were served, want at least 83 %%", 100*served)
		}
		for _, h := range histories {
			if changes := h.close(); count(changes, upstream.StateOpen) > 0 {
				t.Errorf("%s went out of service: %v", h.provider, changes)
			}
		}
	}, a, b, c)
}

// TestStormOnlyEndpoint has the one endpoint of a model refuse a connection now and
// then: nothing was sent, so it is asked again, and after any other failure it is not.
func TestStormOnlyEndpoint(t *testing.T) {
	f := func(name string, r reply, perClient float64, failing float64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			p := &scripted{name: "p", script: func(q question) reply {
				if q.nth%25 == 24 {
					return r
				}
				return well()
			}}
			inStorm(t, nil, func(t *testing.T, s *storm) {
				visits := s.clients(50, time.Duration(scaled(300, 20))*time.Second, call{stream: true})
				failed := len(visits) - servedOf(visits)
				t.Logf("%d clients, %d upstream requests, %d failed", len(visits), s.asked(), failed)
				if got := rate(s.asked(), len(visits)); got > perClient {
					t.Errorf("%.3f upstream requests for each of the clients, want at most %.3f", got, perClient)
				}
				if got := rate(failed, len(visits)); got > failing {
					t.Errorf("%.1f %% of the clients failed, want at most %.1f %%", 100*got, 100*failing)
				}
			}, p)
		})
	}
	f("no connection", reply{ending: unreachable, first: 10 * time.Millisecond}, 1.05, 0)
	f("500", fails(500), 1, 0.05)
}
