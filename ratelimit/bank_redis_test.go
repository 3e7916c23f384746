package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/store/redistest"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Every Bank keeps the contract.
func TestBanks(t *testing.T) {
	t.Run("model", func(t *testing.T) {
		testBank(t, func(*testing.T) contractBank {
			var now atomic.Int64
			now.Store(aTime.UnixMicro())
			return contractBank{Bank: newModelBank(now.Load), pass: func(d time.Duration) { now.Add(d.Microseconds()) }}
		})
	})
	t.Run("miniredis", func(t *testing.T) {
		testBank(t, func(t *testing.T) contractBank {
			mini, client := startMini(t)
			return contractBank{Bank: NewRedisBank(client), pass: mini.pass}
		})
	})
	for name, client := range realRedis(t) {
		t.Run(name, func(t *testing.T) {
			testBank(t, func(t *testing.T) contractBank {
				empty(t, client)
				return realBank(client)
			})
		})
	}
}

// realBank is one on servers whose clock cannot be set.
func realBank(client redis.UniversalClient) contractBank {
	b := NewRedisBank(client)
	return contractBank{Bank: b, pass: time.Sleep, live: func(d time.Duration) { b.slotTTL, b.beatTTL = d, d }}
}

// aTime is one at which a test may begin.
var aTime = time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)

// movable is a Redis whose clock moves when it is told to.
type movable struct {
	*miniredis.Miniredis
	now time.Time
}

func startMini(t testing.TB) (*movable, redis.UniversalClient) {
	t.Helper()
	mini := &movable{Miniredis: miniredis.RunT(t), now: aTime}
	mini.SetTime(aTime)
	client := redis.NewClient(&redis.Options{Addr: mini.Addr(), DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	return mini, client
}

// pass moves the clock, back where d is negative.
func (m *movable) pass(d time.Duration) {
	m.now = m.now.Add(d)
	m.SetTime(m.now)
	m.FastForward(d)
}

// realRedis are servers as a fleet may have them, with patient clients: a busy machine is no outage.
func realRedis(t testing.TB) map[string]redis.UniversalClient {
	t.Helper()
	clients := map[string]redis.UniversalClient{
		"redis-server":  redis.NewClient(redistest.Start(t).Options()),
		"redis cluster": redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.StartCluster(t).Addresses(), DisableIdentity: true}),
	}
	for _, client := range clients {
		t.Cleanup(func() { _ = client.Close() })
	}
	return clients
}

