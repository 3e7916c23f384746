package e2e

import (
	"encoding/json"
	"strconv"
	"testing"

	"tollgate/simulator"
)

// TestStormEverybodyFails lets every provider answer every request with 503. The
// gateway must not multiply the load on them, and tells each client the truth.
func TestStormEverybodyFails(t *testing.T) {
	alone(t)
	requests, clients := 1_000, 16
	if proving() {
		requests = 20_000
	}
	s := newStorm(t, 3, nil)
	s.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 503})
	replies := s.gust(t, "anyone", requests, clients)

	var wrong complaints
	tried, attempts, final := 0, 0, 0
	for _, r := range replies {
		n, _ := strconv.Atoi(r.header.Get("X-Tollgate-Attempts"))
		wait, _ := strconv.Atoi(r.header.Get("Retry-After"))
		attempts += n
		switch e := r.failure(); {
		case r.err != nil, e.Type != "server_error", e.Message == "", e.Param != nil, r.header.Get("X-Tollgate-Upstream") != "":
			wrong.add("%s %v", r, r.header)
		case r.status == 502 && e.Code == "upstream_error" && n > 0:
			tried++
			if r.header.Get("X-Should-Retry") == "false" {
				final++
			}
		case r.status != 503 || e.Code != "upstream_unavailable" || n != 0 || wait < 1:
			wrong.add("%s %v", r, r.header)
		}
	}
	wrong.fail(t)
	asked := len(s.settled(t))
	t.Logf("%d requests: %d were tried, %d attempts, %d clients were told not to retry", requests, tried, asked, final)
	if asked != attempts {
		t.Errorf("the providers were asked %d times, and the answers say %d", asked, attempts)
	}
	if float64(asked) > 1.12*float64(requests) {
		t.Errorf("%d requests became %d", requests, asked)
	}
	if tried > requests/2 {
		t.Errorf("%d of %d requests were tried: no breaker keeps them away", tried, requests)
	}
	// Until the breakers open, only the budget keeps it low: ten retries, and one more
	// for ten requests that were tried at all. (A request may count whose endpoint
	// another one took at the same moment.)
	if retries, most := asked-tried, 10+(tried+clients)/10; retries > most {
		t.Errorf("%d of %d requests were retried, want %d at most", retries, tried, most)
	}
	if final == 0 {
		t.Error("no client was told not to retry")
	}
}

// failure is the error object of a reply.
type failure struct {
	Message, Type, Code string
	Param               *string
}

func (r reply) failure() failure {
	var body struct{ Error failure }
	if json.Unmarshal([]byte(r.body), &body) != nil {
		body.Error.Code = "no error object"
	}
	return body.Error
}

// TestStormOneInFourFails lets every fourth request to each provider fail, which
// is too little for a breaker: retries have to make up for it, as far as the
// budget goes.
//
// Of n requests and R retries, n+R are sent upstream and a quarter of these fails.
// A client is refused for each failure that is not retried, so that
//
//	served = n - ((n+R)/4 - R) = 3/4 (n+R)
//
// With n/4 failures and more, every retry that the budget allows is made: R is
// n/10, and up to ten more that were saved up. So 82.5 % of the clients at least
// are served, where 75 % would be without retries, and all but 1 in 64 with three
// attempts for everybody: with 1.31 n requests, which is how storms begin.
func TestStormOneInFourFails(t *testing.T) {
	alone(t)
	requests := 1_000
	if proving() {
		requests = 5_000
	}
	s := newStorm(t, 1, nil)
	for _, p := range simulator.Providers() { // each of its own, or five might fail in a row
		s.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 500, Provider: p, Every: 4})
	}
	replies := s.gust(t, "anyone", requests, 8)

	var wrong complaints
	served := 0
	for _, r := range replies {
		final := r.header.Get("X-Should-Retry") == "false"
		switch {
		case r.whole() && !final:
			served++
		case r.status != 502 || r.failure().Code != "upstream_error":
			wrong.add("%s", r)
		case !final && r.header.Get("X-Tollgate-Attempts") != "3":
			wrong.add("after %s attempts a client is not told why there was none more: %s", r.header.Get("X-Tollgate-Attempts"), r)
		}
	}
	wrong.fail(t)
	asked, failed := s.settled(t), 0
	for _, e := range asked {
		if e.Status == 500 {
			failed++
		}
	}
	retries := len(asked) - requests
	t.Logf("%d requests: %d sent upstream, %d of them failed, %d clients served", requests, len(asked), failed, served)
	if retries < requests/10 || retries > requests/10+10 {
		t.Errorf("%d retries of %d requests, want a tenth and ten more at most", retries, requests)
	}
	if served != requests-(failed-retries) || float64(served) < 0.82*float64(requests) {
		t.Errorf("%d of %d clients were served, with %d failures and %d retries", served, requests, failed, retries)
	}
	s.allReady(t)
}
