package keys

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// replica is a CachedStore in a bubble, over a shared store that the test commands.
type replica struct {
	*CachedStore
	t      *testing.T
	shared *fakeShared
}

// inBubble runs test with a replica with the default options. The shared store holds contractRecord(1).
func inBubble(t *testing.T, name string, test func(t *testing.T, r replica)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			shared := newFakeShared(contractRecord(1))
			test(t, replica{CachedStore: cached(t, shared, DefaultConfig()), t: t, shared: shared})
		})
	})
}

// look returns the name of the key, or the error, and how long the answer took.
func (r replica) look(n int) (name string, took time.Duration, err error) {
	began := time.Now()
	record, err := r.ByDigest(r.t.Context(), contractRecord(n).Secrets[0].Digest, netip.Addr{})
	if took = time.Since(began); err == nil {
		name = record.Key.Name
	}
	return name, took, err
}

// finds checks one look-up of contractRecord(n): its key's name, its time, and what it asked of the shared store.
func (r replica) finds(n int, name string, took time.Duration, questions int) {
	r.t.Helper()
	got, gotTook, err := r.look(n)
	asked := r.shared.questions()
	if got != name || err != nil || gotTook != took || asked != questions {
		r.t.Errorf("got %q, %v after %s and %d questions; want %q after %s and %d", got, err, gotTook, asked, name, took, questions)
	}
}

// fails is finds for a look-up that ends in an error.
func (r replica) fails(n int, want error, took time.Duration, questions int) {
	r.t.Helper()
	_, gotTook, err := r.look(n)
	asked := r.shared.questions()
	if !errors.Is(err, want) || gotTook != took || asked != questions {
		r.t.Errorf("got %v after %s and %d questions; want %v after %s and %d", err, gotTook, asked, want, took, questions)
	}
}

func (r replica) counted(want CacheStats) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.Stats()); diff != "" {
		r.t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// renamed is contractRecord(1) with another name.
func renamed(name string) Record {
	r := contractRecord(1)
	r.Key.Name = name
	return r
}

// rename is a change of a record's key, as an operator makes it.
func rename(name string) func(Record) (Edit, error) {
	return func(r Record) (Edit, error) {
		key := *r.Key
		key.Name = name
		r.Key = &key
		return Edit{Record: r}, nil
	}
}

func TestCacheBelievesForItsTTL(t *testing.T) {
	inBubble(t, "a key", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.set(contractRecord(1).Secrets[0].Digest, renamed("changed elsewhere"))
		time.Sleep(time.Second - 1)
		r.finds(1, "ci", 0, 0)
		time.Sleep(time.Nanosecond)
		r.finds(1, "changed elsewhere", 0, 1)
		r.finds(1, "changed elsewhere", 0, 0)
		r.counted(CacheStats{Fresh: 2, Refreshed: 2})
	})
	inBubble(t, "an unknown secret", func(t *testing.T, r replica) {
		r.fails(2, ErrNotFound, 0, 1)
		r.shared.set(contractRecord(2).Secrets[0].Digest, contractRecord(2))
		time.Sleep(time.Second - 1)
		r.fails(2, ErrNotFound, 0, 0)
		time.Sleep(time.Nanosecond)
		r.finds(2, "ci", 0, 1)
		r.counted(CacheStats{Unknown: 2, Refreshed: 1})
	})
	inBubble(t, "a key that was deleted", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.set(contractRecord(1).Secrets[0].Digest, Record{})
		time.Sleep(time.Second)
		r.fails(1, ErrNotFound, 0, 1)
		r.fails(1, ErrNotFound, 0, 0)
		r.shared.answers(0, errDown)
		time.Sleep(time.Second)
		r.fails(1, ErrUnavailable, 0, 1)
	})
	inBubble(t, "an answer is as old as its question", func(t *testing.T, r replica) {
		r.shared.answers(40*time.Millisecond, nil)
		r.finds(1, "ci", 40*time.Millisecond, 1)
		time.Sleep(960*time.Millisecond - 1)
		r.finds(1, "ci", 0, 0)
		time.Sleep(time.Nanosecond)
		r.finds(1, "ci", 40*time.Millisecond, 1)
	})
	inBubble(t, "a refusal is as old as its question", func(t *testing.T, r replica) {
		r.shared.answers(40*time.Millisecond, nil)
		r.fails(2, ErrNotFound, 40*time.Millisecond, 1)
		time.Sleep(960*time.Millisecond - 1)
		r.fails(2, ErrNotFound, 0, 0)
		time.Sleep(time.Nanosecond)
		r.fails(2, ErrNotFound, 40*time.Millisecond, 1)
	})
}

