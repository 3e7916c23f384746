package keys

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestCacheInAnOutage(t *testing.T) {
	inBubble(t, "what is known works for the grace", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.answers(0, errDown)
		for range 15*60 - 1 { // asked once per TTL, however many requests there are
			time.Sleep(time.Second)
			r.finds(1, "ci", 0, 1)
			r.finds(1, "ci", 0, 0)
			r.finds(1, "ci", 0, 0)
		}
		time.Sleep(time.Second - 1)
		r.finds(1, "ci", 0, 0)
		time.Sleep(time.Nanosecond)
		r.fails(1, ErrUnavailable, 0, 1)
		r.fails(1, errDown, 0, 1)
		r.shared.answers(0, nil)
		r.finds(1, "ci", 0, 1)
		r.counted(CacheStats{Refreshed: 2, Stale: 3*899 + 1, Unavailable: 2})
	})
	inBubble(t, "what is not known is neither known nor unknown", func(t *testing.T, r replica) {
		r.fails(3, ErrNotFound, 0, 1)
		r.shared.answers(0, errDown)
		r.fails(3, ErrNotFound, 0, 0)
		r.fails(2, ErrUnavailable, 0, 1)
		r.fails(2, errDown, 0, 1)
		time.Sleep(time.Second)
		r.fails(3, ErrUnavailable, 0, 1)
		r.shared.answers(0, nil)
		r.fails(3, ErrNotFound, 0, 1)
		r.counted(CacheStats{Unknown: 3, Unavailable: 3})
	})
	inBubble(t, "a silent store costs little", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.answers(never, nil)
		r.fails(2, ErrUnavailable, questionTime, 1)
		time.Sleep(time.Second)
		r.finds(1, "ci", 50*time.Millisecond, 1)
		r.finds(1, "ci", 0, 0) // while the question is still under way
		time.Sleep(100 * time.Millisecond)
		r.finds(1, "ci", 0, 0)
		time.Sleep(time.Second)
		r.finds(1, "ci", 50*time.Millisecond, 1)
		r.counted(CacheStats{Refreshed: 1, Unavailable: 1, Stale: 4})
	})
	inBubble(t, "the end of an outage is noticed within the TTL", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		time.Sleep(time.Second)
		r.shared.answers(0, errDown)
		r.finds(1, "ci", 0, 1)
		r.shared.set(contractRecord(1).Secrets[0].Digest, renamed("changed in the outage"))
		r.shared.answers(0, nil)
		time.Sleep(time.Second - 1)
		r.finds(1, "ci", 0, 0)
		time.Sleep(time.Nanosecond)
		r.finds(1, "changed in the outage", 0, 1)
	})
	inBubble(t, "a slow answer is late, not lost", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.set(contractRecord(1).Secrets[0].Digest, renamed("changed elsewhere"))
		r.shared.answers(80*time.Millisecond, nil)
		time.Sleep(time.Second)
		r.finds(1, "ci", 50*time.Millisecond, 1)
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		r.finds(1, "changed elsewhere", 0, 0)
	})
}

// Without a grace only the TTL is believed, and everybody waits for the shared store.
func TestCacheWithoutGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig()
		c.OutageGrace = 0
		shared := newFakeShared(contractRecord(1))
		r := replica{CachedStore: cached(t, shared, c), t: t, shared: shared}
		r.finds(1, "ci", 0, 1)
		r.shared.answers(never, nil)
		time.Sleep(time.Second - 1)
		r.finds(1, "ci", 0, 0)
		time.Sleep(time.Nanosecond)
		r.fails(1, ErrUnavailable, questionTime, 1)
	})
}

// A flood of made-up secrets neither pushes a key out nor grows the memory.
func TestCacheInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 200
		c := DefaultConfig()
		c.CacheSize = size
		shared := newFakeShared(contractRecord(1))
		r := replica{CachedStore: cached(t, shared, c), t: t, shared: shared}
		r.finds(1, "ci", 0, 1)
		for n := range 50 * size {
			if _, _, err := r.look(n + 2); !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
		}
		r.shared.questions()
		r.finds(1, "ci", 0, 0)
		if got := r.unknown.EstimatedSize(); got > size {
			t.Errorf("%d unknown secrets are remembered, want at most %d", got, size)
		}
		for n := range 10 * size {
			shared.set(contractRecord(n + 2).Secrets[0].Digest, contractRecord(n+2))
		}
		time.Sleep(time.Second)
		for n := range 10 * size {
			r.finds(n+2, "ci", 0, 1)
		}
		if got := r.known.EstimatedSize(); got > size {
			t.Errorf("%d keys are remembered, want at most %d", got, size)
		}
		if got := len(r.questions); got != 0 {
			t.Errorf("%d questions were not forgotten", got)
		}
	})
}
