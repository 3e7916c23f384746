package keys

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"tollgate/store/redistest"
)

// A change that fails for want of a right, whichever it is, leaves everything as it was: a half of it would be a key
// that works and that nobody hears of, or one that no audit tells of.
func TestRedisChangesWithoutARight(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client(t)
	patient := NewRedisStore(admin)
	order := func(args ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	f := func(missing string) {
		t.Helper()
		order("ACL", "SETUSER", "narrow", "reset", "on", ">s3cret", "~*", "&*", "+@all", missing)
		o := server.Options()
		o.Username, o.Password = "narrow", "s3cret"
		client := redis.NewClient(o)
		defer func() { _ = client.Close() }()
		s := NewRedisStore(client)
		s.auditLines = 3
		refused := 0
		for name, change := range redisChangesOfEachKind(t, s) {
			order("FLUSHALL")
			mustInsert(t, patient, contractRecord(1), contractRecord(2), contractRecord(3))
			mustTenant(t, patient, "acme", setTenant(Limits{Burst: 1}))
			mustUpdate(t, patient, 3, deleted(time.Now().Add(-graveTime-time.Minute)))
			before := server.Everything(t)
			if change() == nil {
				continue
			}
			refused++
			if diff := cmp.Diff(before, server.Everything(t)); diff != "" {
				t.Errorf("%s: %s: a part of the change was made (-want +got):\n%s", missing, name, diff)
			}
		}
		if refused == 0 {
			t.Errorf("%s: nothing was refused", missing)
		}
	}
	for _, command := range []string{
		"get", "set", "time", "hget", "hset", "hdel", "zadd", "zrem", "zrangebyscore", "zremrangebyrank",
	} {
		f("-" + command)
	}
}

// redisChangesOfEachKind are changes of what TestRedisChangesWithoutARight puts there.
func redisChangesOfEachKind(t *testing.T, s *RedisStore) map[string]func() error {
	update := func(do func(*Record)) func() error {
		return func() error {
			_, err := s.Update(t.Context(), contractRecord(1).Key.ID, changed(do))
			return err
		}
	}
	tenant := func(change func(Tenant) (TenantEdit, error)) func() error {
		return func() error {
			_, err := s.UpdateTenant(t.Context(), "acme", change)
			return err
		}
	}
	return map[string]func() error{
		"insert": func() error {
			_, err := s.Insert(t.Context(), created(contractRecord(4)))
			return err
		},
		"rename":        update(func(r *Record) { r.Key.Name = "again" }),
		"rotate":        update(func(r *Record) { r.Secrets = contractRecord(5).Secrets }),
		"delete":        update(deleted(time.Now())),
		"set tenant":    tenant(setTenant(Limits{Burst: 2})),
		"delete tenant": tenant(deleteTenant),
	}
}
