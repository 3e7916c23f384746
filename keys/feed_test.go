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

// What is heard beats what is answered later, whoever answers.
func TestFeedIsNotUndone(t *testing.T) {
	fed(t, "by an answer that was under way", func(t *testing.T, r replica) {
		r.shared.answers(100*time.Millisecond, nil)
		var group sync.WaitGroup
		group.Go(func() { _, _, _ = r.look(1) }) // its answer is the key as it is now
		synctest.Wait()
		r.shared.answers(0, nil)
		r.shared.change(revoked())
		time.Sleep(pollGap)
		group.Wait()
		synctest.Wait()
		if !r.isRevoked() {
			t.Error("a late answer brought the key back")
		}
	})
	fed(t, "by a server that has been replaced", func(t *testing.T, r replica) {
		r.shared.change(revoked())
		time.Sleep(pollGap)
		synctest.Wait()
		r.shared.mu.Lock()
		r.shared.byDigest[contractRecord(1).Secrets[0].Digest] = contractRecord(1) // version 0
		r.shared.mu.Unlock()
		if !r.isRevoked() {
			t.Error("an older state brought the key back")
		}
		if !r.isRevoked() {
			t.Error("an older state was remembered")
		}
	})
}

// A store that has lost its last changes, or all it had, is believed anew, but for keys that had ended.
func TestFeedBeginsAnew(t *testing.T) {
	fed(t, "a key that was forgotten", func(t *testing.T, r replica) {
		r.shared.change(renamed("changed"))
		time.Sleep(pollGap)
		r.finds(1, "changed", 0, 1)
		r.shared.mu.Lock()
		r.shared.version, r.shared.changed = 0, nil
		r.shared.byDigest = map[Digest]Record{contractRecord(1).Secrets[0].Digest: renamed("as it was before")}
		r.shared.mu.Unlock()
		time.Sleep(pollEvery + pollGap)
		synctest.Wait()
		r.finds(1, "as it was before", 0, 1)
		r.shared.mu.Lock()
		clear(r.shared.byDigest)
		r.shared.mu.Unlock()
		r.shared.change(contractRecord(2))
		time.Sleep(time.Minute)
		_, _, _ = r.look(1)
		synctest.Wait()
		if _, _, err := r.look(1); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	fed(t, "a revocation that was forgotten", func(t *testing.T, r replica) {
		r.shared.change(contractRecord(2))
		r.finds(1, "ci", 0, 1)
		r.shared.change(revoked())
		time.Sleep(pollGap)
		synctest.Wait()
		r.shared.mu.Lock()
		r.shared.version, r.shared.changed = 1001, nil
		r.shared.byDigest[contractRecord(1).Secrets[0].Digest] = contractRecord(1)
		r.shared.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if !r.isRevoked() {
			t.Error("the key came back")
		}
		r.shared.mu.Lock()
		defer r.shared.mu.Unlock()
		if r.shared.byDigest[contractRecord(1).Secrets[0].Digest].Key.RevokedAt.IsZero() {
			t.Error("the store was not told again")
		}
	})
}

func TestScreen(t *testing.T) {
	attacker, other := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("203.0.113.10")
	look := func(r replica, n int, from netip.Addr) (time.Duration, error) {
		began := time.Now()
		_, err := r.ByDigest(r.t.Context(), contractRecord(n).Secrets[0].Digest, from)
		return time.Since(began), err
	}
	exhaust := func(r replica) {
		r.t.Helper()
		for n := range 20 {
			if _, err := look(r, 1000+n, attacker); !errors.Is(err, ErrNotFound) {
				r.t.Fatal(err)
			}
		}
		if asked := r.shared.questions(); asked != 20 {
			r.t.Fatalf("%d questions, want 20: the burst", asked)
		}
	}
	fed(t, "a flood asks no more than five a second, of one address", func(t *testing.T, r replica) {
		exhaust(r)
		began := time.Now()
		for n := range 1000 {
			if took, err := look(r, 2000+n, attacker); !errors.Is(err, ErrNotFound) || took > screenTime {
				t.Fatalf("got %v after %s", err, took)
			}
		}
		seconds := int(time.Since(began)/time.Second) + 1
		if asked := r.shared.questions(); asked > 5*seconds {
			t.Errorf("%d questions in %d s, want at most 5 a second", asked, seconds)
		}
		if _, err := look(r, 5000, other); !errors.Is(err, ErrNotFound) || r.shared.questions() != 1 {
			t.Error("another address was not asked for")
		}
	})
	fed(t, "a key that is valid is never refused", func(t *testing.T, r replica) {
		exhaust(r)
		if took, err := look(r, 1, attacker); err != nil || took != 0 {
			t.Errorf("a key from before: got %v after %s", err, took)
		}
		r.shared.change(contractRecord(2))
		if took, err := look(r, 2, attacker); err != nil || took > screenTime {
			t.Errorf("a new key: got %v after %s", err, took)
		}
		r.shared.mu.Lock()
		r.shared.write(contractRecord(3)) // no news
		r.shared.mu.Unlock()
		if took, err := look(r, 3, attacker); err != nil || took > screenTime {
			t.Errorf("a new key without news: got %v after %s", err, took)
		}
	})
	fed(t, "in an outage nothing is known", func(t *testing.T, r replica) {
		exhaust(r)
		r.shared.answers(0, store.ErrRedisDown)
		if _, err := look(r, 2000, attacker); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
	fed(t, "many addresses find only so many questions under way", func(t *testing.T, r replica) {
		time.Sleep(screenTime)
		r.shared.answers(50*time.Millisecond, nil)
		var group sync.WaitGroup
		for n := range 200 {
			group.Go(func() {
				if _, err := look(r, 1000+n, netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})); !errors.Is(err, ErrNotFound) {
					t.Errorf("got %v", err)
				}
			})
		}
		group.Wait()
		if asked := r.shared.questions(); asked != maxUnmet {
			t.Errorf("%d questions, want %d", asked, maxUnmet)
		}
	})
}

func TestNetworkIsOneAddress(t *testing.T) {
	f := func(a, b string, same bool) {
		t.Helper()
		if got := network(netip.MustParseAddr(a)) == network(netip.MustParseAddr(b)); got != same {
			t.Errorf("%s and %s: one address %v, want %v", a, b, got, same)
		}
	}
	f("203.0.113.9", "203.0.113.9", true)
	f("203.0.113.9", "::ffff:203.0.113.9", true)
	f("203.0.113.9", "203.0.113.10", false)
	f("2001:db8:1:2::1", "2001:db8:1:2:ffff::1", true)
	f("2001:db8:1:2::1", "2001:db8:1:3::1", false)
	f("fe80::1%eth0", "fe80::1%eth1", true)
}

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

// A flood that keeps the store busy is not in the way of a key that the feed knows.
func TestFloodSparesNewKeys(t *testing.T) {
	fed(t, "of many addresses", func(t *testing.T, r replica) {
		r.shared.change(contractRecord(2))
		time.Sleep(pollGap)
		r.shared.answers(40*time.Millisecond, nil)
		var group sync.WaitGroup
		for n := range maxUnmet {
			group.Go(func() { _, _, _ = r.look(1000 + n) })
		}
		synctest.Wait()
		if name, took, err := r.look(2); name != "ci" || took != 40*time.Millisecond {
			t.Errorf("got %q, %v after %s", name, err, took)
		}
		group.Wait()
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

// After the store has lost changes of tenants, what it has left counts, and nobody is without limits in between.
func TestFeedLosesTenants(t *testing.T) {
	fed(t, "one goes back, one goes", func(t *testing.T, r replica) {
		set := func(name string, limit int) {
			t.Helper()
			_, err := r.shared.UpdateTenant(t.Context(), name, func(Tenant) (TenantEdit, error) {
				return TenantEdit{Tenant: Tenant{Name: name, Limits: Limits{RequestsPerMinute: limit}}}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			r.shared.tell()
			time.Sleep(pollGap)
			synctest.Wait()
		}
		set("acme", 60)
		set("gone", 60)
		r.shared.mu.Lock()
		r.shared.version, r.shared.moved = 1000, nil
		r.shared.tenants = []Tenant{{Name: "acme", Limits: Limits{RequestsPerMinute: 30}, Version: 999}}
		r.shared.mu.Unlock()
		r.shared.tell()
		synctest.Wait()
		if r.TenantLimits("gone").RequestsPerMinute == 0 && r.TenantLimits("acme").RequestsPerMinute == 60 {
			t.Error("limits were dropped before others were read")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if acme, gone := r.TenantLimits("acme"), r.TenantLimits("gone"); acme.RequestsPerMinute != 30 || gone != (Limits{}) {
			t.Errorf("got %+v and %+v, want 30 a minute and none", acme, gone)
		}
	})
}
