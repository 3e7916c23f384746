package keys

import (
	"context"
	"testing"
	"time"

	"tollgate/store"
	"tollgate/store/redistest"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// awaitWake changes something again and again until that wakes: a client needs a moment to listen.
func awaitWake(t *testing.T, s *RedisStore, wake <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(longestWait); ; {
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
		case <-time.After(500 * time.Millisecond):
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
	case <-time.After(longestWait):
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
			eventually(t, "no listener is left", func() bool { return goleak.Find(before) == nil })
		})
	}
	f("in peace", func(*redistest.Server) {})
	f("while Redis hangs", (*redistest.Server).Pause)
	f("while Redis is gone", (*redistest.Server).Kill)
}
