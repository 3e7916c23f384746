package ratelimit

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// clock is a time that only the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

// newLimiter returns the only replica, without a bank.
func newLimiter(c Config) (*Limiter, *clock) {
	l := New(Options{Config: c, Replica: "only"})
	clk := &clock{at: l.start}
	l.now = clk.now
	return l, clk
}

// takeOf and peekOf are the whole answers to a request that asks no model. What it has taken it keeps.
func takeOf(l *Limiter, key, tenant Account) Answer {
	var p Permit
	l.Take(context.Background(), &p, Request{Key: key, Tenant: tenant})
	p.End(0)
	return p.Answer
}

func peekOf(l *Limiter, key, tenant Account) (a Answer) {
	l.Peek(&a, Request{Key: key, Tenant: tenant})
	return a
}

// perMinute is a key with a limit of requests; 0: the default.
func perMinute(id string, n int) Account {
	return Account{ID: id, Limits: Limits{RequestsPerMinute: n}}
}

// take and peek are the answers of a key whose tenant has no limit.
func take(l *Limiter, id string, n int) Decision {
	a := takeOf(l, perMinute(id, n), Account{ID: "tenant"})
	return a[KeyRequests]
}

func peek(l *Limiter, id string, n int) Decision {
	a := peekOf(l, perMinute(id, n), Account{ID: "tenant"})
	return a[KeyRequests]
}

func want(t *testing.T, got Decision, text string) {
	t.Helper()
	verdict := "refused"
	if got.Allowed {
		verdict = "allowed"
	}
	if got.Shadow {
		verdict += " in shadow"
	}
	s := fmt.Sprintf("%s limit=%d remaining=%d reset=%s retry=%s", verdict, got.Limit, got.Remaining, got.Reset, got.RetryAfter)
	if s != text {
		t.Errorf("got  %s\nwant %s", s, text)
	}
}

func TestTake(t *testing.T) {
	l, clock := newLimiter(Config{Default: Limits{RequestsPerMinute: 3}})
	want(t, peek(l, "k", 0), "allowed limit=3 remaining=3 reset=0s retry=0s")
	want(t, take(l, "k", 0), "allowed limit=3 remaining=2 reset=20s retry=0s")
	want(t, take(l, "k", 0), "allowed limit=3 remaining=1 reset=40s retry=0s")
	want(t, peek(l, "k", 0), "allowed limit=3 remaining=1 reset=40s retry=0s")
	want(t, take(l, "k", 0), "allowed limit=3 remaining=0 reset=1m0s retry=0s")
	want(t, take(l, "k", 0), "refused limit=3 remaining=0 reset=1m0s retry=20s")
	want(t, peek(l, "k", 0), "refused limit=3 remaining=0 reset=1m0s retry=20s")
	want(t, take(l, "another", 0), "allowed limit=3 remaining=2 reset=20s retry=0s")

	clock.advance(20*time.Second - time.Millisecond)
	want(t, take(l, "k", 0), "refused limit=3 remaining=0 reset=40.001s retry=1ms")
	clock.advance(time.Millisecond)
	want(t, take(l, "k", 0), "allowed limit=3 remaining=0 reset=1m0s retry=0s")
	clock.advance(time.Hour)
	want(t, take(l, "k", 0), "allowed limit=3 remaining=2 reset=20s retry=0s")
}

// A third of a second is no whole number of nanoseconds: the figures are rounded up, and still true.
func TestRetryAfterIsRoundedUp(t *testing.T) {
	l, clock := newLimiter(Config{})
	for range 180 {
		take(l, "k", 180)
	}
	want(t, take(l, "k", 180), "refused limit=180 remaining=0 reset=1m0s retry=334ms")
	clock.advance(333 * time.Millisecond)
	want(t, take(l, "k", 180), "refused limit=180 remaining=0 reset=59.667s retry=1ms")
	clock.advance(time.Millisecond)
	want(t, take(l, "k", 180), "allowed limit=180 remaining=0 reset=1m0s retry=0s")
}

func TestNoLimit(t *testing.T) {
	l, _ := newLimiter(Config{})
	for range 1000 {
		want(t, take(l, "k", 0), "allowed limit=0 remaining=0 reset=0s retry=0s")
	}
	want(t, peek(l, "k", 0), "allowed limit=0 remaining=0 reset=0s retry=0s")
	want(t, take(l, "k", 1), "allowed limit=1 remaining=0 reset=1m0s retry=0s")
	want(t, take(l, "k", 1), "refused limit=1 remaining=0 reset=1m0s retry=1m0s")
	want(t, take(l, "k", 0), "allowed limit=0 remaining=0 reset=0s retry=0s")
	want(t, take(l, "k", 1), "refused limit=1 remaining=0 reset=1m0s retry=1m0s")
}

func TestLargestLimit(t *testing.T) {
	l, clock := newLimiter(Config{})
	want(t, take(l, "k", maxRequests), "allowed limit=1000000000 remaining=999999999 reset=1ms retry=0s")
	clock.advance(time.Millisecond)
	want(t, peek(l, "k", maxRequests), "allowed limit=1000000000 remaining=1000000000 reset=0s retry=0s")
}

