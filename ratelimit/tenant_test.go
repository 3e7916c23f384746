package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func of(id string, perMinute, burst int) Account {
	return Account{ID: id, Rate: Rate{PerMinute: perMinute, Burst: burst}}
}

// wantBoth compares what is told of both buckets, and whose figures the client is shown.
func wantBoth(t *testing.T, got Answer, shown, key, tenant string) {
	t.Helper()
	want(t, got.Key, key)
	want(t, got.Tenant, tenant)
	d, ofTenant := got.Stricter()
	if whose := map[bool]string{false: "key", true: "tenant"}[ofTenant]; whose != shown {
		t.Errorf("shown are the figures of the %s (%+v), want the %s's", whose, d, shown)
	}
	if allowed := got.Key.Allowed && got.Tenant.Allowed; got.Allowed() != allowed {
		t.Errorf("allowed: %v, want %v", got.Allowed(), allowed)
	}
}

func TestBurst(t *testing.T) {
	l, clock := newLimiter(Config{Default: Limits{RequestsPerMinute: 6}})
	few, many := of("few", 60, 2), of("many", 6, 10)
	want(t, l.Peek(few, Account{}).Key, "allowed limit=60 remaining=2 reset=0s retry=0s")
	want(t, l.Take(few, Account{}).Key, "allowed limit=60 remaining=1 reset=1s retry=0s")
	want(t, l.Take(few, Account{}).Key, "allowed limit=60 remaining=0 reset=2s retry=0s")
	want(t, l.Take(few, Account{}).Key, "refused limit=60 remaining=0 reset=2s retry=1s")
	for left := 9; left >= 0; left-- {
		want(t, l.Take(many, Account{}).Key, fmt.Sprintf("allowed limit=6 remaining=%d reset=%s retry=0s", left, time.Duration(10-left)*10*time.Second))
	}
	want(t, l.Take(many, Account{}).Key, "refused limit=6 remaining=0 reset=1m40s retry=10s")
	clock.advance(time.Hour)
	want(t, l.Peek(many, Account{}).Key, "allowed limit=6 remaining=10 reset=0s retry=0s")
	want(t, l.Peek(few, Account{}).Key, "allowed limit=60 remaining=2 reset=0s retry=0s")

	// The burst is changed alone: cut at once, never given.
	many.Rate.Burst = 3
	want(t, l.Take(many, Account{}).Key, "allowed limit=6 remaining=2 reset=10s retry=0s")
	many.Rate.Burst = 9
	want(t, l.Peek(many, Account{}).Key, "allowed limit=6 remaining=2 reset=1m10s retry=0s")

	// A key's burst needs a rate of its own, and the largest bucket does not overflow.
	want(t, l.Take(of("default", 0, 50), Account{}).Key, "allowed limit=6 remaining=5 reset=10s retry=0s")
	slowest := of("slowest", 1, maxPerMinute)
	l.Take(slowest, Account{})
	for n := range 1000 {
		slowest.Rate.Burst = 1 + n%2*(maxPerMinute-1)
		if d := l.Take(slowest, Account{}).Key; d.Reset < 0 || d.RetryAfter < 0 {
			t.Fatalf("%+v", d)
		}
	}
}

