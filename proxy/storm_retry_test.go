package proxy

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestStormOneInFour has one upstream request in four fail: as many are asked again
// as the budget has, and the others' clients are told not to add to it.
func TestStormOneInFour(t *testing.T) {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	script := func(question) reply {
		mu.Lock()
		defer mu.Unlock()
		if dice.IntN(4) == 0 {
			return fails(500)
		}
		return well()
	}
	a, b, c := &scripted{name: "a", script: script}, &scripted{name: "b", script: script}, &scripted{name: "c", script: script}
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
