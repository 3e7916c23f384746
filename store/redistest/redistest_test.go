package redistest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { VerifyTestMain(m) }

func mustSet(t *testing.T, client redis.Cmdable, key, value string) {
	t.Helper()
	if err := client.Set(context.Background(), key, value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func wantGet(t *testing.T, client redis.Cmdable, key, want string) {
	t.Helper()
	got, err := client.Get(context.Background(), key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%s: got %q, want %q", key, got, want)
	}
}

func TestServerKeepsWhatItWasToldTo(t *testing.T) {
	f := func(want string, end func(*Server), list ...Option) {
		t.Helper()
		s := Start(t, list...)
		client := s.Client(t)
		mustSet(t, client, "k", "v")
		end(s)
		if err := s.Client(t).Ping(context.Background()).Err(); err == nil {
			t.Error("a server that has ended answers")
		}
		before := s.Address()
		s.Restart()
		if s.Address() != before {
			t.Errorf("after a restart the address is %s, was %s", s.Address(), before)
		}
		wantGet(t, s.Client(t), "k", want)
	}
	f("", (*Server).Stop)
	f("v", (*Server).Stop, WithAppendOnly())
	f("v", (*Server).Kill, WithAppendOnly())
	f("v", (*Server).Kill, WithAppendOnly(), WithUser("u", "p"), WithTLS())
}

func TestServerAsksForTheLogin(t *testing.T) {
	f := func(username, password, want string, list ...Option) {
		t.Helper()
		s := Start(t, list...)
		mustSet(t, s.Client(t), "k", "v")
		o := s.Options()
		o.Username, o.Password = username, password
		stranger := redis.NewClient(o)
		defer func() { _ = stranger.Close() }()
		if err := stranger.Ping(context.Background()).Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("", "", "NOAUTH", WithPassword("right"))
	f("", "wrong", "WRONGPASS", WithPassword("right"))
	f("", "right", "WRONGPASS", WithUser("u", "right"))
	f("u", "wrong", "WRONGPASS", WithUser("u", "right"), WithTLS())
}

func TestPausedServerIsSilent(t *testing.T) {
	s := Start(t)
	client := s.Client(t)
	mustSet(t, client, "k", "v")
	s.Pause()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	o := s.Options()
	o.ContextTimeoutEnabled = true
	impatient := redis.NewClient(o)
	defer func() { _ = impatient.Close() }()
	if err := impatient.Ping(ctx).Err(); !errors.Is(err, context.DeadlineExceeded) && !os.IsTimeout(err) {
		t.Errorf("a paused server: got %v, want a timeout", err)
	}
	s.Resume()
	wantGet(t, client, "k", "v")
}

func TestEverythingShowsEachType(t *testing.T) {
	s := Start(t)
	ctx, client := context.Background(), s.Client(t)
	o := s.Options()
	o.DB = 3
	third := redis.NewClient(o)
	defer func() { _ = third.Close() }()
	err := errors.Join(
		client.Set(ctx, "a", "string value", time.Hour).Err(),
		client.HSet(ctx, "b", "field", "hash value").Err(),
		client.RPush(ctx, "c", "list value").Err(),
		client.SAdd(ctx, "d", "set value").Err(),
		client.ZAdd(ctx, "e", redis.Z{Score: 7, Member: "zset value"}).Err(),
		client.XAdd(ctx, &redis.XAddArgs{Stream: "f", ID: "1-1", Values: []string{"field", "stream value"}}).Err(),
		third.Set(ctx, "g", "in another database", 0).Err(),
	)
	if err != nil {
		t.Fatal(err)
	}
	const want = `a string string value
b hash map[field:hash value]
c list [list value]
d set [set value]
e zset [{7 zset value}]
f stream [{1-1 map[field:stream value] 0 0}]
g string in another database`
	if got := s.Everything(t); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSentinelsReplaceTheMaster(t *testing.T) {
	set := StartSentinels(t, 3, WithPassword("data"), WithSentinelPassword("sentinel"))
	mustSet(t, set.Master.Client(t), "k", "v")
	if err := set.Master.Client(t).Wait(context.Background(), 1, patience).Err(); err != nil {
		t.Fatal(err)
	}
	if killed := set.KillMaster(); killed != set.Master {
		t.Errorf("%s was killed, want %s", killed.Address(), set.Master.Address())
	}
	if master := set.AwaitMaster(set.Master); master != set.Replica {
		t.Errorf("%s is the new master, want %s", master.Address(), set.Replica.Address())
	}
	wantGet(t, set.Replica.Client(t), "k", "v")
	set.Master.Restart()
	set.Master.await("the killed master", "replication", "role:slave")
}

func TestSentinelsFailOverAsOrdered(t *testing.T) {
	set := StartSentinels(t, 3, WithReplicas(2))
	if got := set.Current(); got != set.Master || len(set.Replicas) != 2 {
		t.Fatalf("the master is %s, with %d replicas", got.Address(), len(set.Replicas))
	}
	mustSet(t, set.Master.Client(t), "k", "v")
	if err := set.Master.Client(t).Wait(context.Background(), 2, patience).Err(); err != nil {
		t.Fatal(err)
	}
	former := set.FailOver()
	second := set.AwaitMaster(former)
	if former != set.Master || second == former {
		t.Errorf("%s follows %s", second.Address(), former.Address())
	}
	wantGet(t, second.Client(t), "k", "v")
	former.await("the former master", "replication", "role:slave")
	for _, s := range append(set.Replicas, set.Master) {
		if s != second {
			s.await("the replicas of the new master", "replication", "master_link_status:up")
		}
	}
}

func TestClusterServesEverySlot(t *testing.T) {
	c := StartCluster(t, WithTLS(), WithPassword("p"))
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: c.Addresses()[:1], Password: "p", TLSConfig: c.Nodes[0].Options().TLSConfig,
	})
	defer func() { _ = client.Close() }()
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		mustSet(t, client, key, "value of "+key)
	}
	all := c.Everything(t)
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		if want := key + " string value of " + key; !strings.Contains(all, want) {
			t.Errorf("%q is missing in %s", want, all)
		}
	}
}

// The test binary, run again, starts a server and crashes.
func TestServersDieWithACrash(t *testing.T) {
	if os.Getenv("TOLLGATE_TEST_CRASH") != "" {
		s := Start(t)
		_, _ = os.Stdout.WriteString("at " + s.Address() + "\n")
		os.Exit(1)
	}
	again := exec.Command(os.Args[0], "-test.run=^TestServersDieWithACrash$")
	again.Env = append(os.Environ(), "TOLLGATE_TEST_CRASH=1", "TMPDIR="+t.TempDir())
	out, _ := again.Output()
	_, address, found := strings.Cut(strings.TrimSpace(string(out)), "at ")
	if !found {
		t.Fatalf("no address in %q", out)
	}
	client := redis.NewClient(&redis.Options{Addr: address, DialerRetries: 1, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	for deadline := time.Now().Add(patience); client.Ping(context.Background()).Err() == nil; time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatal("the server outlives its test")
		}
	}
}
