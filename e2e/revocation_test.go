package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestRevocation revokes keys at one replica while clients use them at the two
// others: they are refused there soon, and for good; a little later where the
// replicas cannot hear the news in Redis, and have to ask for it.
func TestRevocation(t *testing.T) {
	alone(t)
	figures := newTable("news", "trials", "p50", "p99", "longest")
	f := func(t *testing.T, news string, most time.Duration, redis *redistest.Server, changes environment) {
		t.Helper()
		alone(t)
		three := newTrio(t, redis, measured(t, changes))
		load, trials := three.traffic(t, 2, 50*time.Millisecond), 5
		if proving() {
			trials = 200
		}
		var took times
		var revoked []string
		for i := range trials {
			secret, each := three.revocation(t, i)
			took, revoked = append(took, each...), append(revoked, secret)
		}
		if len(took) < 2*trials {
			t.Fatalf("%d of %d revocations were seen", len(took), 2*trials)
		}
		for _, secret := range revoked {
			three.shut(t, "a key revoked some time ago", secret)
		}
		requests := load.end(t)
		t.Logf("%d requests of other keys meanwhile", requests)
		figures.add(news, trials, took.quantile(0.5), took.quantile(0.99), took.quantile(1))
		if p99 := took.quantile(0.99); proving() && p99 >= most {
			t.Errorf("a revocation takes %s at the 99th percentile, want less than %s", p99, most)
		}
	}
	t.Run("heard", func(t *testing.T) { f(t, "heard", time.Second, redistest.Start(t), environment{}) })
	t.Run("asked for", func(t *testing.T) {
		deaf := redistest.Start(t, redistest.WithConfig("user deaf on >"+redisPassword+" ~* resetchannels +@all"))
		f(t, "asked for", 2*time.Second, deaf, environment{"REDIS_USER": "deaf", "REDIS_PASSWORD": redisPassword})
	})
	t.Cleanup(func() { figures.log(t) })
}

// revocation revokes one key at one replica, and returns how long after the order the others refused it.
func (three *trio) revocation(t *testing.T, trial int) (secret string, took times) {
	t.Helper()
	at := trial % len(three.replicas)
	key := three.operators[at].create(t, fmt.Sprintf(`"name":"trial %d"`, trial))
	three.welcome(t, key.Secret)
	var (
		ctx     = within(t, patience)
		using   sync.WaitGroup
		mu      sync.Mutex
		refused []time.Time
		ready   = make(chan struct{}, len(three.replicas))
	)
	for i, client := range three.clients {
		if i == at {
			continue
		}
		using.Go(func() {
			first := useUntilRefused(ctx, t, client, key.Secret, ready)
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, first)
		})
	}
	for range len(three.replicas) - 1 {
		<-ready
	}
	ordered := time.Now()
	three.operators[at].revoke(t, key.ID)
	if r := three.enter(t, at, key.Secret); !r.shut() {
		t.Errorf("the replica that has revoked a key answers it %s", r)
	}
	using.Wait()
	for _, first := range refused {
		if first.IsZero() {
			t.Errorf("a key that was revoked %s ago works", time.Since(ordered))
			continue
		}
		took = append(took, first.Sub(ordered))
	}
	return key.Secret, took
}

// useUntilRefused asks with a key, says so when it is in use, and returns when it was first
// refused, zero for never. Afterwards it must not be let in again.
func useUntilRefused(ctx context.Context, t *testing.T, client bare, secret string, ready chan<- struct{}) (first time.Time) {
	const before, after, pace = 3, 20, 2 * time.Millisecond
	for asked := 1; ctx.Err() == nil; asked++ {
		switch r := client.enter(ctx, secret); {
		case r.shut():
			first = time.Now()
			for range after {
				time.Sleep(pace)
				if r := client.enter(ctx, secret); !r.shut() {
					t.Errorf("a key that was refused is answered %s", r)
				}
			}
			return first
		case r.status != http.StatusOK && ctx.Err() == nil:
			t.Errorf("a key in use is answered %s", r)
		}
		if asked == before {
			ready <- struct{}{}
		}
		time.Sleep(pace)
	}
	return first
}
