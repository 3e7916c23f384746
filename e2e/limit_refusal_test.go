package e2e

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestLimitRefusalsAreFree has a key refused again and again for the lack of one thing. It has as much as before of all
// others, and so has its tenant.
func TestLimitRefusalsAreFree(t *testing.T) {
	t.Parallel()
	calls := 500
	if proving() {
		calls = 10_000
	}
	s := newTurnstile(t)
	env := measured(t, environment{"FOURTH": s.url})
	q := newQuartet(t, redistest.Start(t), env)
	// Buckets of 5,000 requests of which one comes in each minute, and of tokens that are full within the second.
	const plenty = `"requests_per_minute":1,"burst":5000,"tokens_per_minute":1000000,"concurrent":50`
	f := func(lacks, code, key, tenant string, prepare func(t *testing.T, secret string)) {
		t.Run(lacks, func(t *testing.T) {
			t.Parallel()
			name := strings.ReplaceAll(lacks, "_", "-")
			q.restrict(t, name, tenant)
			k := q.issue(t, name, key)
			q.heard(t, k, 6)
			r := refusals{q, k, lacks, code, time.Now()}
			prepare(t, k.Secret)
			before := r.calm(t)
			admitted := r.collect(t, calls)
			r.same(t, before, admitted)
		})
	}
	// For the tenth of an hour this one has used up a limit of 60 tokens a minute.
	once := func(t *testing.T, secret string) {
		t.Helper()
		if r := q.clients[0].send(t.Context(), wish{secret: secret, body: inStream(question("fourth", words(1000)))}); r.status != http.StatusOK {
			t.Fatalf("the first request is answered %s", r)
		}
	}
	stays := func(t *testing.T, secret string) {
		t.Helper()
		if one := q.clients[0].lodge(t.Context(), secret); one.leave == nil {
			t.Fatalf("the first request is answered %s", one)
		} else {
			t.Cleanup(one.leave)
		}
	}
	f("requests", "rate_limit_exceeded", `"requests_per_minute":1,"tokens_per_minute":1000000,"concurrent":50`, plenty, once)
	f("tenant_requests", "rate_limit_exceeded", plenty, `"requests_per_minute":1,"tokens_per_minute":1000000,"concurrent":50`, once)
	f("concurrent", "concurrency_limit", `"requests_per_minute":1,"burst":5000,"tokens_per_minute":1000000,"concurrent":1`, plenty, stays)
	f("tenant_concurrent", "concurrency_limit", plenty, `"requests_per_minute":1,"burst":5000,"tokens_per_minute":1000000,"concurrent":1`, stays)
	const few = `"requests_per_minute":1,"burst":5000,"tokens_per_minute":60,"concurrent":50`
	f("tokens", "rate_limit_exceeded", few, plenty, once)
	f("tenant_tokens", "rate_limit_exceeded", plenty, few, once)
}

// refusals are those of a key which lacks one thing.
type refusals struct {
	*quartet
	key         tenantKey
	lacks, code string
	began       time.Time // before it lacked that
}

// back is how many requests may have come in, of a limit that has one each minute.
func (r refusals) back() int {
	if !strings.HasSuffix(r.lacks, "requests") {
		return 0
	}
	return int(time.Since(r.began) / time.Minute)
}

// calm waits until what was reserved is settled at all replicas, and returns what is left then.
func (r refusals) calm(t *testing.T) (before map[string]standing) {
	t.Helper()
	until(t, "the settlement", patience, func() bool {
		before = r.operator.standing(t, r.key.ID)
		time.Sleep(time.Second) // longer than anything that is drawn is kept
		return maps.Equal(r.but(before), r.but(r.operator.standing(t, r.key.ID)))
	})
	if len(before) != 6 {
		t.Fatalf("operators are told of %v, want six limits", before)
	}
	if s := before["tokens"]; r.lacks != "tokens" && s.Left != s.Max {
		t.Errorf("some tokens are gone for good: %+v", s)
	}
	return before
}

// but is what is left of all that the key does not lack.
func (r refusals) but(all map[string]standing) map[string]standing {
	others := maps.Clone(all)
	delete(others, r.lacks)
	return others
}

// collect asks so many times, at all replicas, and is refused each time: a bucket that has room for another in the
// meantime gives it, which is counted.
func (r refusals) collect(t *testing.T, calls int) (admitted int) {
	t.Helper()
	more := wish{secret: r.key.Secret, body: inStream(question("fourth", "One more."))}
	one := r.clients[0].send(t.Context(), more)
	for one.status == http.StatusOK && admitted < r.back() {
		admitted++
		one = r.clients[0].send(t.Context(), more)
	}
	if one.status != http.StatusTooManyRequests || one.code() != r.code {
		t.Fatalf("a request too many is answered %s", one)
	}
	s := r.press(t, 2000, evenly(), completion(r.key.Secret, question("fourth", "Too many.")))
	until(t, "so many refusals", 4*patience, func() bool { return s.refusals() >= calls })
	o := s.lift(t)
	t.Logf("%d calls in %s, of which %d were admitted", o.asked, o.ended.Sub(o.began).Round(time.Millisecond), len(o.admitted))
	if admitted += len(o.admitted); admitted > r.back() {
		r.blame(t, "%d calls were admitted, want %d at most", admitted, r.back())
	}
	return admitted
}

// same looks at what is left now, at each replica, where so many calls were admitted after all.
func (r refusals) same(t *testing.T, before map[string]standing, admitted int) {
	t.Helper()
	if admitted > 0 {
		r.calm(t) // what they have cost is settled
	}
	for i, f := range r.replicas {
		after := f.operators(t).standing(t, r.key.ID)
		for limit, b := range r.but(before) {
			// Of requests one comes in each minute.
			if a := after[limit]; a.Max != b.Max || a.Left < b.Left-int64(admitted) || a.Left > b.Left+2+int64(time.Since(r.began)/time.Minute) {
				r.blame(t, "replica %d, %s: %+v are left, there were %+v before", i, limit, a, b)
			}
		}
	}
}
