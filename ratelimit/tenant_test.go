package ratelimit

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func of(id string, perMinute, burst int) Account {
	return Account{ID: id, Limits: Limits{RequestsPerMinute: perMinute, Burst: burst}}
}

// wantBoth compares what is told of both buckets, and whose figures the client is shown.
func wantBoth(t *testing.T, got Answer, shown, key, tenant string) {
	t.Helper()
	want(t, got[KeyRequests], key)
	want(t, got[TenantRequests], tenant)
	told := map[string]Decision{"key": got[KeyRequests], "tenant": got[TenantRequests]}[shown]
	if d, is := got.Tightest(Requests); !is || d != told {
		t.Errorf("shown is %+v, want what the %s has: %+v", d, shown, told)
	}
	if allowed := got[KeyRequests].Allowed && got[TenantRequests].Allowed; got.Allowed() != allowed {
		t.Errorf("allowed: %v, want %v", got.Allowed(), allowed)
	}
}

func TestBurst(t *testing.T) {
	l, clock := newLimiter(Config{Default: Limits{RequestsPerMinute: 6}})
	askKey := func(a Account) Decision { return takeOf(l, a, Account{})[KeyRequests] }
	lookAt := func(a Account) Decision { return peekOf(l, a, Account{})[KeyRequests] }
	few, many := of("few", 60, 2), of("many", 6, 10)
	want(t, lookAt(few), "allowed limit=60 remaining=2 reset=0s retry=0s")
	want(t, askKey(few), "allowed limit=60 remaining=1 reset=1s retry=0s")
	want(t, askKey(few), "allowed limit=60 remaining=0 reset=2s retry=0s")
	want(t, askKey(few), "refused limit=60 remaining=0 reset=2s retry=1s")
	for left := 9; left >= 0; left-- {
		want(t, askKey(many), fmt.Sprintf("allowed limit=6 remaining=%d reset=%s retry=0s", left, time.Duration(10-left)*10*time.Second))
	}
	want(t, askKey(many), "refused limit=6 remaining=0 reset=1m40s retry=10s")
	clock.advance(time.Hour)
	want(t, lookAt(many), "allowed limit=6 remaining=10 reset=0s retry=0s")
	want(t, lookAt(few), "allowed limit=60 remaining=2 reset=0s retry=0s")

	// The burst is changed alone: cut at once, never given.
	many.Burst = 3
	want(t, askKey(many), "allowed limit=6 remaining=2 reset=10s retry=0s")
	many.Burst = 9
	want(t, lookAt(many), "allowed limit=6 remaining=2 reset=1m10s retry=0s")

	// A key's burst needs a rate of its own, and the largest bucket does not overflow.
	want(t, askKey(of("default", 0, 50)), "allowed limit=6 remaining=5 reset=10s retry=0s")
	slowest := of("slowest", 1, maxRequests)
	want(t, askKey(slowest), "allowed limit=1 remaining=66665 reset=1m0s retry=0s")
	for n := range 1000 {
		slowest.Burst = 1 + n%2*(maxRequests-1)
		if d := askKey(slowest); d.Reset < 0 || d.RetryAfter < 0 || d.Remaining < 0 {
			t.Fatalf("%+v", d)
		}
	}
}