// However many requests ask for one key at once, the shared store is asked once.
func TestCacheAsksOnce(t *testing.T) {
	f := func(name string, n int, want error) {
		inBubble(t, name, func(t *testing.T, r replica) {
			r.shared.answers(10*time.Millisecond, nil)
			for round := range 3 {
				var group sync.WaitGroup
				for range 100 {
					group.Go(func() {
						if _, _, err := r.look(n); !errors.Is(err, want) {
							t.Errorf("got %v, want %v", err, want)
						}
					})
				}
				group.Wait()
				if got := r.shared.questions(); got != 1 {
					t.Errorf("round %d: %d questions, want 1", round, got)
				}
				time.Sleep(time.Second)
			}
		})
	}
	f("a key", 1, nil)
	f("an unknown secret", 2, ErrNotFound)
	inBubble(t, "when the answer comes just before the question", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.fails(2, ErrNotFound, 0, 1)
		for n, want := range map[int]outcome{1: fresh, 2: unknown} {
			if q, _, how := r.join(contractRecord(n).Secrets[0].Digest); q != nil || how != want {
				t.Errorf("record %d: asked again %v, outcome %d, want %d", n, q != nil, how, want)
			}
		}
	})
}

func TestCacheSeesItsOwnChanges(t *testing.T) {
	update := func(r replica, name string) {
		r.t.Helper()
		if _, err := r.Update(r.t.Context(), contractRecord(1).Key.ID, rename(name)); err != nil {
			r.t.Fatal(err)
		}
	}
	inBubble(t, "at once", func(t *testing.T, r replica) {
		r.fails(2, ErrNotFound, 0, 1)
		mustInsert(t, r, contractRecord(2))
		r.finds(2, "ci", 0, 1)
		r.finds(1, "ci", 0, 1)
		update(r, "changed")
		r.finds(1, "changed", 0, 0)
		update(r, "changed again")
		r.finds(1, "changed again", 0, 0)
	})
	inBubble(t, "also when an older answer arrives later", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		time.Sleep(time.Second)
		r.shared.answers(40*time.Millisecond, nil)
		var group sync.WaitGroup
		group.Go(func() { _, _, _ = r.look(1) }) // its question reads the old record
		synctest.Wait()
		r.shared.answers(0, nil)
		update(r, "changed")
		r.finds(1, "changed", 0, 1) // it does not join the older question
		group.Wait()                // the older answer has arrived
		r.finds(1, "changed", 0, 0)
		r.shared.answers(0, errDown)
		time.Sleep(time.Second)
		r.finds(1, "changed", 0, 1)
	})
	inBubble(t, "also when an older refusal arrives later", func(t *testing.T, r replica) {
		r.shared.answers(40*time.Millisecond, nil)
		var group sync.WaitGroup
		group.Go(func() { _, _, _ = r.look(2) })
		synctest.Wait()
		r.shared.answers(0, nil)
		mustInsert(t, r, contractRecord(2))
		group.Wait()
		r.finds(2, "ci", 0, 2) // nobody knows which of the two was later: it is asked again
	})
	inBubble(t, "a changed key is not served as it was, even in an outage", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		update(r, "changed")
		r.shared.answers(0, errDown)
		time.Sleep(time.Minute)
		r.finds(1, "changed", 0, 1)
	})
	inBubble(t, "what failed changes nothing", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.answers(0, errDown)
		if _, err := r.Update(t.Context(), contractRecord(1).Key.ID, rename("changed")); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
		if _, err := r.Insert(t.Context(), Edit{Record: contractRecord(2)}); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
		r.finds(1, "ci", 0, 0)
	})
}

// A secret may have been another key's, which was deleted: what is told of that one later is not about the heir.
func TestCacheKeepsAnInheritedSecret(t *testing.T) {
	digest := contractRecord(1).Secrets[0].Digest
	version := func(n int, version uint64, name string) Record {
		r := contractRecord(n)
		r.Key.Version, r.Key.Name, r.Secrets = version, name, contractRecord(1).Secrets
		return r
	}
	deleted := func(version uint64, r Record) Record {
		r.Key.Version, r.Key.DeletedAt = version, time.Now()
		return r
	}
	inBubble(t, "from a key that was deleted before", func(_ *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.set(digest, version(2, 0, "heir"))
		r.heed(version(2, 1020, "heir"), time.Since(r.started))
		r.finds(1, "heir", 0, 0)
		r.heed(deleted(1010, version(1, 0, "ci")), time.Since(r.started)) // made elsewhere, and heard of late
		r.finds(1, "heir", 0, 0)
		r.heed(deleted(1030, version(1, 0, "ci")), time.Since(r.started)) // its end was made again
		r.finds(1, "heir", 0, 0)
		r.heed(version(2, 1040, "heir, renamed"), time.Since(r.started))
		r.finds(1, "heir, renamed", 0, 0)
		r.heed(deleted(1050, version(2, 0, "heir, deleted")), time.Since(r.started))
		r.finds(1, "heir, deleted", 0, 0)
		r.heed(version(3, 1060, "heir of the heir"), time.Since(r.started))
		r.finds(1, "heir of the heir", 0, 0)
	})
	inBubble(t, "from a key that gave it up", func(_ *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.heed(version(2, 1020, "heir"), time.Since(r.started))
		r.heed(version(1, 1010, "rotated in between"), time.Since(r.started))
		r.finds(1, "heir", 0, 0)
	})
}

