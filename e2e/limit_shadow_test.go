package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/store/redistest"

	"github.com/openai/openai-go/v3/option"
)

// TestLimitInShadow asks for more than three limits allow that are decided and not enforced: nobody is refused, and
// every answer that would have been a refusal says which limits it is about.
func TestLimitInShadow(t *testing.T) {
	t.Parallel()
	f := func(whose string, limits []string, key, tenant string, options ...string) {
		t.Run(whose, func(t *testing.T) {
			t.Parallel()
			count := len(limits)
			s := newTurnstile(t)
			q := newQuartet(t, redistest.Start(t), environment{"FOURTH": s.url}, options...)
			if tenant != "" {
				q.restrict(t, "acme", tenant)
				count++ // the key has one of its own
			}
			k := q.issue(t, "acme", key)
			q.heard(t, k, count)
			// The first takes all that there is, and stays.
			first := q.clients[0].lodge(t.Context(), k.Secret)
			if first.leave == nil {
				t.Fatalf("the first request is answered %s", first)
			}
			defer first.leave()
			if names := first.header.Get("X-Tollgate-Shadow"); names != "" {
				t.Errorf("the first request would have passed, and is told %q", names)
			}
			const rounds = 3
			for range rounds {
				for i, client := range q.clients {
					r := client.send(t.Context(), wish{secret: k.Secret, body: inStream(question("fourth", "One too many."))})
					if names := strings.Split(r.header.Get("X-Tollgate-Shadow"), ", "); r.status != http.StatusOK || !slices.Equal(names, limits) {
						q.blame(t, "replica %d answers %s, in the shadow of %q, want %q", i, r, names, limits)
					}
				}
			}
			for _, limit := range limits {
				if n := q.sum(t, `tollgate_limit_decisions_total{tollgate_decision="shadowed",tollgate_limit="`+limit+`"}`); n != rounds*quartetSize {
					q.blame(t, "%.0f decisions of %s were counted as shadowed, want %d", n, limit, rounds*quartetSize)
				}
				if n := q.sum(t, `tollgate_limit_decisions_total{tollgate_decision="refused",tollgate_limit="`+limit+`"}`); n != 0 {
					t.Errorf("%.0f decisions of %s were counted as refused", n, limit)
				}
			}
		})
	}
	const small = `"requests_per_minute":1,"tokens_per_minute":60,"concurrent":1`
	f("a key's", []string{"requests", "tokens", "concurrent"}, small+`,"shadow":true`, "")
	f("a tenant's", []string{"tenant_requests", "tenant_tokens", "tenant_concurrent"}, `"concurrent":50`, small+`,"shadow":true`)
	f("all", []string{"requests", "tokens", "concurrent"}, small, "", "shadow: true")
}

// TestLimitClientsWait has the official client meet a limit that other replicas have used up: it waits for as long as it
// is told, by itself, and is served.
func TestLimitClientsWait(t *testing.T) {
	t.Parallel()
	s := newTurnstile(t)
	q := newQuartet(t, redistest.Start(t), environment{"FOURTH": s.url})
	key := q.issue(t, "acme", `"requests_per_minute":6,"burst":2`)
	for i := range 2 {
		if r := q.short(t, i, key); r.status != http.StatusOK {
			t.Fatalf("request %d is answered %s", i, r)
		}
	}
	q.waits(t, key)
}

// waits asks with the official client, which may try again, at the third replica.
func (q *quartet) waits(t *testing.T, key tenantKey) {
	t.Helper()
	var statuses []int
	var told time.Duration
	count := option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		response, err := next(r)
		if err == nil {
			statuses = append(statuses, response.StatusCode)
			if response.StatusCode == http.StatusTooManyRequests {
				told, err = time.ParseDuration(response.Header.Get("Retry-After-Ms") + "ms")
			}
		}
		return response, err
	})
	asked := time.Now()
	a := q.replicas[2].call(t, key.Secret, option.WithMaxRetries(2), count).stream(t.Context(), ask("fourth", "May I?"))
	took := time.Since(asked)
	a.complete(t)
	if !slices.Equal(statuses, []int{429, 200}) || told <= 0 || told > 10*time.Second || took < told {
		q.blame(t, "the client was answered %v, told to wait %s, and served after %s", statuses, told, took)
	}
}
