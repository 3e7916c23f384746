package ratelimit

import (
	"fmt"
	"sync/atomic"
	"testing"
)

func TestTakeDoesNotAllocate(t *testing.T) {
	l := New(Config{})
	f := func(what string, call func()) {
		t.Helper()
		call()
		if n := testing.AllocsPerRun(200, call); n != 0 {
			t.Errorf("%s: %v allocations, want 0", what, n)
		}
	}
	f("allowed", func() { take(l, "many", 1_000_000) })
	f("refused", func() { take(l, "few", 1) })
	f("peek", func() { peek(l, "few", 1) })
	tenant := Account{ID: "acme", Rate: Rate{PerMinute: 100, Burst: 7}}
	f("with a tenant", func() { l.Take(Account{ID: "many", Rate: Rate{PerMinute: 1_000_000}}, tenant) })
	f("unlimited", func() { take(l, "free", 0) })
	f("changed limit", func() { take(l, "many", 1_000_000); take(l, "many", 999_999) })
}

func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 1000} {
		ids := make([]string, keys)
		for n := range ids {
			ids[n] = fmt.Sprintf("key_%012d", n)
		}
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			l := New(Config{Default: Limits{RequestsPerMinute: 600}})
			var turn atomic.Uint64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for n := turn.Add(7919); pb.Next(); n++ {
					take(l, ids[n%uint64(keys)], 0)
				}
			})
		})
	}
	b.Run("all busy", func(b *testing.B) {
		l := New(Config{Default: Limits{RequestsPerMinute: 1}})
		ids := make([]string, 2*defaultMaxKeys)
		for n := range ids {
			ids[n] = fmt.Sprintf("key_%012d", n)
			take(l, ids[n], 0)
		}
		b.ResetTimer()
		for n := 0; b.Loop(); n++ {
			take(l, ids[n%len(ids)], 0)
		}
	})
}
