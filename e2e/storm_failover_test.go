package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tollgate/simulator"
)

// TestStormFirstTarget puts a provider in front that throttles without saying for
// how long, one that refuses the credential, and one that answers 200 and nothing:
// whoever comes next answers every request.
func TestStormFirstTarget(t *testing.T) {
	t.Parallel()
	s := newStorm(t, 1, nil)
	f := func(model string, first simulator.Fault) {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			s.inject(t, first)
			asked := false
			for range 12 { // by both ways of asking
				r := s.ask(t.Context(), model)
				if !r.whole() || r.header.Get("X-Tollgate-Upstream") != "starmagic" {
					t.Errorf("got %s by %s, want the second target's answer", r, r.by())
				}
				asked = asked || r.by() == "starmagic 2"
			}
			if !asked {
				t.Error("the first target was never asked, which proves nothing")
			}
		})
	}
	f("throttled-first", simulator.Fault{Kind: simulator.Respond, Status: 429, Provider: simulator.TheTurbo, Model: "gemini-exp-1121"})
	f("forbidden-first", simulator.Fault{Kind: simulator.Respond, Status: 403, Provider: simulator.Evolink})
	f("empty-first", simulator.Fault{Kind: simulator.Empty, Provider: simulator.TheTurbo, Model: "gemini-exp-1206"})
}

// TestStormIdempotencyKey sends a header that makes net/http send a request again
// on its own, and that providers could take to be about themselves.
func TestStormIdempotencyKey(t *testing.T) {
	t.Parallel()
	const canary = "idempotency-canary"
	s := newStorm(t, 1, nil)
	s.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 500, Provider: simulator.StarMagic, Every: 2})
	for n := range 6 {
		body := question("in-turn", fmt.Sprintf("Please answer once, %d", n))
		if n%2 == 0 {
			body = inStream(body)
		}
		header := http.Header{"Idempotency-Key": {canary}, "X-Idempotency-Key": {canary}}
		if r := s.client.send(t.Context(), wish{secret: s.secret, body: body, header: header}); !r.whole() {
			t.Errorf("got %s", r)
		}
	}
	asked := s.settled(t)
	if len(asked) != 9 { // each second one fails over
		t.Errorf("the providers were asked %d times, want 9", len(asked))
	}
	for _, e := range asked {
		if header := fmt.Sprint(e.Header); strings.Contains(header, canary) || strings.Contains(strings.ToLower(header), "idempotency") {
			t.Errorf("%s was sent the header %s", e.Provider, header)
		}
	}
}

// TestStormHeaders says who answered and how many were asked, on every way in
// which a request can end; and nothing where that is switched off.
func TestStormHeaders(t *testing.T) {
	t.Parallel()
	t.Run("on", func(t *testing.T) {
		t.Parallel()
		newStorm(t, 1, nil).headers(t, func(by string) string { return by })
	})
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		newStorm(t, 1, environment{"UPSTREAM_HEADERS": "false"}).headers(t, func(string) string { return " " })
	})
}

// headers has requests end in every way, by a whole answer and by a stream.
func (s *storm) headers(t *testing.T, shown func(by string) string) {
	t.Helper()
	broken := func(p simulator.Provider) simulator.Fault {
		return simulator.Fault{Kind: simulator.Respond, Status: 500, Provider: p, Times: 1}
	}
	f := func(name, model string, status int, by string, faults ...simulator.Fault) {
		t.Helper()
		for range 2 {
			s.inject(t, faults...)
			r := s.ask(t.Context(), model)
			if r.status != status || r.err != nil || r.by() != shown(by) {
				t.Errorf("%s: got %s by %q, want %d by %q", name, r, r.by(), status, shown(by))
			}
			s.providers.ClearFaults()
			if r := s.ask(t.Context(), model); status != http.StatusNotFound && !r.whole() { // or the breakers would open
				t.Errorf("%s: then got %s", name, r)
			}
			s.asked.Add(1) // the other way of asking
		}
	}
	f("success", "in-turn", 200, "starmagic 1")
	f("failover", "in-turn", 200, "theturbo 2", broken(simulator.StarMagic))
	f("failover again", "in-turn", 200, "evolink 3", broken(simulator.StarMagic), broken(simulator.TheTurbo))
	f("failure", "in-turn", 502, " 3", broken(simulator.StarMagic), broken(simulator.TheTurbo), broken(simulator.Evolink))
	f("failure of the only one", "starmagic-alone", 502, " 1", broken(simulator.StarMagic))
	f("the provider's refusal", "in-turn", 422, "starmagic 1", simulator.Fault{Kind: simulator.Respond, Status: 422, Times: 1})
	f("nobody's", "no-such-model", 404, " ")
}
