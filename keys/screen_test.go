package keys

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/store"
)

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

// The screen refuses nobody whom it does not know to be nobody.
func TestScreenInDoubt(t *testing.T) {
	from := netip.MustParseAddr("203.0.113.9")
	exhausted := func(r replica) {
		for range strangerBurst * DefaultConfig().FailedLookups {
			r.strangers.allow(from)
		}
	}
	look := func(r replica, n int) error {
		_, err := r.ByDigest(r.t.Context(), contractRecord(n).Secrets[0].Digest, from)
		return err
	}
	fed(t, "changes are lost while it waits", func(t *testing.T, r replica) {
		exhausted(r)
		r.shared.change(contractRecord(2))
		time.Sleep(pollGap)
		synctest.Wait()
		r.shared.mu.Lock()
		r.shared.version, r.shared.changed = 1000, nil
		r.shared.byDigest[contractRecord(3).Secrets[0].Digest] = contractRecord(3) // made on the new master, in the place of 2
		r.shared.mu.Unlock()
		if err := look(r, 3); err != nil {
			t.Errorf("got %v", err)
		}
	})
	fed(t, "a record of a newer binary", func(t *testing.T, r replica) {
		exhausted(r)
		r.shared.mu.Lock()
		r.shared.unread = []string{contractRecord(2).Key.ID}
		r.shared.byDigest[contractRecord(2).Secrets[0].Digest] = contractRecord(2)
		r.shared.version++
		r.shared.mu.Unlock()
		if err := look(r, 2); err != nil {
			t.Errorf("got %v", err)
		}
	})
	fed(t, "the feed is deaf", func(t *testing.T, r replica) {
		exhausted(r)
		r.shared.mu.Lock()
		r.shared.fed = false
		r.shared.byDigest[contractRecord(2).Secrets[0].Digest] = contractRecord(2)
		r.shared.mu.Unlock()
		time.Sleep(feedPatience)
		if err := look(r, 2); err != nil {
			t.Errorf("got %v", err)
		}
	})
}
