package admin

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// secretIn returns the first of the secrets that is in the text, with what stands around it.
func secretIn(text string, secrets []string) string {
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			return text[max(0, i-100):min(len(text), i+len(secret)+20)]
		}
	}
	return ""
}

// from asks with this token from this address, at the house's time.
func (h *house) from(address, token string) *httptest.ResponseRecorder {
	h.Helper()
	r := httptest.NewRequest("GET", "/admin/v1/tenants", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.RemoteAddr = address
	w := httptest.NewRecorder()
	h.serves().ServeHTTP(w, r)
	h.contract.check(h.T, r, "", w)
	return w
}

// newStrictHouse is a house with the rate of operators, and a clock that is set by hand.
func newStrictHouse(t *testing.T) (*house, *time.Time) {
	h := newHouse(t)
	h.server.operators = newOperators(h.server.options.Tokens)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h.server.now = func() time.Time { return now }
	return h, &now
}

func (h *house) tooMany(w *httptest.ResponseRecorder, message string) {
	h.Helper()
	h.want(w, 429, strings.Replace(refused(message, "null", "rate_limited"), "invalid_request_error", "rate_limit_error", 1))
	if got := w.Header().Get("Retry-After"); got != "1" {
		h.Errorf("Retry-After %q", got)
	}
}

func TestRateOfAnOperator(t *testing.T) {
	h, now := newStrictHouse(t)
	const message = "too many requests with this admin token: it may make 50 a second"
	f := func(admitted int) {
		t.Helper()
		for i := range admitted {
			if w := h.from("10.0.0.1:1", testToken.Reveal()); w.Code != 200 {
				t.Fatalf("request %d: %d %s", i, w.Code, w.Body)
			}
		}
		h.tooMany(h.from("10.0.0.2:1", testToken.Reveal()), message) // whatever the address
	}
	f(100)
	*now = now.Add(200 * time.Millisecond)
	f(10)
	*now = now.Add(time.Minute)
	f(100)
	// Other operators, probes and scrapers are not held up by it.
	h.want(h.from("10.0.0.1:1", aliceToken.Reveal()), 200, `{"tenants":[]}`)
	for range 200 {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			if w := h.send("GET", path, "", "Authorization: "); w.Code != 200 {
				t.Fatalf("%s: %d", path, w.Code)
			}
		}
	}
}

func TestRateOfWrongTokens(t *testing.T) {
	h, now := newStrictHouse(t)
	const message = "too many wrong admin tokens came from this address: wait before the next try"
	f := func(admitted int, addresses ...string) {
		t.Helper()
		for i := range admitted {
			h.want(h.from(addresses[i%len(addresses)], fmt.Sprint("guess-", i)), 401, unauthorized)
		}
		for _, address := range addresses {
			h.tooMany(h.from(address, "guess"), message)
		}
	}
	f(20, "203.0.113.1:1", "203.0.113.1:2")
	f(20, "203.0.113.2:1", "[::ffff:203.0.113.2]:1") // one and the same
	f(20, "[2001:db8::1]:1", "[2001:db8::ffff:1:2:3]:9", "[2001:db8::1%eth0]:1")
	f(20, "[2001:db8:0:1::1]:1") // another network
	f(20, "@", "no address")
	*now = now.Add(time.Second)
	f(5, "203.0.113.1:1")
	// Whoever has a token is let in from there all the same, and changes nothing for those who have not.
	for range 50 {
		h.want(h.from("203.0.113.1:1", testToken.Reveal()), 200, `{"tenants":[]}`)
	}
	h.tooMany(h.from("203.0.113.1:1", "guess"), message)
}

// However many addresses there are, few are remembered.
func TestStrangersAreBounded(t *testing.T) {
	s := newStrangers()
	now := time.Now()
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for n := range 5000 {
				if !s.allow(fmt.Sprintf("10.%d.%d.%d:1", i, n>>8, n&255), now) {
					t.Error("a first guess is held up")
				}
			}
		})
	}
	group.Wait()
	if len(s.paces) != maxStrangers {
		t.Errorf("%d addresses are remembered, want %d", len(s.paces), maxStrangers)
	}
}

// Every token of the list is known by its name, wherever it stands, and only whole.
func TestOperators(t *testing.T) {
	s := &Server{operators: newOperators([]NamedToken{{"a", "token-a"}, {"empty", ""}, {"b", "token-b"}, {"c", "token-c"}})}
	f := func(presented, want string) {
		t.Helper()
		got := ""
		if who := s.operator(presented); who != nil {
			got = who.name
		}
		if got != want {
			t.Errorf("%q is %q, want %q", presented, got, want)
		}
	}
	f("token-a", "a")
	f("token-b", "b")
	f("token-c", "c")
	f("", "")
	f("token-", "")
	f("token-a ", "")
	f("a", "")
}