// News of a change may be overtaken by an answer about the next one: whoever was refused by it stays refused.
func TestCacheIsNotLedBackByLateNews(t *testing.T) {
	digest := contractRecord(1).Secrets[0].Digest
	created := func(version uint64) Record {
		r := contractRecord(1)
		r.Key.Version = version
		return r
	}
	// ended is when the answer is under way that the key is there no more, or is another one.
	ended := func(t *testing.T, r replica, end Record) (answered func()) {
		t.Helper()
		r.shared.set(digest, end)
		r.shared.answers(40*time.Millisecond, nil)
		var group sync.WaitGroup
		group.Go(func() { _, _, _ = r.look(1) })
		synctest.Wait()
		return func() {
			group.Wait()
			r.shared.answers(0, nil)
			r.shared.questions()
		}
	}
	inBubble(t, "which arrive while the answer is on its way", func(t *testing.T, r replica) {
		answered := ended(t, r, Record{})
		r.heed(created(900), time.Since(r.started))
		answered()
		r.fails(1, ErrNotFound, 0, 1)
	})
	inBubble(t, "also where the key was changed", func(t *testing.T, r replica) {
		answered := ended(t, r, renamed("ended"))
		r.heed(created(900), time.Since(r.started))
		answered()
		r.finds(1, "ended", 0, 1)
	})
	inBubble(t, "which arrive later", func(t *testing.T, r replica) {
		answered := ended(t, r, renamed("ended"))
		answered()
		r.heed(created(900), time.Since(r.started))
		r.finds(1, "ended", 0, 0)
	})
	inBubble(t, "but an older answer is no reason to ask again", func(t *testing.T, r replica) {
		answered := ended(t, r, renamed("before"))
		end := renamed("ended")
		end.Key.Version = 2000
		r.heed(end, time.Since(r.started))
		answered()
		r.finds(1, "ended", 0, 0)
	})
	inBubble(t, "and what was lost is no truth", func(t *testing.T, r replica) {
		answered := ended(t, r, renamed("lost"))
		answered()
		r.finds(1, "lost", 0, 0)
		time.Sleep(time.Millisecond)
		r.suspect()
		r.heed(created(900), time.Since(r.started)+1)
		r.finds(1, "ci", 0, 0)
	})
}

// The question goes on without the request that asked it: others wait for its answer.
func TestCacheOutlivesItsCaller(t *testing.T) {
	inBubble(t, "a key", func(t *testing.T, r replica) {
		r.shared.answers(40*time.Millisecond, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := r.ByDigest(ctx, contractRecord(1).Secrets[0].Digest, netip.Addr{})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable and the end of the context", err)
		}
		r.finds(1, "ci", 30*time.Millisecond, 1)
		r.finds(1, "ci", 0, 0)
	})
}

func TestCacheIsClosed(t *testing.T) {
	inBubble(t, "in the middle of a question", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.answers(never, nil)
		var group sync.WaitGroup
		group.Go(func() { r.fails(2, context.Canceled, 10*time.Millisecond, 1) })
		time.Sleep(10 * time.Millisecond)
		r.Close()
		group.Wait()
		r.fails(2, ErrUnavailable, 0, 0)
		r.finds(1, "ci", 0, 0)
		time.Sleep(time.Second)
		r.finds(1, "ci", 0, 0)
		r.Close()
	})
	inBubble(t, "once all questions have ended", func(t *testing.T, _ replica) {
		began := time.Now()
		s := NewCachedStore(funcStore{answer: func() (Record, error) { time.Sleep(time.Second); return Record{}, errDown }}, DefaultConfig(), nil)
		_, err := s.ByDigest(t.Context(), Digest{}, netip.Addr{})
		s.Close()
		if took := time.Since(began); !errors.Is(err, ErrUnavailable) || took != time.Second {
			t.Errorf("got %v, closed after %s, want ErrUnavailable and 1s", err, took)
		}
	})
}
