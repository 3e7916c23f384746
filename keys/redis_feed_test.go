package keys

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/store"
	"tollgate/store/redistest"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// Every kind of Redis tells what has changed.
func TestFeeds(t *testing.T) {
	for name, empty := range sharedRedis(t) {
		for what, test := range map[string]func(*testing.T, redis.UniversalClient){
			"each change once, oldest first":       feedTells,
			"a long tale comes in chunks":          feedTellsInChunks,
			"lost changes are told":                feedTellsOfLosses,
			"a trimmed audit is no loss":           feedOutlivesTheAudit,
			"what cannot be read is named":         feedNamesTheUnreadable,
			"digests are complete":                 feedHasEachDigest,
			"a change of another client wakes":     feedWakes,
			"the audit keeps its length":           redisTrimsAudit,
			"a tombstone leaves the feed with age": feedForgetsGraves,
		} {
			t.Run(name+"/"+what, func(t *testing.T) { test(t, empty(t)) })
		}
	}
}

// wantChanges asks for the changes since a version, and wants these: ids, or names of tenants, a deleted one with a minus.
func wantChanges(t *testing.T, s Feed, since uint64, want ...string) Changes {
	t.Helper()
	c, err := s.Changes(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	type change struct {
		version uint64
		text    string
	}
	minus := map[bool]string{true: "-"}
	var all []change
	for _, r := range c.Records {
		all = append(all, change{r.Key.Version, minus[!r.Key.DeletedAt.IsZero()] + r.Key.ID + " " + r.Key.Name})
	}
	for _, tenant := range c.Tenants {
		all = append(all, change{tenant.Version, fmt.Sprintf("%s%s %d", minus[tenant.Deleted], tenant.Name, tenant.Concurrent)})
	}
	last := since
	for _, change := range all[:len(c.Records)] {
		if change.version <= last {
			t.Errorf("%s: version %d comes after %d", change.text, change.version, last)
		}
		last = change.version
	}
	slices.SortStableFunc(all, func(a, b change) int { return int(a.version - b.version) })
	got := []string{}
	for _, change := range all {
		got = append(got, change.text)
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if len(all) > 0 && c.Version != all[len(all)-1].version {
		t.Errorf("got version %d, want that of the last change, %d", c.Version, all[len(all)-1].version)
	}
	if len(c.Unreadable) > 0 {
		t.Errorf("unreadable: %q", c.Unreadable)
	}
	if skew := time.Until(c.Now).Abs(); skew > time.Minute {
		t.Errorf("the store's clock is said to be off by %s", skew)
	}
	return c
}

func feedTells(t *testing.T, client redis.UniversalClient) {
	s := NewRedisStore(client)
	start := wantChanges(t, s, 0).Version
	if start != 1 {
		t.Errorf("an empty store has version %d, want 1", start)
	}
	wantChanges(t, s, 1)
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	mustTenant(t, s, "acme", setTenant(Limits{Concurrent: 3}))
	mustTenant(t, s, "zeta", setTenant(Limits{Concurrent: 4}))
	mustInsert(t, s, contractRecord(3))
	mustUpdate(t, s, 1, func(r *Record) { r.Key.Name = "again" })
	c := wantChanges(t, s, start, "key_000000000002 ci", "acme 3", "zeta 4", "key_000000000003 ci", "key_000000000001 again")
	if c.More {
		t.Errorf("got %+v", c)
	}
	if diff := cmp.Diff(contractRecord(2), c.Records[0], likeStored()); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	wantChanges(t, s, c.Version)
	if head := wantChanges(t, s, 0).Version; head != c.Version {
		t.Errorf("the version alone: got %d, want %d", head, c.Version)
	}
	tombstone := mustUpdate(t, s, 3, deleted(time.Now()))
	mustTenant(t, s, "acme", deleteTenant)
	c = wantChanges(t, s, c.Version, "-key_000000000003 ci", "-acme 0")
	if diff := cmp.Diff(tombstone.Secrets, c.Records[0].Secrets); diff != "" {
		t.Errorf("the tombstone's secrets, which replicas must forget (-want +got):\n%s", diff)
	}
	wantChanges(t, s, start, "key_000000000002 ci", "zeta 4", "key_000000000001 again", "-key_000000000003 ci", "-acme 0")
}

func mustTenant(t *testing.T, s TenantRegistry, name string, change func(Tenant) (TenantEdit, error)) {
	t.Helper()
	if _, err := s.UpdateTenant(t.Context(), name, change); err != nil {
		t.Fatal(err)
	}
}

func feedTellsInChunks(t *testing.T, client redis.UniversalClient) {
	const count = 2*changesChunk + 3
	s := NewRedisStore(client)
	for n := range count {
		mustInsert(t, s, contractRecord(n))
	}
	since, n, chunks := uint64(1), 0, 0
	for more := true; more; chunks++ {
		c, err := s.Changes(t.Context(), since)
		if err != nil || chunks > 3 || c.Version <= since {
			t.Fatalf("chunk %d: version %d after %d, %v", chunks, c.Version, since, err)
		}
		for _, r := range c.Records {
			if r.Key.ID != contractRecord(n).Key.ID || r.Key.Version <= since {
				t.Fatalf("change %d is %s in version %d", n, r.Key.ID, r.Key.Version)
			}
			since = r.Key.Version
			n++
		}
		if more = c.More; since != c.Version {
			t.Fatalf("chunk %d ends at version %d, which is said to be %d", chunks, since, c.Version)
		}
	}
	if n != count || chunks != 3 {
		t.Errorf("got %d changes in %d chunks, want %d in 3", n, chunks, count)
	}
}

// rewind takes the last changes back, as a failover to a replica that did not have them does.
func rewind(t *testing.T, client redis.UniversalClient, do func()) {
	t.Helper()
	before := make(map[string]string)
	for _, key := range redisKeys() {
		if dump, err := client.Dump(t.Context(), key).Result(); err == nil {
			before[key] = dump
		}
	}
	do()
	if err := client.Del(t.Context(), redisKeys()...).Err(); err != nil {
		t.Fatal(err)
	}
	for key, dump := range before {
		if err := client.Restore(t.Context(), key, 0, dump).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func feedTellsOfLosses(t *testing.T, client redis.UniversalClient) {
	if strings.Contains(t.Name(), "miniredis") {
		t.Skip("its DUMP is for strings alone")
	}
	s := NewRedisStore(client)
	mustInsert(t, s, contractRecord(1))
	kept := wantChanges(t, s, 0).Version
	var lost uint64
	rewind(t, client, func() {
		mustUpdate(t, s, 1, func(r *Record) { r.Key.Name = "lost" })
		lost = wantChanges(t, s, 0).Version
	})
	if got := wantChanges(t, s, lost).Version; got != kept {
		t.Errorf("after a loss: got version %d, want %d", got, kept)
	}
	mustInsert(t, s, contractRecord(2)) // in place of the lost change, and later than it
	if got := wantChanges(t, s, lost).Version; got != kept {
		t.Errorf("after a loss, with a new change: got version %d, want %d", got, kept)
	}
	wantChanges(t, s, kept, "key_000000000002 ci")
	if err := client.Del(t.Context(), redisKeys()...).Err(); err != nil {
		t.Fatal(err)
	}
	if got := wantChanges(t, s, kept).Version; got != 1 {
		t.Errorf("after the loss of all: got version %d, want 1", got)
	}
	mustInsert(t, s, contractRecord(3))
	if got := wantChanges(t, s, kept).Version; got != 1 {
		t.Errorf("after the loss of all, with a new change: got version %d, want 1", got)
	}
}

func feedOutlivesTheAudit(t *testing.T, client redis.UniversalClient) {
	s := NewRedisStore(client)
	s.auditLines = 3
	mustInsert(t, s, contractRecord(0))
	since := wantChanges(t, s, 0).Version
	var want []string
	for n := 1; n < 6; n++ {
		mustInsert(t, s, contractRecord(n))
		want = append(want, contractRecord(n).Key.ID+" ci")
	}
	wantChanges(t, s, since, want...)
}

func feedNamesTheUnreadable(t *testing.T, client redis.UniversalClient) {
	s := NewRedisStore(client)
	for n := range 3 {
		mustInsert(t, s, contractRecord(n))
	}
	mustTenant(t, s, "acme", setTenant(Limits{Concurrent: 3}))
	err := client.HSet(t.Context(), redisRecords, contractRecord(1).Key.ID, `1767225601000000 {"v":3}`).Err()
	if err == nil {
		err = client.HSet(t.Context(), redisTenants, "acme", `1767225601000000 {"v":3}`).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Changes(t.Context(), 1)
	if diff := cmp.Diff([]string{"key_000000000001", "tenant:acme"}, c.Unreadable); err != nil || diff != "" || len(c.Records) != 2 || len(c.Tenants) != 0 {
		t.Errorf("got %d records, %d tenants, %v; unreadable (-want +got):\n%s", len(c.Records), len(c.Tenants), err, diff)
	}
}

func feedHasEachDigest(t *testing.T, client redis.UniversalClient) {
	const count = 2*listChunk + 1
	s := NewRedisStore(client)
	digests := make(map[string]any)
	for n := range count {
		digests[contractSecret(n).Digest.text()] = contractRecord(n).Key.ID
	}
	digests["damaged"] = "key_1"
	if err := client.HSet(t.Context(), redisDigests, digests).Err(); err != nil {
		t.Fatal(err)
	}
	found := make(map[Digest]bool)
	err := s.EachDigest(t.Context(), func(some []Digest) {
		if len(some) > listChunk {
			t.Errorf("%d digests at once, want at most %d", len(some), listChunk)
		}
		for _, d := range some {
			found[d] = true
		}
	})
	if err != nil || len(found) != count {
		t.Errorf("got %d digests, %v, want %d", len(found), err, count)
	}
	for n := range count {
		if !found[contractSecret(n).Digest] {
			t.Fatalf("digest %d is missing", n)
		}
	}
}

// awaitWake changes something again and again until that wakes: a client needs a moment to listen.
func awaitWake(t *testing.T, s *RedisStore, wake <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, _ = s.UpdateTenant(t.Context(), "acme", func(t Tenant) (TenantEdit, error) {
			return setTenant(Limits{Concurrent: t.Concurrent + 1})(t)
		})
		select {
		case <-wake:
			return
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("no change wakes")
		}
	}
}

// settle takes what is still to come of earlier changes.
func settle(wake <-chan struct{}) {
	for {
		select {
		case <-wake:
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

func feedWakes(t *testing.T, client redis.UniversalClient) {
	s := NewRedisStore(client)
	wake := s.Wake(t.Context())
	awaitWake(t, s, wake)
	settle(wake)
	mustInsert(t, s, contractRecord(1))
	select {
	case <-wake:
	case <-time.After(30 * time.Second):
		t.Error("a change does not wake")
	}
	settle(wake)
	if _, err := s.Insert(t.Context(), created(contractRecord(1))); err == nil {
		t.Error("want ErrDuplicate")
	}
	select {
	case <-wake:
		t.Error("what changed nothing wakes")
	case <-time.After(50 * time.Millisecond):
	}
}

func redisTrimsAudit(t *testing.T, client redis.UniversalClient) {
	s := NewRedisStore(client)
	s.auditLines = 3
	for n := range 6 {
		mustInsert(t, s, contractRecord(n))
	}
	wantAudit(t, s, "key.create key_000000000005", "key.create key_000000000004", "key.create key_000000000003")
}

func feedForgetsGraves(t *testing.T, client redis.UniversalClient) {
	s := NewRedisStore(client)
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	mustUpdate(t, s, 1, deleted(time.Now().Add(-graveTime-time.Minute)))
	mustInsert(t, s, contractRecord(3))
	wantChanges(t, s, 1, "key_000000000002 ci", "key_000000000003 ci")
}

// News arrive again after Redis, or somebody else, has ended the connection on which they came.
func TestWakeGoesOn(t *testing.T) {
	server := redistest.Start(t, redistest.WithAppendOnly())
	listener, changer := NewRedisStore(openRedis(t, server)), NewRedisStore(server.Client(t))
	wake := listener.Wake(t.Context())
	awaitWake(t, changer, wake)
	for name, cut := range map[string]func(){
		"killed": func() {
			if n, err := server.Client(t).ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result(); err != nil || n != 1 {
				t.Fatalf("%d connections were killed, %v", n, err)
			}
		},
		"restarted": server.Restart,
		"crashed":   func() { server.Kill(); server.Restart() },
	} {
		cut()
		settle(wake)
		t.Log(name)
		awaitWake(t, changer, wake)
	}
}

// A user who may not listen makes changes, and hears of them when the feed is asked.
func TestWakeWithoutTheRight(t *testing.T) {
	server := redistest.Start(t)
	acl := []any{"ACL", "SETUSER", "deaf", "on", ">s3cret", "~*", "+@all", "resetchannels"}
	if err := server.Client(t).Do(t.Context(), acl...).Err(); err != nil {
		t.Fatal(err)
	}
	client, err := store.OpenRedis(store.RedisConfig{Addresses: []string{server.Address()}, Username: "deaf", Password: "s3cret"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	s := NewRedisStore(client)
	wake := s.Wake(t.Context())
	mustInsert(t, s, contractRecord(1))
	wantChanges(t, s, 1, "key_000000000001 ci")
	select {
	case <-wake:
		t.Error("it was woken")
	case <-time.After(300 * time.Millisecond):
	}
	if !client.Up() {
		t.Error("the refusal counts as an outage")
	}
}

// Listening ends with its context, whatever Redis does.
func TestWakeEnds(t *testing.T) {
	f := func(name string, trouble func(*redistest.Server)) {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := NewRedisStore(openRedis(t, server))
			mustInsert(t, s, contractRecord(1))
			before := goleak.IgnoreCurrent()
			listen := func() context.CancelFunc {
				ctx, cancel := context.WithCancel(t.Context())
				s.Wake(ctx)
				return cancel
			}
			early := listen()
			time.Sleep(50 * time.Millisecond) // it may be listening by now, or not
			trouble(server)
			late := listen()
			early()
			late()
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
		})
	}
	f("in peace", func(*redistest.Server) {})
	f("while Redis hangs", (*redistest.Server).Pause)
	f("while Redis is gone", (*redistest.Server).Kill)
}
