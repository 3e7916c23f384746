package keys

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/store"
	"tollgate/store/redistest"
)

// member is one replica of a fleet, with a client of its own.
type member struct {
	*Directory
	cache *CachedStore
}

func joinFleet(t *testing.T, server *redistest.Server, c Config) member {
	t.Helper()
	cache := cached(t, NewRedisStore(openRedis(t, server)), c)
	return member{Directory: New(cache, c), cache: cache}
}

// longestWait bounds every wait of a test; it passes only when something hangs.
const longestWait = 2 * time.Minute

// promptly is how soon must be answered what needs no more than questionTime: on a busy machine that is far from a
// second, so the ordinary form tells only an answer from a wait.
func promptly() time.Duration {
	if os.Getenv("TOLLGATE_PROVE") == "" {
		return longestWait
	}
	return time.Second
}

// eventually waits for what a busy machine may delay.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(longestWait); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func (m member) admits(secret []byte) bool {
	_, err := m.Authenticate(context.Background(), secret, netip.Addr{})
	return err == nil
}

func TestFleetShares(t *testing.T) {
	server := redistest.Start(t)
	c := DefaultConfig()
	c.CacheTTL = 200 * time.Millisecond
	here, there := joinFleet(t, server, c), joinFleet(t, server, c)
	key, secret := create(t, here.Directory, Spec{Tenant: "acme", Name: "ci"})
	wantAdmitted(t, there.Directory, secret, key)
	wantAdmitted(t, here.Directory, secret, key)

	if _, err := here.By("test").Revoke(t.Context(), key.ID, Soon); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	wantRefused(t, here.Directory, secret, ErrRevoked)
	eventually(t, "the other replica obeys", func() bool { return !there.admits(secret) })
	if took := time.Since(revoked); os.Getenv("TOLLGATE_PROVE") != "" && took > 10*c.CacheTTL {
		t.Errorf("revoked elsewhere, the key worked for %s more, want about %s", took, c.CacheTTL)
	}
	wantRefused(t, there.Directory, secret, ErrRevoked)
	listed, _, err := there.List(t.Context(), Filter{})
	if err != nil || len(listed) != 1 || listed[0].State(time.Now()) != StateRevoked {
		t.Errorf("List: got %v, %v", listed, err)
	}
}

// While Redis hangs or is gone, what a replica has seen keeps working, what it has not is answered soon, and all is well afterwards.
func TestFleetInAnOutage(t *testing.T) {
	f := func(name string, begin, end func(*redistest.Server)) {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, redistest.WithAppendOnly())
			c := DefaultConfig()
			c.CacheTTL = 50 * time.Millisecond
			here, there := joinFleet(t, server, c), joinFleet(t, server, c)
			var known, unseen [][]byte
			var ids []string
			for n := range 8 {
				key, secret := create(t, here.Directory, Spec{Tenant: "acme", Name: fmt.Sprintf("key %d", n)})
				eventually(t, "the key is seen", func() bool { return there.admits(secret) })
				known, ids = append(known, secret), append(ids, key.ID)
				_, secret = create(t, here.Directory, Spec{Tenant: "acme", Name: fmt.Sprintf("unseen key %d", n)})
				unseen = append(unseen, secret)
			}
			stop := keepUsing(t, there, known)
			begin(server)
			refusedSoon(t, there, unseen)
			eventually(t, "many look-ups in the outage", func() bool { return there.cache.Stats().Stale > 10_000 })
			refusedSoon(t, there, unseen)
			if _, err := there.By("test").Revoke(t.Context(), ids[0], Soon); !errors.Is(err, ErrUnavailable) {
				t.Errorf("Revoke: got %v, want ErrUnavailable", err)
			}
			end(server)
			for _, secret := range unseen {
				eventually(t, "unseen keys work again", func() bool { return there.admits(secret) })
			}
			stop()
			eventually(t, "keys can be revoked again", func() bool { _, err := here.By("test").Revoke(t.Context(), ids[0], Soon); return err == nil })
			eventually(t, "the change arrives", func() bool { return !there.admits(known[0]) })
			wantRefused(t, there.Directory, known[0], ErrRevoked)
		})
	}
	f("a server that hangs", (*redistest.Server).Pause, (*redistest.Server).Resume)
	f("a server that crashed", (*redistest.Server).Kill, (*redistest.Server).Restart)
}

// keepUsing looks known keys up, all the time and from several goroutines, until
// the function that it returns is called. No look-up may fail.
func keepUsing(t *testing.T, m member, secrets [][]byte) (stop func()) {
	var stopped atomic.Bool
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for n := worker; !stopped.Load(); n++ {
				if _, err := m.Authenticate(context.Background(), secrets[n%len(secrets)], netip.Addr{}); err != nil {
					t.Errorf("a known key was refused: %v", err)
					return
				}
				time.Sleep(20 * time.Microsecond) // the machine has other users
			}
		})
	}
	stop = sync.OnceFunc(func() { stopped.Store(true); group.Wait() })
	t.Cleanup(stop)
	return stop
}

// refusedSoon checks that nobody waits long for a key that cannot be looked up, and that it is not taken for a wrong one.
func refusedSoon(t *testing.T, m member, secrets [][]byte) {
	t.Helper()
	for _, secret := range secrets {
		began := time.Now()
		wantRefused(t, m.Directory, secret, ErrUnavailable)
		if took := time.Since(began); took > promptly() {
			t.Errorf("an unseen key was answered after %s, want about %s", took, questionTime)
		}
	}
}

// What a key may do is judged at each request, also when its record comes from memory.
func TestCachedKeysAreJudgedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newFakeShared()
		d := New(cached(t, shared, DefaultConfig()), DefaultConfig())
		key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci", ExpiresAt: time.Now().Add(time.Minute)})
		other, otherSecret := create(t, d, Spec{Tenant: "acme", Name: "revoked"})
		wantAdmitted(t, d, secret, key)
		wantAdmitted(t, d, otherSecret, other)
		if _, err := d.By("test").Revoke(t.Context(), other.ID, Soon); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, d, otherSecret, ErrRevoked)

		shared.answers(0, store.ErrRedisDown)
		time.Sleep(time.Minute - time.Nanosecond)
		wantAdmitted(t, d, secret, key)
		time.Sleep(time.Nanosecond)
		wantRefused(t, d, secret, ErrExpired)
		wantRefused(t, d, otherSecret, ErrRevoked)
		wantRefused(t, d, []byte(sample), ErrUnavailable)
	})
}

// A secret whose checksum is wrong reaches neither the cache nor the shared store.
func TestGarbageIsNotLookedUp(t *testing.T) {
	shared := newFakeShared()
	cache := cached(t, shared, DefaultConfig())
	d := New(cache, DefaultConfig())
	for _, garbage := range []string{"", "tg_", "sk-0123456789", sample[:len(sample)-1], sample[:len(sample)-1] + "!", sample + "0"} {
		wantRefused(t, d, []byte(garbage), ErrMalformed)
	}
	if asked, counted := shared.questions(), cache.Stats(); asked != 0 || counted != (CacheStats{}) {
		t.Errorf("%d questions, %+v; want none", asked, counted)
	}
	wantRefused(t, d, []byte(sample), ErrUnknown)
	if asked := shared.questions(); asked != 1 {
		t.Errorf("%d questions for a well-formed secret, want 1", asked)
	}
}
