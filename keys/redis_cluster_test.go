package keys

import (
	"fmt"
	"testing"
	"time"

	"tollgate/store"
	"tollgate/store/redistest"

	"github.com/redis/go-redis/v9"
)

// joinCluster is one replica of a fleet on a Cluster.
func joinCluster(t *testing.T, cluster *redistest.Cluster) member {
	t.Helper()
	client, err := store.OpenRedis(store.RedisConfig{Addresses: cluster.Addresses()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	c := DefaultConfig()
	cache := cached(t, NewRedisStore(client), c)
	return member{Directory: New(cache, c), cache: cache}
}

// The whole life of a key goes on while the slot of all keys moves from node to node of a Cluster: known keys work at
// every moment, and what an operator does takes effect everywhere once it is answered, or can be done again.
func TestClusterIsResharded(t *testing.T) {
	cluster := redistest.StartCluster(t)
	here, there := joinCluster(t, cluster), joinCluster(t, cluster)
	var known [][]byte
	for n := range 8 {
		_, secret := create(t, here.Directory, Spec{Tenant: "acme", Name: fmt.Sprintf("key %d", n)})
		eventually(t, "the key is seen", func() bool { return there.admits(secret) })
		known = append(known, secret)
	}
	stop := keepUsing(t, there, known)
	for round := range 3 {
		cluster.MoveSlotOf(redisRecords, func() {
			time.Sleep(50 * time.Millisecond) // long enough for the feed to be asked for, and for many look-ups
			_, _ = here.By("test").SetTenant(t.Context(), "acme", func(s *TenantSpec) { s.Concurrent++ })
		})
		lifeInAFleet(t, here, there, round)
	}
	stop()
	if got := cluster.Everything(t); got == "" {
		t.Error("the Cluster is empty")
	}
}

// lifeInAFleet leads a key through its life at one replica and watches it at another.
func lifeInAFleet(t *testing.T, here, there member, round int) {
	t.Helper()
	operator := here.By("test")
	try := func(what string, do func() error) {
		t.Helper()
		var err error
		eventually(t, what, func() bool { err = do(); return err == nil })
	}
	var key *Key
	var first, second []byte
	try("create", func() error {
		k, secret, err := operator.Create(t.Context(), Spec{Tenant: "acme", Name: fmt.Sprintf("round %d", round)})
		key, first = k, []byte(secret.Reveal())
		return err
	})
	eventually(t, "the key works elsewhere", func() bool { return there.admits(first) })
	try("rotate", func() error {
		_, secret, err := operator.Rotate(t.Context(), key.ID, time.Hour)
		second = []byte(secret.Reveal())
		return err
	})
	eventually(t, "the new secret works elsewhere", func() bool { return there.admits(second) })
	if !there.admits(first) {
		t.Error("the old secret is refused in its grace")
	}
	try("revoke", func() error { _, err := operator.Revoke(t.Context(), key.ID, Soon); return err })
	eventually(t, "the revocation is seen", func() bool { return !there.admits(first) && !there.admits(second) })
	wantRefused(t, there.Directory, second, ErrRevoked)
	try("delete", func() error { _, err := operator.Delete(t.Context(), key.ID); return err })
	eventually(t, "the key is gone", func() bool { _, err := there.Show(t.Context(), key.ID); return err != nil })
}

// A list that is read while its slot moves is whole: the new node makes another order of what it has.
func TestClusterListIsWholeAfterAMove(t *testing.T) {
	const count = 4 * listChunk
	cluster := redistest.StartCluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addresses(), DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	digests := make(map[string]any)
	for n := range count {
		digests[contractSecret(n).Digest.text()] = contractRecord(n).Key.ID
	}
	if err := client.HSet(t.Context(), redisDigests, digests).Err(); err != nil {
		t.Fatal(err)
	}
	found, moved := make(map[Digest]bool), false
	err := NewRedisStore(client).EachDigest(t.Context(), func(some []Digest) {
		for _, d := range some {
			found[d] = true
		}
		if !moved {
			moved = true
			cluster.MoveSlotOf(redisDigests, func() {})
		}
	})
	if err != nil || len(found) != count {
		t.Errorf("got %d digests, %v, want %d", len(found), err, count)
	}
}
