package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// TestStormThrottled lets a credential be told 429, in each way in which providers
// say for how long: so long nobody uses it, and no client notices.
func TestStormThrottled(t *testing.T) {
	t.Parallel()
	s := newStorm(t, 3, nil)
	f := func(model, header string, says func(rested time.Time) string, least time.Duration) {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			rested := time.Now().Add(least)
			fault := simulator.Fault{Kind: simulator.Respond, Status: 429, Provider: simulator.TheTurbo, Model: model, Times: 1}
			if header != "" {
				fault.Header = map[string]string{header: says(rested)}
			}
			s.inject(t, fault)
			s.throttled(t, model, rested)
		})
	}
	text := func(s string) func(time.Time) string { return func(time.Time) string { return s } }
	t.Run("all at once", func(t *testing.T) { // longer than when nothing is said, which is 2.5 s at most
		f("gemini-1.5-pro", "Retry-After", text("3"), 3*time.Second)
		f("gemini-1.5-flash-8b", "Retry-After-Ms", text("2700"), 2700*time.Millisecond)
		// A date has no fractions: rounded up, it asks for a little more.
		f("gemini-exp-1114", "Retry-After", func(rested time.Time) string {
			return rested.Add(time.Second).UTC().Format(http.TimeFormat)
		}, 3*time.Second)
		f("gemini-2.0-flash-exp", "", nil, 2*time.Second)
	})
	s.allReady(t)
}

// throttled asks for a model until the credential that is told 429 is used again:
// not before rested.
func (s *storm) throttled(t *testing.T, model string, rested time.Time) {
	t.Helper()
	var (
		cooling simulator.Entry
		looked  bool
		pace    = time.NewTicker(20 * time.Millisecond)
		ctx     = within(t, patience)
	)
	defer pace.Stop()
	for {
		if r := s.ask(ctx, model); !r.whole() {
			t.Fatalf("a client was told: %s", r)
		}
		entries := s.of(model)
		if at := slices.IndexFunc(entries, func(e simulator.Entry) bool { return e.Status == 429 }); at >= 0 {
			cooling, entries = entries[at], entries[at+1:]
		}
		if at := slices.IndexFunc(entries, func(e simulator.Entry) bool { return keyOf(e) == keyOf(cooling) }); at >= 0 {
			if early := rested.Sub(entries[at].Received); early > 0 {
				t.Errorf("the credential was used %s too early, after %d requests with others", early, at)
			}
			break
		}
		if !looked { // once: a slow machine could be late for a second look
			looked = true
			if e := s.endpoint(t, simulator.TheTurbo, keyOf(cooling), model); time.Now().Before(rested) && (e.State != "cooling" || e.ProbeInMS <= 0) {
				t.Errorf("the operators see %+v, want it cooling", e)
			}
		}
		for _, e := range s.endpoints(t) {
			if e.State != "ready" && e.State != "cooling" {
				t.Errorf("the operators see %+v, of whom nobody has failed", e)
			}
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			t.Fatal("the credential is never used again")
		}
	}
	if !looked {
		t.Error("the credential was never left alone")
	}
}

// of are the requests for an upstream model, in the order in which they arrived.
func (s *storm) of(model string) []simulator.Entry {
	return slices.DeleteFunc(s.providers.Truth(), func(e simulator.Entry) bool { return e.Model != model })
}

// TestStormCredentialRefused lets a provider refuse one credential and then the
// other: another one answers, then another provider, and operators are told.
func TestStormCredentialRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := newStorm(t, 2, nil)
			s.refuse(t, status)
		})
	}
}

// revokedCanary is what a provider says to a credential that it does not take.
const revokedCanary = "xylophone-canary-of-the-provider"

func (s *storm) refuse(t *testing.T, status int) {
	t.Helper()
	const model = "gemini-2.5-flash-lite"
	refusal := simulator.Fault{
		Kind: simulator.Respond, Status: status, Provider: simulator.StarMagic,
		Body: `{"error":{"message":"` + revokedCanary + `","type":"invalid_request_error","param":null,"code":"` + revokedCanary + `"}}`,
	}
	once := refusal
	once.Times = 1
	s.inject(t, once)
	r := s.ask(t.Context(), "in-turn")
	asked := s.settled(t)
	if !r.whole() || r.by() != "starmagic 2" || len(asked) != 2 || keyOf(asked[0]) == keyOf(asked[1]) {
		t.Fatalf("got %s by %s, want an answer through the other credential: %+v", r, r.by(), asked)
	}
	bad, good := keyOf(asked[0]), keyOf(asked[1])
	s.quarantined(t, bad, model)
	if e := s.endpoint(t, simulator.StarMagic, good, model); e.State != "ready" {
		t.Errorf("the operators see %+v, want it ready: the other credential was refused", e)
	}

	// Now the other credential too. That it worked a moment ago vouches for it
	// against one 403, which may be about the request.
	s.inject(t, refusal)
	told := s.ask(t.Context(), "starmagic-alone")
	if told.status != 502 || told.failure().Code != "upstream_error" || strings.Contains(fmt.Sprint(told), revokedCanary) {
		t.Errorf("the client of a refused credential was told %s", told)
	}
	if r := s.ask(t.Context(), "in-turn"); !r.whole() || !strings.HasPrefix(r.by(), "theturbo ") {
		t.Errorf("got %s by %s, want another provider's answer", r, r.by())
	}
	s.quarantined(t, good, model)
	before := len(s.settled(t))
	for range 20 {
		if r := s.ask(t.Context(), "in-turn"); !r.whole() || r.by() != "theturbo 1" {
			t.Errorf("got %s by %s, want another provider's answer at once", r, r.by())
		}
	}
	if told := s.ask(t.Context(), "starmagic-alone"); told.status != 503 || told.failure().Code != "upstream_unavailable" {
		t.Errorf("the client of a model without a credential was told %s", told)
	}
	for _, e := range s.settled(t)[before:] {
		if e.Provider == simulator.StarMagic {
			t.Errorf("a quarantined credential was used: %+v", e)
		}
	}
	if log := s.stderr.String(); strings.Contains(log, revokedCanary) {
		t.Errorf("the log holds what the provider said:\n%s", log)
	}
}

// quarantined fails the test unless operators see StarMagic's credential in
// quarantine, and an alarm in the log that names it.
func (s *storm) quarantined(t *testing.T, key int, model string) {
	t.Helper()
	e := s.endpoint(t, simulator.StarMagic, key, model)
	if wait := time.Duration(e.ProbeInMS) * time.Millisecond; e.State != "quarantined" || wait <= 4*time.Minute {
		t.Errorf("the operators see %+v, want a quarantine of about 5 minutes", e)
	}
	s.stderr.await(t, "an ERROR line that names "+e.Credential, func(text string) bool {
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"level":"ERROR"`) && strings.Contains(line, `"provider":"starmagic"`) && strings.Contains(line, e.Credential) {
				return true
			}
		}
		return false
	})
}