// eachNode does something at each server.
func eachNode(t testing.TB, client redis.UniversalClient, do func(ctx context.Context, node *redis.Client) error) {
	t.Helper()
	err := error(nil)
	switch c := client.(type) {
	case *redis.Client:
		err = do(context.Background(), c)
	case *redis.ClusterClient:
		err = c.ForEachMaster(context.Background(), do)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func empty(t testing.TB, client redis.UniversalClient) {
	t.Helper()
	eachNode(t, client, func(ctx context.Context, node *redis.Client) error { return node.FlushAll(ctx).Err() })
}

// A server that was restarted knows no script, and is told it.
func TestScriptIsSentAgain(t *testing.T) {
	for name, client := range realRedis(t) {
		t.Run(name, func(t *testing.T) {
			b := NewRedisBank(client)
			for n := range 3 {
				eachNode(t, client, func(ctx context.Context, node *redis.Client) error { return node.ScriptFlush(ctx).Err() })
				var orders []*Order
				for _, tenant := range []string{"acme", "globex", "initech"} {
					o := order("a", uint64(n), []Line{line(TenantRequests, 3)}, "1")
					o.Tenant = tenant
					orders = append(orders, o)
				}
				b.Trade(t.Context(), orders[:n+1]...)
				for i, o := range orders[:n+1] {
					if got, want := answer(o), fmt.Sprintf("tenant_requests %d/3, granted", n+1-i); got != want {
						t.Errorf("round %d, order %d: got %s, want %s (%v)", n, i, got, want, o.Err)
					}
				}
			}
		})
	}
}

// Nothing stays in Redis for ever: a bucket until it has been full for a while, slots until they must be renewed.
func TestEveryKeyExpires(t *testing.T) {
	mini, client := startMini(t)
	b := NewRedisBank(client)
	lines := []Line{line(KeyRequests, 10), line(TenantTokens, 10).owing(10, 1), line(KeyConcurrent, 5)}
	wantAnswer(t, b, order("a", 1, lines, "2 1 1"), "requests 0/10, tenant_tokens 10/10, concurrent 0/5, refused without 1")
	wantAnswer(t, b, order("a", 2, lines, "2 0 1"), "requests 2/10, tenant_tokens 10/10, concurrent 1/5, granted")
	if _, err := b.Beat(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]time.Duration{
		"tollgate:limits:{acme}:requests:key_1":   2*time.Hour + 10*time.Minute,
		"tollgate:limits:{acme}:tenant_tokens":    10*time.Hour + 10*time.Minute,
		"tollgate:limits:{acme}:concurrent:key_1": 30 * time.Second,
		"tollgate:limits:replicas":                15 * time.Second,
	} {
		if got := mini.TTL(key); got != want {
			t.Errorf("%s expires in %v, want %v", key, got, want)
		}
	}
	if got := len(mini.Keys()); got != 4 {
		t.Errorf("there are %d keys, want 4: %s", got, mini.Dump())
	}
	mini.pass(10*time.Hour + 10*time.Minute)
	if got := mini.Keys(); len(got) != 0 {
		t.Errorf("%q are there still", got)
	}
}

// A key of another type fails its order alone, and changes nothing.
func TestKeyOfAnotherType(t *testing.T) {
	for name, client := range realRedis(t) {
		t.Run(name, func(t *testing.T) {
			b := NewRedisBank(client)
			if err := client.Set(t.Context(), "tollgate:limits:{acme}:concurrent:key_1", "mine", 0).Err(); err != nil {
				t.Fatal(err)
			}
			lines := []Line{line(KeyRequests, 10), line(KeyConcurrent, 1)}
			bad, good := order("a", 1, lines, "1 1"), order("a", 1, []Line{line(TenantRequests, 10)}, "1")
			b.Trade(t.Context(), bad, good)
			if bad.Err == nil || !strings.Contains(bad.Err.Error(), "WRONGTYPE") {
				t.Errorf("got %v, want WRONGTYPE", bad.Err)
			}
			if got := answer(good); got != "tenant_requests 1/10, granted" {
				t.Errorf("got %s, %v", got, good.Err)
			}
			wantAnswer(t, b, order("a", 2, lines[:1]), "requests 0/10")
		})
	}
}

// What the script has not written is taken as not being there, and is written over.
func TestOddStatesInRedis(t *testing.T) {
	_, client := startMini(t)
	b := NewRedisBank(client)
	f := func(m, c, a, p, want string) {
		t.Helper()
		empty(t, client)
		if err := client.HSet(t.Context(), "tollgate:limits:{acme}:tenant_requests", "m", m, "c", c, "a", a, "p:a", p, "other", "field").Err(); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, b, order("a", 1, []Line{line(TenantRequests, 10).owing(1, 5)}, "1"), want)
	}
	now, hours := fmt.Sprint(aTime.UnixMicro()), func(n int64) string { return fmt.Sprint(n * unit) }
	f(hours(4), hours(10), now, "4 1", "tenant_requests 6/10, granted")
	f(hours(4), hours(10), now, "5 1", "tenant_requests 5/10, granted")
	for _, odd := range []string{"", "-1", "1.5", "1e3", "0x10", "nan", "inf", " 5", "5 ", "9007199254740992", "99999999999999999999", "\x00"} {
		f(odd, hours(10), now, "4 1", "tenant_requests 2/10, granted")
		f(hours(4), odd, now, "4 1", "tenant_requests 6/10, granted")
		f(hours(4), hours(10), odd, "4 1", "tenant_requests 2/10, granted")
		f(hours(4), hours(10), now, odd, "tenant_requests 6/10, granted")
		f(odd, odd, odd, odd, "tenant_requests 2/10, granted")
	}
	g := func(holding, want string) {
		t.Helper()
		empty(t, client)
		if err := client.HSet(t.Context(), "tollgate:limits:{acme}:tenant_concurrent", "a", holding, "b", holding).Err(); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, b, order("a", 1, []Line{line(TenantConcurrent, 10)}, "1"), want)
	}
	later := fmt.Sprint(aTime.Add(time.Second).UnixMicro())
	g("4 "+later+" 1", "tenant_concurrent 5/10, granted")
	g("4 "+now+" 1", "tenant_concurrent 1/10, granted") // its time is over
	for _, odd := range []string{"", "4", "4 " + later, "-4 " + later + " 1", "4 " + later + " x", "4 99999999999999999999 1", "4.5 " + later + " 1"} {
		g(odd, "tenant_concurrent 1/10, granted")
	}
}

// The model can fail, forget and count, which is what other tests have it for.
func TestModelBankFails(t *testing.T) {
	b := newModelBank(aTime.UnixMicro)
	lines := []Line{line(KeyRequests, 2), line(KeyConcurrent, 2)}
	wantAnswer(t, b, order("a", 1, lines, "2 2"), "requests 2/2, concurrent 2/2, granted")
	gone := errors.New("gone")
	b.fail(gone)
	wantAnswer(t, b, order("a", 2, lines), "error")
	_, err := b.Beat(t.Context(), "a")
	if left := b.Leave(t.Context(), "a"); !errors.Is(err, gone) || !errors.Is(left, gone) {
		t.Errorf("Beat: %v, Leave: %v", err, left)
	}
	b.fail(nil)
	wantAnswer(t, b, order("b", 1, lines), "requests 2/2, concurrent 2/2")
	b.forget()
	wantAnswer(t, b, order("b", 2, lines), "requests 0/2, concurrent 0/2")
	if got := b.calls(); got != 4 {
		t.Errorf("%d calls, want 4", got)
	}
}

// A tenant whose slot moves to another node of a Cluster keeps its limits. While some of its keys are here and some there, the
// nodes refuse its orders, and carry nothing out.
func TestTenantMovesInACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addresses(), DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	b := NewRedisBank(client)
	lines := []Line{line(KeyRequests, 100), line(TenantRequests, 200), line(KeyConcurrent, 5).holding(1)}
	wantAnswer(t, b, order("a", 1, lines, "3 3 0"), "requests 3/100, tenant_requests 3/200, concurrent 1/5, granted")
	granted, number := 3, uint64(1)
	ask := func() bool {
		number++
		o := order("a", number, lines, "1 1 0")
		if b.Trade(t.Context(), o); o.Err != nil {
			return false
		}
		granted++
		if got, want := answer(o), fmt.Sprintf("requests %d/100, tenant_requests %d/200, concurrent 1/5, granted", granted, granted); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		return true
	}
	for range 3 {
		cluster.MoveSlotOf("tollgate:limits:{acme}:tenant_requests", func() { _ = ask() })
		if known := ask(); !known && !ask() { // the first may only learn where the slot is now
			t.Error("there is no answer after the move")
		}
	}
}
