package keys

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tollgate/store"
	"tollgate/store/redistest"

	"github.com/redis/go-redis/v9"
)

// openSentinels is the client that the gateway makes of a set, with its time-outs and its circuit breaker.
func openSentinels(t *testing.T, set *redistest.SentinelSet) *store.Redis {
	t.Helper()
	client, err := store.OpenRedis(store.RedisConfig{Addresses: set.Addresses(), MasterName: redistest.MasterName}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// joinSentinels is one replica of a fleet behind Sentinels.
func joinSentinels(t *testing.T, set *redistest.SentinelSet) member {
	t.Helper()
	c := DefaultConfig()
	client := openSentinels(t, set)
	cache := cached(t, NewRedisStore(client, AwaitReplica(), ConfirmMaster(client.ConfirmMaster)), c)
	return member{Directory: New(cache, c), cache: cache}
}

// Whatever way one master follows another: known keys work all the while, what was revoked just before stays so, and
// changes can be made again soon and reach every replica.
func TestFleetFailsOver(t *testing.T) {
	f := func(name string, failOver func(*redistest.SentinelSet) *redistest.Server) {
		t.Run(name, func(t *testing.T) {
			set := redistest.StartSentinels(t, 3, redistest.WithReplicas(2))
			here, there := joinSentinels(t, set), joinSentinels(t, set)
			var known, unseen [][]byte
			var ids []string
			for n := range 6 {
				key, secret := create(t, here.Directory, Spec{Tenant: "acme", Name: fmt.Sprintf("key %d", n)})
				eventually(t, "the key is seen", func() bool { return there.admits(secret) })
				known, ids = append(known, secret), append(ids, key.ID)
				_, secret = create(t, here.Directory, Spec{Tenant: "acme", Name: fmt.Sprintf("unseen key %d", n)})
				unseen = append(unseen, secret)
			}
			const revokedBefore, revokedAfter, used = 0, 1, 2 // keys from used on are never refused
			stop := keepUsing(t, there, known[used:])
			began := time.Now()
			if _, err := here.By("test").Revoke(t.Context(), ids[revokedBefore], AtOnce); err != nil {
				t.Fatal(err)
			}
			awaited := time.Since(began) < replicaTime // on a busy machine the wait may have been given up
			former := failOver(set)
			soon(t, there, unseen)
			set.AwaitMaster(former)
			for _, secret := range unseen {
				eventually(t, "unseen keys work again", func() bool { return there.admits(secret) })
			}
			eventually(t, "keys can be revoked again", func() bool {
				_, err := here.By("test").Revoke(t.Context(), ids[revokedAfter], Soon)
				return err == nil
			})
			eventually(t, "the change arrives", func() bool { return !there.admits(known[revokedAfter]) })
			stop()
			if awaited {
				wantRefused(t, there.Directory, known[revokedBefore], ErrRevoked)
			}
			late := joinSentinels(t, set) // it knows nothing but what the new master has
			eventually(t, "the new master is asked", func() bool { return late.admits(known[used]) })
			if awaited {
				wantRefused(t, late.Directory, known[revokedBefore], ErrRevoked)
			}
			wantRefused(t, late.Directory, known[revokedAfter], ErrRevoked)
		})
	}
	f("a master that crashed", (*redistest.SentinelSet).KillMaster)
	f("an order", (*redistest.SentinelSet).FailOver)
}

// soon wants each secret answered, and not as a wrong one: whether it can be looked up depends on how far the failover is.
func soon(t *testing.T, m member, secrets [][]byte) {
	t.Helper()
	for _, secret := range secrets {
		began := time.Now()
		_, err := m.Authenticate(t.Context(), secret, netip.Addr{})
		if err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("an unseen key: got %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took > promptly() {
			t.Errorf("an unseen key was answered after %s, want about %s", took, questionTime)
		}
	}
}

// waits returns how often the server was told to wait for its replicas.
func waits(t *testing.T, server *redistest.Server) int {
	t.Helper()
	info, err := server.Client(t).Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	var calls int
	if _, line, found := strings.Cut(info, "cmdstat_wait:calls="); found {
		if _, err := fmt.Sscanf(line, "%d", &calls); err != nil {
			t.Fatal(err)
		}
	}
	return calls
}

// A change is on a replica when it is answered, where that was asked for, and nowhere else is anybody waited for.
func TestChangeAwaitsAReplica(t *testing.T) {
	set := redistest.StartSentinels(t, 1)
	client := openSentinels(t, set)
	wantOnReplica := func(s *RedisStore, n int) {
		t.Helper()
		began := time.Now()
		mustInsert(t, s, contractRecord(n))
		if time.Since(began) > replicaTime {
			return // on a machine that busy, the wait may have been given up
		}
		found, err := set.Replica.Client(t).HExists(t.Context(), redisRecords, contractRecord(n).Key.ID).Result()
		if err != nil || !found {
			t.Errorf("record %d is not on the replica: %v", n, err)
		}
	}
	s := NewRedisStore(client, AwaitReplica())
	const rounds = 200
	for n := range rounds {
		wantOnReplica(s, n)
	}
	if err := set.Master.Client(t).ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	wantOnReplica(s, rounds)
	told := waits(t, set.Master)
	mustInsert(t, NewRedisStore(client), contractRecord(rounds+1))
	if now := waits(t, set.Master); told < rounds || now != told {
		t.Errorf("the master was told to wait %d times, and %d more where nobody asked for that", told, now-told)
	}
	set.Replica.Pause()
	const hung = 6
	for n := range hung {
		began := time.Now()
		mustInsert(t, s, contractRecord(rounds+2+n))
		if took := time.Since(began); took < replicaTime/2 || took > longestWait {
			t.Errorf("a replica that hangs was awaited for %s, want about %s", took, replicaTime)
		}
	}
	if !client.Up() {
		t.Error("a replica that hangs counts as an outage")
	}
	set.Replica.Kill()
	mustInsert(t, s, contractRecord(rounds+2+hung))
	wantStored(t, s, contractRecord(rounds+2+hung))
}

// A master that was replaced takes changes for a while: whoever still talks to it is told that they count for nothing.
func TestChangeAtAReplacedMaster(t *testing.T) {
	set := redistest.StartSentinels(t, 3, redistest.WithReplicas(2))
	client := openSentinels(t, set)
	confirmed := func(c redis.UniversalClient) *RedisStore {
		return NewRedisStore(c, AwaitReplica(), ConfirmMaster(client.ConfirmMaster))
	}
	mustInsert(t, confirmed(client), contractRecord(1))
	late := confirmed(set.Master.Client(t)) // it is not told of the new master
	mustInsert(t, late, contractRecord(2))
	former := set.FailOver()
	next := contractRecord(3)
	eventually(t, "the new master takes changes", func() bool {
		_, err := confirmed(client).Insert(t.Context(), created(next))
		return err == nil || errors.Is(err, ErrDuplicate) // it was made, and not confirmed in time
	})
	set.AwaitMaster(former)
	for n := range 20 {
		if _, err := late.Insert(t.Context(), created(contractRecord(10+n))); err == nil || !errors.Is(err, ErrUnavailable) {
			t.Fatalf("got %v, want ErrUnavailable", err)
		}
	}
	if _, err := late.Insert(t.Context(), created(contractRecord(10))); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDuplicate) {
		t.Errorf("again: got %v, want ErrUnavailable", err)
	}
	unchanged := func(Record) (Edit, error) { return Edit{}, errUnchanged }
	if _, err := late.Update(t.Context(), contractRecord(2).Key.ID, unchanged); !errors.Is(err, ErrUnavailable) {
		t.Errorf("where nothing is changed: got %v, want ErrUnavailable", err)
	}
	_, err := confirmed(client).ByID(t.Context(), contractRecord(10).Key.ID)
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("what the former master took: got %v, want ErrNotFound", err)
	}
	wantStored(t, confirmed(client), next)
}

