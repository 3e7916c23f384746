package proxy

import (
	"testing"
	"time"

	"tollgate/upstream"
)

// TestStormHang has one of three providers accept everything and answer nothing, from
// the start or after it has been well: few requests wait for it, it is left alone,
// and the clients are served.
func TestStormHang(t *testing.T) {
	lasting := time.Duration(scaled(300, 130)) * time.Second
	for name, from := range map[string]time.Duration{"from the start": 0, "after a while": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			a := &scripted{name: "a", script: func(q question) reply {
				if q.at < from {
					return well()
				}
				return reply{ending: hangs}
			}}
			inStorm(t, nil, func(t *testing.T, s *storm) { hang(t, s, from, lasting) }, a, steadily("b", well()), steadily("c", well()))
		})
	}
}

func hang(t *testing.T, s *storm, from, lasting time.Duration) {
	a := s.providers[0]
	h := s.watch("a", 20*time.Millisecond)
	visits := s.clients(scaled(50, 20), lasting, call{stream: true})
	opened, ok := first(h.close(), upstream.StateOpen, from)
	if !ok {
		opened = forever
	}
	counted, sent := 0, within(a.all(), from, opened)
	for _, q := range sent {
		if q.ended > 0 && q.ended <= opened {
			counted++
		}
	}
	probes := a.after(opened)
	if !ok && len(sent) > 10 {
		t.Errorf("not taken out of service after %d requests: %v", len(sent), h.changes)
	}
	t.Logf("%d clients, %d failed; out of service at %s after %d failures, %d had been sent to it since it hangs; then %d probes, at most %d in 10 s; %s",
		len(visits), len(visits)-servedOf(visits), opened, counted, len(sent), len(probes), densest(probes, 10*time.Second), s.shares(0, lasting))
	if counted > 10 {
		t.Errorf("out of service after %d failures, want at most 10", counted)
	}
	if n := densest(probes, 10*time.Second); n > 3 {
		t.Errorf("%d probes in 10 s, want at most 3", n)
	}
	if len(sent) > 20 {
		t.Errorf("%d requests waited for a provider that answers nobody, want at most 20", len(sent))
	}
	if r := rate(servedOf(visits), len(visits)); r < 0.999 {
		t.Errorf("%.2f %% of the clients were served, want 99.9 %%", 100*r)
	}
}

// TestStormFlapping has one of three providers go down and come back every half
// minute, for long, and then stay well.
func TestStormFlapping(t *testing.T) {
	lasting := time.Duration(scaled(600, 180)) * time.Second
	a := &scripted{name: "a", script: func(q question) reply {
		if q.at < lasting && (q.at/(30*time.Second))%2 == 0 {
			return fails(503)
		}
		return well()
	}}
	inStorm(t, nil, func(t *testing.T, s *storm) {
		h := s.watch("a", 100*time.Millisecond)
		visits := s.clients(scaled(50, 15), lasting, call{})
		// It is left alone for 5 minutes at most, give or take a third, and then probed.
		later := s.clients(5, 8*time.Minute, call{})
		changes := h.close()
		t.Logf("%d clients, %d failed; %s; %v", len(visits), len(visits)-servedOf(visits), s.shares(0, lasting), changes)
		if count(changes, upstream.StateOpen) == 0 {
			t.Error("never taken out of service")
		}
		if r := rate(servedOf(visits), len(visits)); r < 0.99 {
			t.Errorf("%.2f %% of the clients were served, want 99 %%", 100*r)
		}
		if servedOf(later) != len(later) || s.state("a") != upstream.StateReady || a.between(s.now()-time.Minute, s.now()) == 0 {
			t.Errorf("%d clients failed when it was well again; its state: %v", len(later)-servedOf(later), changes)
		}
	}, a, steadily("b", well()), steadily("c", well()))
}