func TestRefusedTakesSpendNothing(t *testing.T) {
	l, clock := newLimiter(Config{})
	take(l, "k", 1)
	for range 10_000 {
		want(t, take(l, "k", 1), "refused limit=1 remaining=0 reset=1m0s retry=1m0s")
	}
	clock.advance(time.Minute)
	want(t, take(l, "k", 1), "allowed limit=1 remaining=0 reset=1m0s retry=0s")
}

// What is left of a bucket is time: of a minute's worth at the old rate, a minute's worth at the new one.
func TestChangedLimit(t *testing.T) {
	l, clock := newLimiter(Config{Default: Limits{RequestsPerMinute: 2}})
	take(l, "k", 0)
	want(t, take(l, "k", 0), "allowed limit=2 remaining=0 reset=1m0s retry=0s")

	// Raised: no fresh burst, but the new rate from now on.
	want(t, take(l, "k", 60), "refused limit=60 remaining=0 reset=1m0s retry=1s")
	clock.advance(10 * time.Second)
	want(t, take(l, "k", 60), "allowed limit=60 remaining=9 reset=51s retry=0s")

	// Lowered: nine seconds' worth is not yet one of four a minute.
	want(t, take(l, "k", 4), "refused limit=4 remaining=0 reset=51s retry=6s")
	clock.advance(6 * time.Second)
	want(t, take(l, "k", 4), "allowed limit=4 remaining=0 reset=1m0s retry=0s")

	// Back to the default, which is raised meanwhile.
	l.Follow(Config{Default: Limits{RequestsPerMinute: 6}})
	want(t, peek(l, "k", 0), "refused limit=6 remaining=0 reset=1m0s retry=10s")
	want(t, take(l, "new", 0), "allowed limit=6 remaining=5 reset=10s retry=0s")

	// A change to and fro earns nothing.
	for range 100 {
		want(t, take(l, "k", 600), "refused limit=600 remaining=0 reset=1m0s retry=100ms")
		want(t, take(l, "k", 6), "refused limit=6 remaining=0 reset=1m0s retry=10s")
	}
}

// Waiting in a real program's time, not an injected one.
func TestTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		for range 60 {
			take(l, "k", 60)
		}
		told := take(l, "k", 60)
		want(t, told, "refused limit=60 remaining=0 reset=1m0s retry=1s")
		time.Sleep(told.RetryAfter)
		want(t, take(l, "k", 60), "allowed limit=60 remaining=0 reset=1m0s retry=0s")
		time.Sleep(time.Minute)
		want(t, peek(l, "k", 60), "allowed limit=60 remaining=60 reset=0s retry=0s")
	})
}

// Under contention, not one request more than the limit.
func TestConcurrentTakes(t *testing.T) {
	l, _ := newLimiter(Config{})
	var admitted [4]atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := range 4000 {
				key := n % len(admitted)
				if take(l, strconv.Itoa(key), 500).Allowed {
					admitted[key].Add(1)
				}
				peek(l, strconv.Itoa(key), 500)
			}
		})
	}
	group.Wait()
	for key := range admitted {
		if got := admitted[key].Load(); got != 500 {
			t.Errorf("key %d: admitted %d, want 500", key, got)
		}
	}
}

// A limiter without a bank has nothing to give back, and goes on.
func TestCloseAlone(t *testing.T) {
	l, _ := newLimiter(Config{Default: Limits{RequestsPerMinute: 3}})
	take(l, "k", 0)
	for range 2 {
		if err := l.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	want(t, take(l, "k", 0), "allowed limit=3 remaining=1 reset=40s retry=0s")
	if got, want := l.Stats(), (Stats{Live: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFollow(t *testing.T) {
	l, _ := newLimiter(Config{Default: Limits{RequestsPerMinute: 10}})
	request := func(p *Permit) Answer {
		l.Take(context.Background(), p, Request{Key: Account{ID: "k"}, Tenant: Account{ID: "t"}, Tokens: 10})
		return p.Answer
	}
	var p Permit
	a := request(&p)
	want(t, a[KeyRequests], "allowed limit=10 remaining=9 reset=6s retry=0s")
	want(t, a[KeyTokens], "allowed limit=0 remaining=0 reset=0s retry=0s")
	want(t, a[KeyConcurrent], "allowed limit=0 remaining=0 reset=0s retry=0s")
	p.End(10) // it has held neither tokens nor a slot

	l.Follow(Config{Default: Limits{RequestsPerMinute: 10, Burst: 2, TokensPerMinute: 600, Concurrent: 2}})
	var q Permit
	a = request(&q)
	want(t, a[KeyRequests], "allowed limit=10 remaining=1 reset=6s retry=0s")
	want(t, a[KeyTokens], "allowed limit=600 remaining=590 reset=1s retry=0s")
	want(t, a[KeyConcurrent], "allowed limit=2 remaining=1 reset=0s retry=0s")
	want(t, a[TenantRequests], "allowed limit=0 remaining=0 reset=0s retry=0s") // the default is no tenant's

	l.Follow(Config{Shadow: true})
	q.End(1000) // of limits that are no more
	if held := l.Stats().Held; held != 0 {
		t.Errorf("%d slots are held", held)
	}
	a = request(&p)
	for limit := range a {
		if a[limit].Limit != 0 || !a[limit].Allowed {
			t.Errorf("%s: %+v, want no limit", Limit(limit), a[limit])
		}
	}
	p.End(0)
}
