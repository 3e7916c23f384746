package proxy

import (
	"testing"
	"time"

	"tollgate/upstream"
)

// TestStormAllThrottled has every provider throttle for a minute: each is asked once
// for each time that it named, the clients learn when to come back, and are served
// when the minute is over.
func TestStormAllThrottled(t *testing.T) {
	const throttling, retryIn = time.Minute, 5 * time.Second
	script := func(q question) reply {
		if q.at < throttling {
			return reply{ending: refuses, first: 20 * time.Millisecond, status: 429, retryIn: retryIn}
		}
		return well()
	}
	a, b := &scripted{name: "a", script: script}, &scripted{name: "b", script: script}
	inStorm(t, nil, func(t *testing.T, s *storm) {
		visits := s.clients(scaled(200, 20), throttling, call{})
		asked := s.asked()
		untold := 0
		for _, v := range visits {
			if v.served() || v.status == 503 && v.retryAfter == "" {
				untold++
			}
		}
		later := s.clients(20, 20*time.Second, call{})
		settled := later[len(later)/2:]
		t.Logf("%d clients, %d upstream requests; %d of %d clients served in the next 10 s, %d of %d in those after",
			len(visits), asked, servedOf(later[:len(later)/2]), len(later)/2, servedOf(settled), len(settled))
		for _, p := range s.providers {
			if early := tooEarly(within(p.all(), 0, throttling), retryIn); early != 0 {
				t.Errorf("%d requests within the %s that %s asked to be left alone for", early, retryIn, p.name)
			}
		}
		if untold != 0 {
			t.Errorf("%d clients were served, or refused without a Retry-After", untold)
		}
		if servedOf(settled) != len(settled) {
			t.Errorf("%d of %d clients failed 10 s after the last 429", len(settled)-servedOf(settled), len(settled))
		}
	}, a, b)
}

// TestStormRefusedCredential has one provider refuse its credential for long: it is
// tried now and then, by one request at a time, and the clients are served.
func TestStormRefusedCredential(t *testing.T) {
	refusing := time.Duration(scaled(60, 20)) * time.Minute
	a := &scripted{name: "a", script: func(q question) reply {
		if q.at < refusing {
			return reply{ending: refuses, first: 3 * time.Second, status: 401}
		}
		return well()
	}}
	inTurn := func(c *upstream.Config) {
		m := c.Models["m"]
		m.Policy = "weighted" // p2c alone would keep away from who is awaited
		c.Models["m"] = m
	}
	inStorm(t, inTurn, func(t *testing.T, s *storm) {
		visits := s.clients(1, refusing, call{})
		tries := a.all()
		later := s.clients(1, time.Duration(scaled(90, 30))*time.Minute, call{})
		t.Logf("%d clients, %d failed; tried at %v; later it got %d of %d", len(visits), len(visits)-servedOf(visits), timesOf(tries), len(a.all())-len(tries), len(later))
		if len(tries) < 2 || len(tries) > 10 {
			t.Errorf("the credential was tried %d times in %s, want a few", len(tries), refusing)
		}
		if n := densest(within(tries, 10*time.Second, refusing), 5*time.Minute); n > 1 {
			t.Errorf("the credential was tried again %d times in 5 minutes, want 1", n)
		}
		if failed := len(visits) + len(later) - servedOf(visits) - servedOf(later); failed != 0 {
			t.Errorf("%d clients failed", failed)
		}
		if state := s.state("a"); state != upstream.StateReady || len(a.all())-len(tries) < 100 {
			t.Errorf("%s, and asked %d times since it is good again", state, len(a.all())-len(tries))
		}
	}, a, steadily("b", well()))
}

// timesOf are when something was asked.
func timesOf(all []asking) (times []time.Duration) {
	for _, a := range all {
		times = append(times, a.at)
	}
	return times
}
