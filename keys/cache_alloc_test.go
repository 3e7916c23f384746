//go:build !race

package keys

import (
	"context"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"tollgate/telemetry"
)

// The race detector allocates and pads by itself, so these run without it.

func TestCachedAuthenticateDoesNotAllocate(t *testing.T) {
	for _, pepper := range []telemetry.Secret{"", testPepper} {
		d, secret := cachedDirectory(t, pepper)
		f := func(what string, presented []byte) {
			t.Helper()
			ctx := context.Background()
			_, _ = d.Authenticate(ctx, presented, netip.Addr{}) // asks the shared store
			if n := testing.AllocsPerRun(1000, func() { _, _ = d.Authenticate(ctx, presented, netip.Addr{}) }); n != 0 {
				t.Errorf("%s: %v allocations, want 0", what, n)
			}
		}
		f("known", secret)
		f("unknown", []byte(sample))
	}
}

// cachedDirectory hears its feed, as a replica of a fleet does.
func cachedDirectory(t testing.TB, pepper telemetry.Secret) (*Directory, []byte) {
	t.Helper()
	c := DefaultConfig()
	c.Pepper, c.CacheTTL = pepper, time.Minute
	shared := newFakeShared()
	shared.fed = true
	cache := cached(t, shared, c)
	if !cache.feed.await(context.Background(), 0, time.Minute) {
		t.Fatal("the feed is not heard")
	}
	d := New(cache, c)
	_, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	return d, secret
}

func BenchmarkCachedAuthenticate(b *testing.B) {
	d, secret := cachedDirectory(b, "")
	shared, _ := d.store.(*CachedStore).shared.(*fakeShared)
	for name, presented := range map[string][]byte{"known": secret, "unknown": []byte(sample)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			shared.questions()
			defer func() { b.ReportMetric(float64(shared.questions())/float64(b.N), "questions/op") }()
			b.RunParallel(func(pb *testing.PB) {
				ctx := context.Background()
				for pb.Next() {
					_, _ = d.Authenticate(ctx, presented, netip.Addr{})
				}
			})
		})
	}
}

// What keys.cache_size says about memory holds.
func TestCacheAllocatesAKibibytePerKey(t *testing.T) {
	const count = 20_000
	f := func(what string, limit int64, answer func(n int) (Record, error)) {
		t.Helper()
		c := DefaultConfig()
		c.CacheSize = count
		before, n := heap(), 0
		s := NewCachedStore(funcStore{answer: func() (Record, error) { return answer(n) }}, c, nil)
		for n = range count {
			_, _ = s.ByDigest(t.Context(), contractRecord(n).Secrets[0].Digest, netip.Addr{})
		}
		each := (heap() - before) / count
		t.Logf("%s: %d bytes", what, each)
		if each > limit {
			t.Errorf("%s: %d bytes each, want at most %d", what, each, limit)
		}
		s.Close()
	}
	f("a key", 1024, func(n int) (Record, error) { return stored(t, n, nil) })
	f("a key with five models", 1024, func(n int) (Record, error) {
		return stored(t, n, []string{"gemini-flash", "gemini-pro", "gpt-*", "claude-sonnet-*", "text-embedding-*"})
	})
	f("an unknown secret", 256, func(int) (Record, error) { return Record{}, ErrNotFound })
}

// stored is a record as a shared store returns it.
func stored(t *testing.T, n int, models []string) (Record, error) {
	r := contractRecord(n)
	r.Key.Models = models
	raw, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return decode(raw)
}

// heap is how much is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
