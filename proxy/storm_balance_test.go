package proxy

import (
	"sync"
	"testing"
	"time"

	"tollgate/upstream"
)

// TestStormSlowPeer has one of two providers take ten times as long to its first
// event, or to its plain answer: it gets little of the traffic, and nobody fails.
func TestStormSlowPeer(t *testing.T) {
	for name, stream := range map[string]bool{"streams": true, "plain answers": false} {
		t.Run(name, func(t *testing.T) {
			slow := steadily("a", reply{first: 2 * time.Second, between: 50 * time.Millisecond})
			inStorm(t, nil, func(t *testing.T, s *storm) {
				lasting := time.Duration(scaled(300, 60)) * time.Second
				visits := s.clients(20, lasting, call{stream: stream})
				share := rate(len(slow.all()), s.asked())
				t.Logf("%d clients, %d failed, %s", len(visits), len(visits)-servedOf(visits), s.shares(0, lasting))
				if share > 0.1 {
					t.Errorf("the slow provider got %.1f %% of the requests, want at most 10 %%", 100*share)
				}
				if servedOf(visits) != len(visits) {
					t.Errorf("%d of %d clients failed", len(visits)-servedOf(visits), len(visits))
				}
			}, slow, steadily("b", well()))
		})
	}
}

// TestStormCarelessPeer has one of three providers fail often, and quickly: it must
// look neither quick nor idle for it.
func TestStormCarelessPeer(t *testing.T) {
	a := carelessly("a", 40, well())
	inStorm(t, nil, func(t *testing.T, s *storm) {
		visits := s.clients(20, time.Duration(scaled(300, 60))*time.Second, call{})
		t.Logf("%d clients, %d failed, %s", len(visits), len(visits)-servedOf(visits), s.shares(0, forever))
		if share := rate(len(a.all()), s.asked()); share > 0.15 {
			t.Errorf("the careless provider got %.1f %% of the requests, want less than half of its third", 100*share)
		}
		if servedOf(visits) != len(visits) {
			t.Errorf("%d of %d clients failed", len(visits)-servedOf(visits), len(visits))
		}
	}, a, steadily("b", well()), steadily("c", well()))
}

// TestStormRamp has a provider fail 25 times in a row and then be well: it is taken
// out of service, probed, and given its share back step by step.
func TestStormRamp(t *testing.T) {
	a := &scripted{name: "a", script: func(q question) reply {
		if q.nth < 25 {
			return fails(500)
		}
		return well()
	}}
	inStorm(t, nil, func(t *testing.T, s *storm) {
		h := s.watch("a", 20*time.Millisecond)
		var burst sync.WaitGroup
		for len(a.all()) < 25 {
			burst.Go(func() { s.ask(call{}) })
			time.Sleep(time.Millisecond / 10)
		}
		burst.Wait()
		visits := s.clients(20, 100*time.Second, call{})
		changes := h.close()
		opened, wasOpen := first(changes, upstream.StateOpen, 0)
		_, wasProbed := first(changes, upstream.StateHalfOpen, opened)
		closed, wasClosed := first(changes, upstream.StateReady, opened)
		if !wasOpen || !wasProbed || !wasClosed {
			t.Fatalf("want ready, open, half_open, ready: %v", changes)
		}
		share := func(from, to time.Duration) float64 {
			mine := a.between(from, to)
			return rate(mine, mine+s.providers[1].between(from, to))
		}
		early, late := share(closed, closed+5*time.Second), share(closed+35*time.Second, closed+40*time.Second)
		t.Logf("%v; its share in the first 5 s %.2f, 35 s later %.2f; %d of %d clients failed", changes, early, late, len(visits)-servedOf(visits), len(visits))
		if late < 0.3 || early > late/2 {
			t.Errorf("its share is %.2f in the first 5 s and %.2f 35 s later, want clearly less first", early, late)
		}
		if servedOf(visits) != len(visits) {
			t.Errorf("%d of %d clients failed", len(visits)-servedOf(visits), len(visits))
		}
	}, a, steadily("b", well()))
}

// TestStormTiers has the provider of the first tier fail for a while: the second tier
// serves everybody meanwhile, and nobody once the first one is back.
func TestStormTiers(t *testing.T) {
	const down, up = 30 * time.Second, 90 * time.Second
	a := &scripted{name: "a", script: func(q question) reply {
		if down <= q.at && q.at < up {
			return reply{ending: unreachable, first: 10 * time.Millisecond}
		}
		return well()
	}}
	b := steadily("b", well())
	second := func(c *upstream.Config) { c.Models["m"].Targets[1].Tier = 2 }
	inStorm(t, second, func(t *testing.T, s *storm) {
		visits := s.clients(scaled(20, 8), 5*time.Minute, call{stream: true})
		t.Logf("%d clients, %d failed; before %s; while down %s; in the end %s", len(visits), len(visits)-servedOf(visits),
			s.shares(0, down), s.shares(down+10*time.Second, up), s.shares(4*time.Minute, forever))
		if servedOf(visits) != len(visits) {
			t.Errorf("%d of %d clients failed", len(visits)-servedOf(visits), len(visits))
		}
		if n := b.between(0, down) + b.between(4*time.Minute, forever); n != 0 {
			t.Errorf("the second tier was asked %d times while the first one was well", n)
		}
		if n := densest(within(a.all(), down+10*time.Second, up), 10*time.Second); n > 3 {
			t.Errorf("%d probes in 10 s, want at most 3", n)
		}
	}, a, b)
}