// TestStormProbesSpread has two providers fail in step, for long: each is left alone
// for twice as long after each round of probes, and never for as long as the other.
func TestStormProbesSpread(t *testing.T) {
	a, b := steadily("a", fails(503)), steadily("b", fails(503))
	inStorm(t, nil, func(t *testing.T, s *storm) {
		ha, hb := s.watch("a", 20*time.Millisecond), s.watch("b", 20*time.Millisecond)
		visits := s.clients(scaled(40, 10), 5*time.Minute, call{})
		mine, theirs := ha.close(), hb.close()
		t.Logf("a %v, b %v; %d and %d requests; %d of %d clients failed", mine, theirs, len(a.all()), len(b.all()), len(visits)-servedOf(visits), len(visits))
		similar := 0
		alone, also := stays(mine, upstream.StateOpen), stays(theirs, upstream.StateOpen)
		if len(alone) < 3 || len(also) < 3 {
			t.Fatalf("out of service %d and %d times in 5 minutes, want at least 3", len(alone), len(also))
		}
		for i := range min(len(alone), len(also)) {
			if (alone[i] - also[i]).Abs() < 100*time.Millisecond {
				similar++
			}
		}
		if similar > 1 {
			t.Errorf("left alone for %v and %v, want other times", alone, also)
		}
		for _, times := range [][]time.Duration{alone, also} {
			for i, took := range times {
				usual := 10 * time.Second << i
				if took < usual*7/10-50*time.Millisecond || took > usual*13/10+50*time.Millisecond {
					t.Errorf("left alone for %v, want 10s, 20s, 40s and so on, give or take a third", times)
				}
			}
		}
		for _, p := range [...]*scripted{a, b} {
			if n := densest(p.after(time.Minute), 10*time.Second); n > 3 {
				t.Errorf("%d probes of %s in 10 s, want at most 3", n, p.name)
			}
		}
	}, a, b, steadily("c", well()))
}

// TestStormAllOpen has every provider of a model fail until all are out of service:
// they are asked no more than now and then, but they are asked, so that traffic comes
// back when they are well.
func TestStormAllOpen(t *testing.T) {
	f := func(name string, down time.Duration, r reply) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			script := func(q question) reply {
				if q.at < down {
					return r
				}
				return well()
			}
			a, b := &scripted{name: "a", script: script}, &scripted{name: "b", script: script}
			inStorm(t, nil, func(t *testing.T, s *storm) { allOpen(t, s, down) }, a, b)
		})
	}
	refused := reply{ending: unreachable, first: 10 * time.Millisecond}
	late := reply{ending: refuses, first: 500 * time.Millisecond, status: 503} // all probes are out when the first one fails
	f("for a minute", time.Minute, refused)
	f("for 5 minutes", 5*time.Minute, refused)
	f("failing late", 5*time.Minute, late)
}

func allOpen(t *testing.T, s *storm, down time.Duration) {
	const (
		settling = 5 * time.Second // by then everything is out of service
		shortest = 7 * time.Second // for which it stays so
	)
	s.clients(10, settling, call{})
	visits := s.clients(scaled(20, 5), down-settling, call{})
	for _, v := range visits {
		if v.status == 200 {
			t.Fatal("somebody was served")
		}
	}
	var densestOf, sent int
	for _, p := range s.providers {
		densestOf = max(densestOf, densest(within(p.all(), settling, down), shortest))
		sent += p.between(settling, down)
	}
	visits = s.clients(20, 60*time.Second, call{})
	back := time.Duration(0)
	late := 0
	for _, v := range visits {
		switch {
		case v.served() && back == 0:
			back = v.at - down
		case !v.served() && v.at > down+20*time.Second:
			late++
		}
	}
	t.Logf("%d tries while everything was down, at most %d in 7 s at one provider; traffic came back after %s; %d clients failed more than 20 s after; %s",
		sent, densestOf, back, late, s.shares(down+30*time.Second, down+60*time.Second))
	if densestOf > 3 {
		t.Errorf("%d tries in %s, want at most 3", densestOf, shortest)
	}
	if sent < int((down-settling).Seconds()/30) {
		t.Errorf("%d tries in %s, want one now and then", sent, down-settling)
	}
	if back > 15*time.Second || servedOf(visits) == 0 {
		t.Errorf("traffic came back after %s, want at most 15s", back)
	}
	if late > 0 {
		t.Errorf("%d clients failed when the providers had been well for 20 s", late)
	}
}

// TestStormAllDown has every provider fail: the clients' requests must not become
// more upstream, be it in a moment when the providers can least use it.
func TestStormAllDown(t *testing.T) {
	f := func(name string, stream bool, providers ...*scripted) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			inStorm(t, nil, func(t *testing.T, s *storm) {
				visits := s.clients(200, time.Duration(scaled(60, 8))*time.Second, call{stream: stream})
				t.Logf("%d clients, %d upstream requests, %s", len(visits), s.asked(), s.shares(0, time.Hour))
				if r := rate(s.asked(), len(visits)); r > 1.12 {
					t.Errorf("%.3f upstream requests for each of the clients, want at most 1.12", r)
				}
				if n := servedOf(visits); n != 0 {
					t.Errorf("%d clients were served", n)
				}
			}, providers...)
		})
	}
	f("503", false, steadily("a", fails(503)), steadily("b", fails(503)), steadily("c", fails(503)))
	// Whoever got a first byte has had his one upstream request.
	cuts := well()
	cuts.ending = breaks
	f("503, or a cut", true, steadily("a", fails(503)), steadily("b", cuts))
}
