package keys

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// Every kind of Redis tells what has changed.
func TestFeeds(t *testing.T) {
	for name, empty := range sharedRedis(t) {
		for what, test := range map[string]func(*testing.T, redis.UniversalClient){
			"each change once, oldest first":       feedTells,
			"a long tale comes in chunks":          feedTellsInChunks,
			"lost changes are told":                feedTellsOfLosses,
			"a trimmed audit is no loss":           feedOutlivesTheAudit,
			"a removed audit is one loss at most":  feedOutlivesARemovedAudit,
			"what cannot be read is named":         feedNamesTheUnreadable,
			"digests are complete":                 feedHasEachDigest,
			"a change of another client wakes":     feedWakes,
			"the audit keeps its length":           redisTrimsAudit,
			"a tombstone leaves the feed with age": feedForgetsGraves,
			"so does a tenant that is gone":        feedForgetsTenants,
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

// Somebody has deleted the audit, or Redis has evicted it: who follows the feed gets to its end all the same.
func feedOutlivesARemovedAudit(t *testing.T, client redis.UniversalClient) {
	const count = changesChunk + 10
	s := NewRedisStore(client)
	for n := range count {
		mustInsert(t, s, contractRecord(n))
	}
	mustUpdate(t, s, 3, func(r *Record) { r.Key.Name = "before" })
	since := wantChanges(t, s, 0).Version
	if err := client.Del(t.Context(), redisAudit).Err(); err != nil {
		t.Fatal(err)
	}
	head := mustUpdate(t, s, 3, func(r *Record) { r.Key.Name = "after" }).Key.Version
	losses, heard := 0, make(map[string]string)
	for range 10 {
		c, err := s.Changes(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		if c.Version < since {
			losses++
		}
		for _, r := range c.Records {
			heard[r.Key.ID] = r.Key.Name
		}
		since = c.Version
	}
	if losses > 1 || since != head || len(heard) != count || heard[contractRecord(3).Key.ID] != "after" {
		t.Errorf("%d losses, up to version %d with %d keys; want one at most, and all %d up to %d", losses, since, len(heard), count, head)
	}
}

func feedNamesTheUnreadable(t *testing.T, client redis.UniversalClient) {
	s := NewRedisStore(client)
	for n := range 3 {
		mustInsert(t, s, contractRecord(n))
	}
	mustTenant(t, s, "acme", setTenant(Limits{Concurrent: 3}))
	err := client.HSet(t.Context(), redisRecords, contractRecord(1).Key.ID, `1767225601000000 {"v":4}`).Err()
	if err == nil {
		err = client.HSet(t.Context(), redisTenants, "acme", `1767225601000000 {"v":4}`).Err()
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

// A week after its end a tenant is in the feed no more, unless it was set again meanwhile, or is in this moment.
func feedForgetsTenants(t *testing.T, client redis.UniversalClient) {
	s := NewRedisStore(client)
	for _, name := range []string{"acme", "beta", "zeta"} {
		mustTenant(t, s, name, setTenant(Limits{Concurrent: 1}))
		mustTenant(t, s, name, deleteTenant)
	}
	mustTenant(t, s, "beta", setTenant(Limits{Concurrent: 2}))
	wantChanges(t, s, 1, "-acme 0", "-zeta 0", "beta 2")
	graves, err := client.ZRange(t.Context(), redisGraves, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range graves {
		aged := redis.Z{Member: member, Score: float64(time.Now().Add(-graveTime - time.Minute).Unix())}
		if err := client.ZAdd(t.Context(), redisGraves, aged).Err(); err != nil {
			t.Fatal(err)
		}
	}
	mustTenant(t, s, "zeta", setTenant(Limits{Concurrent: 3}))
	mustInsert(t, s, contractRecord(1))
	wantChanges(t, s, 1, "beta 2", "zeta 3", "key_000000000001 ci")
}