// A master that comes back at once is the master still, though the Sentinels know it by its former life for some seconds.
func TestChangeAtARestartedMaster(t *testing.T) {
	set := redistest.StartSentinels(t, 3, redistest.WithReplicas(2), redistest.WithAppendOnly())
	client := openSentinels(t, set)
	s := NewRedisStore(client, AwaitReplica(), ConfirmMaster(client.ConfirmMaster))
	mustInsert(t, s, contractRecord(1))
	set.Master.Restart()
	n := 2
	eventually(t, "changes are taken again", func() bool {
		_, err := s.Insert(t.Context(), created(contractRecord(n)))
		if errors.Is(err, store.ErrReplaced) && set.Current() == set.Master {
			t.Errorf("the master is not taken for itself: %v", err)
			return true
		}
		n++
		return err == nil
	})
}

// Who may not wait makes changes without.
func TestChangeWithoutTheRightToWait(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client(t).Do(t.Context(), "ACL", "SETUSER", "hasty", "on", ">s3cret", "~*", "&*", "+@all", "-wait").Err(); err != nil {
		t.Fatal(err)
	}
	o := server.Options()
	o.Username, o.Password = "hasty", "s3cret"
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	s := NewRedisStore(client, AwaitReplica())
	mustInsert(t, s, contractRecord(1))
	wantStored(t, s, contractRecord(1))
	if _, err := s.Insert(t.Context(), created(contractRecord(1))); !errors.Is(err, ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
}
