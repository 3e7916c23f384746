package keys

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/store"
	"tollgate/store/redistest"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// miniRedis is a Redis whose content a test may damage.
func miniRedis(t *testing.T) (*miniredis.Miniredis, *RedisStore) {
	t.Helper()
	mini := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: mini.Addr(), DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	return mini, NewRedisStore(client)
}

// openRedis is the client that the gateway makes of server, with its time-outs and its circuit breaker.
func openRedis(t *testing.T, server *redistest.Server) *store.Redis {
	t.Helper()
	client, err := store.OpenRedis(store.RedisConfig{Addresses: []string{server.Address()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// The layout is a promise to every other replica and every later binary.
func TestRedisLayout(t *testing.T) {
	mini, s := miniRedis(t)
	r := contractRecord(1)
	mustInsert(t, s, r)
	document, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"tollgate:{keys}:audit", "tollgate:{keys}:changes", "tollgate:{keys}:digests", "tollgate:{keys}:records", "tollgate:{keys}:version",
	}, mini.Keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	version, _ := mini.Get("tollgate:{keys}:version")
	if got := mini.HGet("tollgate:{keys}:records", "key_000000000001"); got != version+" "+string(document) || len(version) != 16 {
		t.Errorf("got document %s, want what the embedded store keeps: %s", got, document)
	}
	if got := mini.HGet("tollgate:{keys}:digests", "9jpx0l-V-DijjztFjCR4vu_-j4tVoIGZJgtnlCPLr6M"); got != "key_000000000001" {
		t.Errorf("got id %q", got)
	}
}

// Versions are the time in microseconds. While the clock is behind the last one they grow by a step that nobody foresees:
// two masters, of which one has lost the other's last change, must not both give its version to a change.
func TestVersionsAfterAClockStepBack(t *testing.T) {
	f := func(head, clock, want uint64) {
		t.Helper()
		mini, s := miniRedis(t)
		mini.SetTime(time.UnixMicro(int64(clock)))
		if err := mini.Set(redisVersion, strconv.FormatUint(head, 10)); err != nil {
			t.Fatal(err)
		}
		r, err := s.Insert(t.Context(), created(contractRecord(1)))
		if err != nil || r.Key.Version != want {
			t.Errorf("after %d at %d: got %+v, %v, want version %d", head, clock, r.Key, err, want)
		}
	}
	f(1_767_225_600_000_000, 1_767_225_600_000_001, 1_767_225_600_000_001)
	f(1_767_225_600_000_000, 1_767_225_600_000_000, 1_767_225_600_000_001)
	f(1_767_225_600_000_000, 1_767_225_599_000_678, 1_767_225_600_000_679)
	f(1_767_225_600_000_000, 1_767_225_599_999_999, 1_767_225_600_001_000)
}

// What cannot be read is an error that names the key; it is never an unknown key.
func TestRedisStoreRefusesWhatItCannotRead(t *testing.T) {
	f := func(id, document, want string) {
		t.Helper()
		mini, s := miniRedis(t)
		if document != "" {
			mini.HSet(redisRecords, id, document)
		}
		mini.HSet(redisDigests, contractSecret(1).Digest.text(), id)
		check := func(err error) {
			t.Helper()
			if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound) || !errors.Is(err, ErrUnreadable) || err.Error() != "key store unavailable: unreadable key record: "+want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		}
		_, err := s.ByDigest(t.Context(), contractSecret(1).Digest, netip.Addr{})
		check(err)
		if document == "" || strings.Contains(want, "another digest") {
			return
		}
		_, err = s.ByID(t.Context(), id)
		check(err)
		_, err = s.Update(t.Context(), id, changed(func(*Record) {}))
		check(err)
		_, err = s.List(t.Context())
		check(err)
	}
	const stranger = `"digest":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"`
	f("key_1", ``, `key "key_1": not a key record: unexpected end of JSON input`)
	f("key_1", `{`, `key "key_1": not a key record: unexpected end of JSON input`)
	f("key_1", `{"v":4}`, `key "key_1": record version 4: this binary reads 1 to 3; run the newer one that wrote it`)
	f("key_1", `1 {"v":4}`, `key "key_1": record version 4: this binary reads 1 to 3; run the newer one that wrote it`)
	f("key_1", `-1 {"v":2}`, `key "key_1": not a record: its version is damaged`)
	f("key_1", `1 {"v":2,"id":"key_1"}`, `key "key_1": not a key record: it has no digest`)
	f("key_1", `{"v":1,"id":"key_2",`+stranger+`}`, `key "key_1": it is filed under another id`)
	f("key_1", `{"v":1,"id":"key_1",`+stranger+`}`, `key "key_1": another digest leads to it`)
}

// A key that something else sits at is a failure too, and nothing is half written.
func TestRedisStoreFindsItsKeysTaken(t *testing.T) {
	for _, taken := range redisKeys() {
		if taken == redisTenants {
			continue // a change of a key does without
		}
		mini, s := miniRedis(t)
		if err := mini.Set(taken, "a string"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Insert(t.Context(), created(contractRecord(1))); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", taken, err)
		}
		if diff := cmp.Diff([]string{taken}, mini.Keys()); diff != "" {
			t.Errorf("%s: a part of a change was written (-want +got):\n%s", taken, diff)
		}
	}
}

// Redis forgets scripts at a restart, at a failover and when it is told to.
func TestRedisStoreSurvivesForgottenScripts(t *testing.T) {
	client := redistest.Start(t).Client(t)
	s := NewRedisStore(client)
	forget := func() {
		t.Helper()
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	mustInsert(t, s, contractRecord(1))
	forget()
	wantStored(t, s, contractRecord(1))
	forget()
	if _, err := s.Update(t.Context(), contractRecord(1).Key.ID, changed(func(*Record) {})); err != nil {
		t.Error(err)
	}
	forget()
	mustInsert(t, s, contractRecord(2))
}

// A look-up is a read: a Redis that is full, or takes no changes, still knows who is who.
func TestRedisStoreReadsWhereNothingCanBeWritten(t *testing.T) {
	f := func(option, value string) {
		t.Helper()
		client := redistest.Start(t).Client(t)
		s := NewRedisStore(client)
		mustInsert(t, s, contractRecord(1))
		if err := client.ConfigSet(t.Context(), option, value).Err(); err != nil {
			t.Fatal(err)
		}
		wantStored(t, s, contractRecord(1))
		if _, err := s.Insert(t.Context(), created(contractRecord(2))); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Insert: got %v, want ErrUnavailable", err)
		}
		if _, err := s.ByID(t.Context(), contractRecord(2).Key.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("a refused record was stored: %v", err)
		}
	}
	f("maxmemory", "1")
	f("min-replicas-to-write", "1")
}

// Every call tells an outage from an answer, and whose time was over.
func TestRedisStoreWithoutRedis(t *testing.T) {
	server := redistest.Start(t)
	s := NewRedisStore(openRedis(t, server))
	mustInsert(t, s, contractRecord(1))
	calls := func(ctx context.Context) []error {
		_, byDigest := s.ByDigest(ctx, contractSecret(1).Digest, netip.Addr{})
		_, byID := s.ByID(ctx, contractRecord(1).Key.ID)
		_, update := s.Update(ctx, contractRecord(1).Key.ID, changed(func(*Record) {}))
		_, list := s.List(ctx)
		_, insert := s.Insert(ctx, created(contractRecord(2)))
		_, audit := s.Audit(ctx, 0, 10)
		_, tenant := s.Tenant(ctx, "acme")
		_, tenants := s.Tenants(ctx)
		_, setting := s.UpdateTenant(ctx, "acme", setTenant(Limits{Burst: 1}))
		_, changes := s.Changes(ctx, 1)
		digests := s.EachDigest(ctx, func([]Digest) {})
		return []error{byDigest, byID, insert, update, list, audit, tenant, tenants, setting, changes, digests}
	}
	f := func(ctx context.Context, also error) {
		t.Helper()
		for i, err := range calls(ctx) {
			if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound) || also != nil && !errors.Is(err, also) {
				t.Errorf("call %d: got %v, want ErrUnavailable and %v", i, err, also)
			}
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	f(cancelled, context.Canceled)

	server.Pause()
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	f(short, context.DeadlineExceeded)
	f(t.Context(), nil)
	server.Kill()
	f(t.Context(), nil)
}

// Update gives up in the end, having changed nothing, when it is overtaken each time.
func TestUpdateIsOvertaken(t *testing.T) {
	_, s := miniRedis(t)
	mustInsert(t, s, contractRecord(1))
	id, calls := contractRecord(1).Key.ID, 0
	_, err := s.Update(t.Context(), id, changed(func(r *Record) {
		calls++
		mustUpdate(t, s, 1, func(r *Record) { r.Key.RequestsPerMinute++ })
		r.Key.Name = "overtaken"
	}))
	const want = `key store unavailable: key "key_000000000001" was changed by others 32 times meanwhile; try again`
	if err == nil || err.Error() != want || calls != 32 {
		t.Errorf("got  %v after %d calls\nwant %s", err, calls, want)
	}
	record, err := s.ByID(t.Context(), id)
	if err != nil || record.Key.Name != "ci" || record.Key.RequestsPerMinute != 32 {
		t.Errorf("got %+v, %v", record.Key, err)
	}
}

// A long list is read in chunks and is whole, in order and without doubles.
func TestLongListIsWhole(t *testing.T) {
	const count, workers = 3*listChunk + 1, 8
	s := NewRedisStore(redistest.Start(t).Client(t))
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for n := worker; n < count; n += workers {
				if _, err := s.Insert(t.Context(), created(contractRecord(n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got, err := s.List(t.Context())
	if err != nil || len(got) != count {
		t.Fatalf("got %d records, %v; want %d", len(got), err, count)
	}
	for n, r := range got {
		if r.Key.ID != contractRecord(n).Key.ID {
			t.Fatalf("record %d is %s", n, r.Key.ID)
		}
	}
}

// What a look-up costs that the cache does not answer.
func BenchmarkRedisStoreByDigest(b *testing.B) {
	s := NewRedisStore(redistest.Start(b).Client(b))
	mustInsert(b, s, contractRecord(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.ByDigest(b.Context(), contractSecret(1).Digest, netip.Addr{}); err != nil {
			b.Fatal(err)
		}
	}
}
