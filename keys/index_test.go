package keys

import (
	"testing"
	"testing/synctest"
	"time"
)

// Many digests come and go: the index is read anew, and never says that a key is nobody's.
func TestIndexStaysSmall(t *testing.T) {
	fed(t, "it is read anew", func(t *testing.T, r replica) {
		for n := range 3 * indexSlack {
			r.feed.index.add(Digest{1, byte(n >> 16), byte(n >> 8), byte(n)})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(r.feed.index.digests); got > 2*indexSlack {
			t.Errorf("%d digests of one key", got)
		}
		if !r.feed.index.ready() || !r.feed.index.has(contractRecord(1).Secrets[0].Digest) {
			t.Error("a key is missing")
		}
	})
}

// A key that comes while all digests are read is not lost.
func TestIndexIsReadWhileKeysCome(t *testing.T) {
	x := newIndex()
	f := func(d byte, want bool) {
		t.Helper()
		if got := x.has(Digest{d}); got != want {
			t.Errorf("digest %d: %v, want %v", d, got, want)
		}
	}
	x.add(Digest{1})
	x.begin()
	x.add(Digest{2})
	x.take([]Digest{{3}})
	x.end()
	f(1, false) // it had gone
	f(2, true)
	f(3, true)
	if !x.ready() {
		t.Error("not ready")
	}
	x.begin()
	x.outdate()
	x.take([]Digest{{4}})
	x.end()
	if x.ready() {
		t.Error("ready, though it was outdated while it was read")
	}
}