func TestTenant(t *testing.T) {
	l, clock := newLimiter(Config{Default: Limits{RequestsPerMinute: 60}})
	tenant := of("acme", 6, 3)
	wantBoth(t, l.Peek(of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=60 reset=0s retry=0s", "allowed limit=6 remaining=3 reset=0s retry=0s")
	wantBoth(t, l.Take(of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=59 reset=1s retry=0s", "allowed limit=6 remaining=2 reset=10s retry=0s")
	wantBoth(t, l.Take(of("b", 1, 0), tenant), "key", "allowed limit=1 remaining=0 reset=1m0s retry=0s", "allowed limit=6 remaining=1 reset=20s retry=0s")
	// The key's refusal leaves the tenant's bucket alone, and the other way round.
	for range 100 {
		wantBoth(t, l.Take(of("b", 1, 0), tenant), "key", "refused limit=1 remaining=0 reset=1m0s retry=1m0s", "allowed limit=6 remaining=1 reset=20s retry=0s")
	}
	wantBoth(t, l.Take(of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=58 reset=2s retry=0s", "allowed limit=6 remaining=0 reset=30s retry=0s")
	for range 100 {
		wantBoth(t, l.Take(of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=58 reset=2s retry=0s", "refused limit=6 remaining=0 reset=30s retry=10s")
	}
	// Both refuse: the one that does so for longer is the answer.
	wantBoth(t, l.Take(of("b", 1, 0), tenant), "key", "refused limit=1 remaining=0 reset=1m0s retry=1m0s", "refused limit=6 remaining=0 reset=30s retry=10s")
	// Another tenant's key, and a tenant without a limit, are not touched.
	wantBoth(t, l.Take(of("c", 0, 0), of("other", 6, 0)), "tenant", "allowed limit=60 remaining=59 reset=1s retry=0s", "allowed limit=6 remaining=5 reset=10s retry=0s")
	wantBoth(t, l.Take(of("a", 0, 0), of("acme", 0, 0)), "key", "allowed limit=60 remaining=57 reset=3s retry=0s", "allowed limit=0 remaining=0 reset=0s retry=0s")
	clock.advance(10 * time.Second)
	wantBoth(t, l.Take(of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=59 reset=1s retry=0s", "allowed limit=6 remaining=0 reset=30s retry=0s")
	// Both have as little left: the key's, which its holder can understand.
	wantBoth(t, l.Peek(of("d", 5, 0), of("e", 5, 0)), "key", "allowed limit=5 remaining=5 reset=0s retry=0s", "allowed limit=5 remaining=5 reset=0s retry=0s")

	// A tenant that is called as a key is has a bucket of its own.
	wantBoth(t, l.Take(of("same", 2, 0), of("same", 2, 0)), "key", "allowed limit=2 remaining=1 reset=30s retry=0s", "allowed limit=2 remaining=1 reset=30s retry=0s")
}

// For any keys, rates, bursts and waits: a refused request changes nothing in either
// bucket, and no key and no tenant is ever given more than its burst and what came since.
func TestBothLimitsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, clock := newLimiter(Config{})
		rate := func(name string) Rate {
			return Rate{PerMinute: rapid.IntRange(1, 600).Draw(t, name+" per minute"), Burst: rapid.IntRange(0, 50).Draw(t, name+" burst")}
		}
		// As many tenants as keys, of the same names: "a" is a key of tenant "a" and of tenant "b".
		rates, admitted := map[string]Rate{}, map[string]int{}
		for _, name := range []string{"key a", "key b", "tenant a", "tenant b"} {
			rates[name] = rate(name)
		}
		began := clock.at
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			key, tenant := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "tenant")
			k, o := Account{key, rates["key "+key]}, Account{tenant, rates["tenant "+tenant]}
			before := l.Peek(k, o)
			switch got := l.Take(k, o); {
			case got.Allowed() != before.Allowed():
				t.Fatalf("told %+v, and then %+v", before, got)
			case got.Allowed():
				admitted["key "+key]++
				admitted["tenant "+tenant]++
			case got != before || l.Peek(k, o) != before:
				t.Fatalf("a refused request has changed %+v\ninto %+v", before, l.Peek(k, o))
			}
			clock.advance(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
		}
		for name, n := range admitted {
			r := rates[name]
			burst := r.Burst
			if burst == 0 {
				burst = r.PerMinute
			}
			if most := float64(burst) + clock.at.Sub(began).Minutes()*float64(r.PerMinute); float64(n) > most+1e-3 {
				t.Fatalf("%s: admitted %d in %s, at most %.3f are right for %+v", name, n, clock.at.Sub(began), most, r)
			}
		}
	})
}

// Under contention: of two tenants whose keys cross, each gets its burst to the last
// request, and no more.
func TestConcurrentTenants(t *testing.T) {
	l, _ := newLimiter(Config{MaxKeys: 1000})
	var admitted [2]atomic.Int64
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for n := range 2000 {
				tenant := (n + worker) % 2
				if l.Take(of(fmt.Sprint(n%5), 1_000_000, 0), of(fmt.Sprint(tenant), 700, 0)).Allowed() {
					admitted[tenant].Add(1)
				}
			}
		})
	}
	group.Wait()
	for tenant := range admitted {
		if got := admitted[tenant].Load(); got != 700 {
			t.Errorf("tenant %d: admitted %d, want 700", tenant, got)
		}
	}
	spent := 0
	for key := range 5 {
		spent += 1_000_000 - l.Peek(of(fmt.Sprint(key), 1_000_000, 0), Account{}).Key.Remaining
	}
	if spent != 1400 {
		t.Errorf("the keys have spent %d requests, want those that were admitted, 1400", spent)
	}
}
