package ratelimit

import (
	"fmt"
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

func newLimiter(c Config) (*Limiter, *clock) {
	l, clk := New(c), &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	l.now = clk.now
	return l, clk
}

// take and peek are the answers of a key whose tenant has no limit.
func take(l *Limiter, id string, perMinute int) Decision {
	return l.Take(Account{ID: id, Rate: Rate{PerMinute: perMinute}}, Account{ID: "tenant"}).Key
}

func peek(l *Limiter, id string, perMinute int) Decision {
	return l.Peek(Account{ID: id, Rate: Rate{PerMinute: perMinute}}, Account{ID: "tenant"}).Key
}

func want(t *testing.T, got Decision, text string) {
	t.Helper()
	verdict := "refused"
	if got.Allowed {
		verdict = "allowed"
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
}

func TestLargestLimit(t *testing.T) {
	l, clock := newLimiter(Config{})
	want(t, take(l, "k", maxPerMinute), "allowed limit=1000000000 remaining=999999999 reset=1ms retry=0s")
	clock.advance(time.Millisecond)
	want(t, peek(l, "k", maxPerMinute), "allowed limit=1000000000 remaining=1000000000 reset=0s retry=0s")
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

func TestChangedLimit(t *testing.T) {
	l, clock := newLimiter(Config{Default: Limits{RequestsPerMinute: 2}})
	take(l, "k", 0)
	want(t, take(l, "k", 0), "allowed limit=2 remaining=0 reset=1m0s retry=0s")

	// Raised: no fresh burst, but the new rate from now on.
	want(t, take(l, "k", 60), "refused limit=60 remaining=0 reset=1m0s retry=1s")
	clock.advance(10 * time.Second)
	want(t, take(l, "k", 60), "allowed limit=60 remaining=9 reset=51s retry=0s")

	// Lowered: cut to the new capacity.
	want(t, take(l, "k", 4), "allowed limit=4 remaining=3 reset=15s retry=0s")

	// Back to the default, which is raised meanwhile.
	l.SetDefault(Limits{RequestsPerMinute: 6})
	want(t, peek(l, "k", 0), "allowed limit=6 remaining=3 reset=30s retry=0s")
	want(t, take(l, "new", 0), "allowed limit=6 remaining=5 reset=10s retry=0s")

	// A change to and fro earns nothing.
	for range 3 {
		take(l, "k", 0)
	}
	for range 100 {
		want(t, take(l, "k", 600), "refused limit=600 remaining=0 reset=1m0s retry=100ms")
		want(t, take(l, "k", 6), "refused limit=6 remaining=0 reset=1m0s retry=10s")
	}
}

// Waiting in a real program's time, not an injected one.
func TestTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{})
		for range 60 {
			take(l, "k", 60)
		}
		refused := take(l, "k", 60)
		want(t, refused, "refused limit=60 remaining=0 reset=1m0s retry=1s")
		time.Sleep(refused.RetryAfter)
		want(t, take(l, "k", 60), "allowed limit=60 remaining=0 reset=1m0s retry=0s")
		time.Sleep(time.Minute)
		want(t, peek(l, "k", 60), "allowed limit=60 remaining=60 reset=0s retry=0s")
	})
}

// Full buckets go first, and losing one changes nothing; then the one that would be full the soonest.
func TestMemoryIsBounded(t *testing.T) {
	l, clock := newLimiter(Config{MaxKeys: 1})
	want(t, take(l, "a", 2), "allowed limit=2 remaining=1 reset=30s retry=0s")
	clock.advance(30 * time.Second)
	want(t, take(l, "b", 2), "allowed limit=2 remaining=1 reset=30s retry=0s")
	want(t, peek(l, "a", 2), "allowed limit=2 remaining=2 reset=0s retry=0s")

	s := &shard{buckets: map[string]*bucket{}, most: 3}
	for id, spent := range map[string]int{"busy": 3, "busier": 4, "idle": 0} {
		s.buckets[id] = newBucket(Rate{PerMinute: 4, Burst: 4})
		for range spent {
			s.buckets[id].take(clock.at)
		}
		s.buckets[id].figures(clock.at)
	}
	kept := func() string {
		ids := ""
		for _, id := range []string{"busy", "busier", "idle"} {
			if s.buckets[id] != nil {
				ids += id + " "
			}
		}
		return ids
	}
	s.makeRoom(clock.at)
	if got := kept(); got != "busy busier " {
		t.Errorf("kept %q, want the two busy ones", got)
	}
	s.makeRoom(clock.at)
	if got := kept(); got != "busy busier " {
		t.Errorf("kept %q, there was room already", got)
	}
	s.most = 2
	s.makeRoom(clock.at)
	if got := kept(); got != "busier " {
		t.Errorf("kept %q, want the busier one", got)
	}

	for _, most := range []int{1, 2, 3, 63, 64, 65, 1000} {
		l, clock := newLimiter(Config{MaxKeys: most})
		for n := range 5000 {
			take(l, fmt.Sprint("key_", n), 1)
			clock.advance(time.Millisecond)
		}
		held := 0
		for i := range l.keys.shards {
			held += len(l.keys.shards[i].buckets)
		}
		if held > most || held < most/2 {
			t.Errorf("max_keys %d: %d buckets are held", most, held)
		}
	}
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
				if take(l, fmt.Sprint("key_", key), 500).Allowed {
					admitted[key].Add(1)
				}
				peek(l, fmt.Sprint("key_", key), 500)
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

func TestConfig(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		if err := c.Validate(); fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(DefaultConfig(), "<nil>")
	f(Config{}, "<nil>")
	f(Config{Default: Limits{RequestsPerMinute: maxPerMinute}}, "<nil>")
	f(Config{Default: Limits{RequestsPerMinute: -3}, MaxKeys: -1},
		"limits.default.requests_per_minute: must be 0 (no limit) to 1000000000, got -3\n"+
			"limits.max_keys: must be 0 (the default of 100000) or more, got -1")
	f(Config{Default: Limits{RequestsPerMinute: maxPerMinute + 1}},
		"limits.default.requests_per_minute: must be 0 (no limit) to 1000000000, got 1000000001")
}
