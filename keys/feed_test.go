package keys

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/store"
)

// fed runs test with a replica that hears the feed. The shared store holds contractRecord(1).
func fed(t *testing.T, name string, test func(t *testing.T, r replica)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			shared := newFakeShared(contractRecord(1))
			shared.fed = true
			r := replica{CachedStore: cached(t, shared, DefaultConfig()), t: t, shared: shared}
			time.Sleep(time.Second)
			test(t, r)
		})
	})
}

// revoked is contractRecord(1) after its revocation.
func revoked() Record {
	r := contractRecord(1)
	r.Key.RevokedAt = time.Now()
	return r
}

// isRevoked tells what a look-up of contractRecord(1) says.
func (r replica) isRevoked() bool {
	r.t.Helper()
	record, err := r.ByDigest(r.t.Context(), contractRecord(1).Secrets[0].Digest, netip.Addr{})
	if err != nil {
		r.t.Fatal(err)
	}
	return !record.Key.RevokedAt.IsZero()
}

func TestFeedTellsOfChanges(t *testing.T) {
	fed(t, "at the next poll where no news arrive", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.mu.Lock()
		r.shared.write(revoked())
		r.shared.mu.Unlock()
		time.Sleep(pollEvery + pollGap)
		synctest.Wait()
		if !r.isRevoked() || r.shared.questions() != 0 {
			t.Error("not revoked, or asked about the key")
		}
	})
	fed(t, "at once where they do", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.change(revoked())
		time.Sleep(pollGap)
		synctest.Wait()
		if !r.isRevoked() {
			t.Error("not revoked")
		}
	})
	fed(t, "of a key that was unknown", func(t *testing.T, r replica) {
		r.fails(2, ErrNotFound, 0, 1)
		r.fails(2, ErrNotFound, 0, 0)
		r.shared.change(contractRecord(2))
		time.Sleep(pollGap)
		synctest.Wait()
		r.finds(2, "ci", 0, 1)
	})
	fed(t, "of every secret of a key", func(t *testing.T, r replica) {
		rotated := contractRecord(1)
		rotated.Secrets = append([]StoredSecret{contractRecord(2).Secrets[0]}, rotated.Secrets...)
		r.shared.change(rotated)
		r.finds(1, "ci", 0, 1)
		r.finds(2, "ci", 0, 1)
		rotated.Key.Name = "changed"
		r.shared.change(rotated)
		time.Sleep(pollGap)
		synctest.Wait()
		r.finds(1, "changed", 0, 0)
		r.finds(2, "changed", 0, 0)
	})
	fed(t, "of a deleted key", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		gone := revoked()
		gone.Key.DeletedAt = time.Now()
		r.shared.change(gone)
		time.Sleep(pollGap)
		synctest.Wait()
		if !r.isRevoked() {
			t.Error("a deleted key is served")
		}
	})
	fed(t, "of tenants", func(t *testing.T, r replica) {
		f := func(change Tenant, want Limits) {
			t.Helper()
			if _, err := r.shared.UpdateTenant(t.Context(), "acme", func(Tenant) (TenantEdit, error) { return TenantEdit{Tenant: change}, nil }); err != nil {
				t.Fatal(err)
			}
			r.shared.tell()
			time.Sleep(pollGap)
			synctest.Wait()
			if got := r.TenantLimits("acme"); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		limits := Limits{RequestsPerMinute: 60}
		f(Tenant{Name: "acme", Limits: limits}, limits)
		f(Tenant{Name: "acme", Deleted: true}, Limits{})
	})
	fed(t, "which answers must end", func(t *testing.T, r replica) {
		watch := r.Cuts().Watch(contractRecord(1).Key.ID)
		other := r.Cuts().Watch(contractRecord(2).Key.ID)
		r.shared.change(revoked())
		time.Sleep(pollGap)
		synctest.Wait()
		if watch.Severed() {
			t.Error("severed by an ordinary revocation")
		}
		now := revoked()
		now.Key.Severed = true
		r.shared.change(now)
		time.Sleep(pollGap)
		synctest.Wait()
		if !watch.Severed() || other.Severed() {
			t.Errorf("severed %v, the other %v; want true and false", watch.Severed(), other.Severed())
		}
	})
}

