package keys

import (
	"errors"
	"sync"
	"testing"
	"time"

	"tollgate/store/redistest"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// Every Store keeps the contract, also behind a cache; those that replicas share keep more of it.
func TestStores(t *testing.T) {
	t.Run("bbolt", func(t *testing.T) { testStore(t, openContractBolt) })
	f := func(name string, open func(*testing.T) func() Records) {
		t.Run(name, func(t *testing.T) {
			testStore(t, func(t *testing.T) (Records, func() Records) {
				another := open(t)
				return another(), another
			})
			testSharedStore(t, func(t *testing.T) (a, b Records) {
				another := open(t)
				return another(), another()
			})
		})
	}
	for name, empty := range sharedRedis(t) {
		f(name, func(t *testing.T) func() Records {
			client := empty(t)
			return func() Records { return NewRedisStore(client) }
		})
		f("cached "+name, func(t *testing.T) func() Records {
			client := empty(t)
			return func() Records { return cached(t, NewRedisStore(client), DefaultConfig()) }
		})
	}
}

// testSharedStore is what the contract adds for a Store that others change as well. open returns two over the same empty data.
func testSharedStore(t *testing.T, open func(*testing.T) (a, b Records)) {
	for name, test := range map[string]func(t *testing.T, a, b Records){
		"a key of the one is a key of the other":      sharedInsert,
		"a change of the one is seen by the other":    sharedUpdate,
		"insert never overwrites what another stored": sharedDuplicate,
		"concurrent updates of both lose nothing":     sharedConcurrentUpdates,
		"both list the same":                          sharedList,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			test(t, a, b)
		})
	}
}

func sharedInsert(t *testing.T, a, b Records) {
	mustInsert(t, a, contractRecord(1))
	wantStored(t, b, contractRecord(1))
	mustInsert(t, b, contractRecord(2))
	wantStored(t, a, contractRecord(2))
}

func sharedUpdate(t *testing.T, a, b Records) {
	mustInsert(t, a, contractRecord(1))
	want := contractRecord(1)
	want.Key.RevokedAt = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	mustUpdate(t, b, 1, func(r *Record) { r.Key.RevokedAt = want.Key.RevokedAt })
	wantStored(t, a, want)
	wantStored(t, b, want)
}

func sharedDuplicate(t *testing.T, a, b Records) {
	mustInsert(t, a, contractRecord(1))
	impostor := contractRecord(2)
	impostor.Secrets = contractRecord(1).Secrets
	for _, r := range []Record{contractRecord(1), impostor} {
		if _, err := b.Insert(t.Context(), created(r)); !errors.Is(err, ErrDuplicate) {
			t.Errorf("Insert: got %v, want ErrDuplicate", err)
		}
	}
	wantStored(t, b, contractRecord(1))
}

func sharedConcurrentUpdates(t *testing.T, a, b Records) {
	mustInsert(t, a, contractRecord(1))
	const callers = 8
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			s := []Records{a, b}[n%2]
			_, err := s.Update(t.Context(), contractRecord(1).Key.ID, changed(func(r *Record) { r.Key.RequestsPerMinute++ }))
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want := contractRecord(1)
	want.Key.RequestsPerMinute = callers
	wantStored(t, a, want)
	wantStored(t, b, want)
}

func sharedList(t *testing.T, a, b Records) {
	mustInsert(t, a, contractRecord(2), contractRecord(1))
	mustInsert(t, b, contractRecord(3))
	want := []Record{contractRecord(1), contractRecord(2), contractRecord(3)}
	for _, s := range []Records{a, b} {
		got, err := s.List(t.Context())
		if diff := cmp.Diff(want, got, likeStored()); err != nil || diff != "" {
			t.Errorf("List: %v (-want +got):\n%s", err, diff)
		}
	}
}

func openContractBolt(t *testing.T) (Records, func() Records) {
	dir := t.TempDir()
	db := openBolt(t, dir)
	return newBoltStore(t, db), func() Records {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = openBolt(t, dir)
		return newBoltStore(t, db)
	}
}

// cached is a cache over shared that ends with the test.
func cached(t testing.TB, shared Shared, c Config) *CachedStore {
	t.Helper()
	s := NewCachedStore(shared, c, nil)
	t.Cleanup(s.Close)
	return s
}

// sharedRedis are kinds of Redis that a fleet may have. Each function empties its own and returns a client, one that
// is patient: a busy machine is no outage.
func sharedRedis(t *testing.T) map[string]func(*testing.T) redis.UniversalClient {
	mini, server, cluster, sentinels := miniredis.RunT(t), redistest.Start(t), redistest.StartCluster(t), redistest.StartSentinels(t, 1)
	clients := map[string]redis.UniversalClient{
		"miniredis":    redis.NewClient(&redis.Options{Addr: mini.Addr(), DisableIdentity: true}),
		"redis-server": redis.NewClient(server.Options()),
		"redis behind sentinels": redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: redistest.MasterName, SentinelAddrs: sentinels.Addresses(), DisableIdentity: true,
		}),
		"redis cluster": redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addresses(), DisableIdentity: true}),
	}
	emptiers := make(map[string]func(*testing.T) redis.UniversalClient)
	for name, client := range clients {
		t.Cleanup(func() { _ = client.Close() })
		emptiers[name] = func(t *testing.T) redis.UniversalClient {
			t.Helper()
			if err := client.Del(t.Context(), redisKeys()...).Err(); err != nil {
				t.Fatal(err)
			}
			return client
		}
	}
	return emptiers
}