func TestTenant(t *testing.T) {
	l, clock := newLimiter(Config{Default: Limits{RequestsPerMinute: 60}})
	tenant := of("acme", 6, 3)
	wantBoth(t, peekOf(l, of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=60 reset=0s retry=0s", "allowed limit=6 remaining=3 reset=0s retry=0s")
	wantBoth(t, takeOf(l, of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=59 reset=1s retry=0s", "allowed limit=6 remaining=2 reset=10s retry=0s")
	wantBoth(t, takeOf(l, of("b", 1, 0), tenant), "key", "allowed limit=1 remaining=0 reset=1m0s retry=0s", "allowed limit=6 remaining=1 reset=20s retry=0s")
	// The key's refusal leaves the tenant's bucket alone, and the other way round.
	for range 100 {
		wantBoth(t, takeOf(l, of("b", 1, 0), tenant), "key", "refused limit=1 remaining=0 reset=1m0s retry=1m0s", "allowed limit=6 remaining=1 reset=20s retry=0s")
	}
	wantBoth(t, takeOf(l, of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=58 reset=2s retry=0s", "allowed limit=6 remaining=0 reset=30s retry=0s")
	for range 100 {
		wantBoth(t, takeOf(l, of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=58 reset=2s retry=0s", "refused limit=6 remaining=0 reset=30s retry=10s")
	}
	// Both refuse: the one that does so for longer is the answer.
	both := takeOf(l, of("b", 1, 0), tenant)
	wantBoth(t, both, "key", "refused limit=1 remaining=0 reset=1m0s retry=1m0s", "refused limit=6 remaining=0 reset=30s retry=10s")
	if got := both.Strictest(); got != KeyRequests {
		t.Errorf("the strictest is %s, want the key's", got)
	}
	// Another tenant's key, and a tenant without a limit, are not touched.
	wantBoth(t, takeOf(l, of("c", 0, 0), of("other", 6, 0)), "tenant", "allowed limit=60 remaining=59 reset=1s retry=0s", "allowed limit=6 remaining=5 reset=10s retry=0s")
	wantBoth(t, takeOf(l, of("a", 0, 0), of("acme", 0, 0)), "key", "allowed limit=60 remaining=57 reset=3s retry=0s", "allowed limit=0 remaining=0 reset=0s retry=0s")
	clock.advance(10 * time.Second)
	wantBoth(t, takeOf(l, of("a", 0, 0), tenant), "tenant", "allowed limit=60 remaining=59 reset=1s retry=0s", "allowed limit=6 remaining=0 reset=30s retry=0s")
	// Both have as little left: the key's, which its holder can understand.
	wantBoth(t, peekOf(l, of("d", 5, 0), of("e", 5, 0)), "key", "allowed limit=5 remaining=5 reset=0s retry=0s", "allowed limit=5 remaining=5 reset=0s retry=0s")

	// A tenant that is called as a key is has a bucket of its own.
	wantBoth(t, takeOf(l, of("same", 2, 0), of("same", 2, 0)), "key", "allowed limit=2 remaining=1 reset=30s retry=0s", "allowed limit=2 remaining=1 reset=30s retry=0s")
}

// For any keys, rates, bursts and waits: a refused request changes nothing in either bucket, and no key and no tenant is
// ever given more than its burst and what came since.
func TestBothLimitsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, clock := newLimiter(Config{})
		draw := func(name string) Limits {
			return Limits{RequestsPerMinute: rapid.IntRange(1, 600).Draw(t, name+" per minute"), Burst: rapid.IntRange(0, 50).Draw(t, name+" burst")}
		}
		// As many tenants as keys, of the same names: a key belongs to one tenant.
		limits, admitted := map[string]Limits{}, map[string]int{}
		for _, name := range []string{"key a", "key b", "key c", "tenant a", "tenant b"} {
			limits[name] = draw(name)
		}
		began := clock.at
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			tenant := map[string]string{"a": "a", "b": "b", "c": "a"}[key]
			k, o := Account{ID: key, Limits: limits["key "+key]}, Account{ID: tenant, Limits: limits["tenant "+tenant]}
			before := peekOf(l, k, o)
			switch got := takeOf(l, k, o); {
			case got.Allowed() != before.Allowed():
				t.Fatalf("told %+v, and then %+v", before, got)
			case got.Allowed():
				admitted["key "+key]++
				admitted["tenant "+tenant]++
			case got != before || peekOf(l, k, o) != before:
				t.Fatalf("a refused request has changed %+v\ninto %+v", before, peekOf(l, k, o))
			}
			clock.advance(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
		}
		for name, n := range admitted {
			of := limits[name]
			burst := of.Burst
			if burst == 0 {
				burst = of.RequestsPerMinute
			}
			if most := float64(burst) + clock.at.Sub(began).Minutes()*float64(of.RequestsPerMinute); float64(n) > most+1e-3 {
				t.Fatalf("%s: admitted %d in %s, at most %.3f are right for %+v", name, n, clock.at.Sub(began), most, of)
			}
		}
	})
}

// Under contention: of two tenants, each gets its burst to the last request, and no more, and so do its keys.
func TestConcurrentTenants(t *testing.T) {
	l, _ := newLimiter(Config{MaxKeys: 1000})
	var admitted [2]atomic.Int64
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for n := range 2000 {
				key := (n + worker) % 6
				a := takeOf(l, of(strconv.Itoa(key), 1_000_000, 0), of(strconv.Itoa(key%2), 700, 0))
				if a.Allowed() {
					admitted[key%2].Add(1)
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
	spent := int64(0)
	for key := range 6 {
		spent += 1_000_000 - peekOf(l, of(strconv.Itoa(key), 1_000_000, 0), Account{ID: strconv.Itoa(key % 2)})[KeyRequests].Remaining
	}
	if spent != 1400 {
		t.Errorf("the keys have spent %d requests, want those that were admitted, 1400", spent)
	}
}