// With the feed a key in use is looked up once in cache_ttl, and nobody waits for that.
func TestFeedSparesQuestions(t *testing.T) {
	fed(t, "of a key in use", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		for range 29 {
			time.Sleep(time.Second)
			r.finds(1, "ci", 0, 0)
		}
		time.Sleep(time.Second)
		r.shared.answers(100*time.Millisecond, nil)
		r.shared.set(contractRecord(1).Secrets[0].Digest, renamed("changed by hand"))
		_, took, _ := r.look(1)
		if took != 0 {
			t.Errorf("waited for %s", took)
		}
		time.Sleep(200 * time.Millisecond)
		r.finds(1, "changed by hand", 0, 1)
	})
	fed(t, "but where the background fails, not for ever", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		time.Sleep(time.Hour)
		r.finds(1, "ci", 0, 0) // the question behind it is put after the answer
		synctest.Wait()
		if got := r.shared.questions(); got != 1 {
			t.Errorf("%d questions, want 1", got)
		}
	})
}

// In an outage nobody waits for a key that is known, nor asks for it: the feed alone looks whether the store is back.
func TestFeedInAnOutage(t *testing.T) {
	f := func(name string, begin func(*fakeShared)) {
		fed(t, name, func(t *testing.T, r replica) {
			r.finds(1, "ci", 0, 1)
			begin(r.shared)
			for range 14 * 60 {
				time.Sleep(time.Second)
				r.finds(1, "ci", 0, 0)
			}
			if _, took, err := r.look(2); !errors.Is(err, ErrUnavailable) || took > questionTime {
				t.Errorf("an unseen key: got %v after %s", err, took)
			}
			r.shared.questions()
			time.Sleep(time.Minute)
			if _, took, err := r.look(1); !errors.Is(err, ErrUnavailable) || took > questionTime {
				t.Errorf("after the grace: got %v after %s", err, took)
			}
			r.shared.mu.Lock()
			r.shared.write(revoked())
			r.shared.mu.Unlock()
			r.shared.answers(0, nil)
			time.Sleep(2*pollEvery + feedTime)
			synctest.Wait()
			if !r.isRevoked() {
				t.Error("a change made in the outage is not obeyed after it")
			}
		})
	}
	f("of a store that is down", func(s *fakeShared) { s.answers(0, fmt.Errorf("%w: %w", ErrUnavailable, store.ErrRedisDown)) })
	f("of a store that hangs", func(s *fakeShared) { s.answers(never, nil) })
}

func TestFeedWarns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newFakeShared()
		s, text := logging(t, shared)
		time.Sleep(time.Second)
		if got := text.String(); !strings.Contains(got, "changes of keys cannot be followed") || strings.Count(got, "\n") != 1 {
			t.Errorf("logged: %s", got)
		}
		s.clock(time.Now().Add(3 * time.Second))
		s.clock(time.Now().Add(-time.Second))
		if got := text.String(); strings.Count(got, "the clock differs") != 1 {
			t.Errorf("logged: %s", got)
		}
	})
}

// Look-ups and changes from all sides at once race for nothing.
func TestFeedIsSafe(t *testing.T) {
	shared := newFakeShared(contractRecord(1))
	shared.fed = true
	s := cached(t, shared, DefaultConfig())
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for n := range 500 {
				_, _ = s.ByDigest(context.Background(), contractRecord(n % 5).Secrets[0].Digest, netip.AddrFrom4([4]byte{byte(worker)}))
				if n%50 == worker {
					shared.change(renamed(fmt.Sprint(n)))
				}
			}
		})
	}
	group.Wait()
	eventually(t, "the last change is heard", func() bool {
		shared.mu.Lock()
		want := shared.byDigest[contractRecord(1).Secrets[0].Digest].Key.Name
		shared.mu.Unlock()
		got, err := s.ByDigest(t.Context(), contractRecord(1).Secrets[0].Digest, netip.Addr{})
		return err == nil && got.Key.Name == want
	})
}

// What was learned before the feed was first heard may have changed in between, and nobody tells.
func TestFeedIsHeardLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newFakeShared(contractRecord(1))
		r := replica{CachedStore: cached(t, shared, DefaultConfig()), t: t, shared: shared}
		r.finds(1, "ci", 0, 1)
		shared.mu.Lock()
		shared.write(renamed("changed before the first poll"))
		shared.fed = true
		shared.mu.Unlock()
		time.Sleep(pollEvery + pollGap)
		synctest.Wait()
		r.finds(1, "changed before the first poll", 0, 1)
		r.finds(1, "changed before the first poll", 0, 0)
	})
}

// A key that was served a moment before an outage was seen then, whenever it was last asked about.
func TestGraceBeginsWithTheLastUse(t *testing.T) {
	fed(t, "a key of old", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		time.Sleep(time.Hour)
		r.shared.answers(0, store.ErrRedisDown) // still unnoticed
		r.finds(1, "ci", 0, 0)
		time.Sleep(14 * time.Minute)
		synctest.Wait()
		if name, _, err := r.look(1); name != "ci" {
			t.Errorf("got %q, %v", name, err)
		}
	})
}
