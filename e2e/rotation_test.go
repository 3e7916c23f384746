package e2e

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestRotation gives a key one secret after the other, at one replica after the
// other, while clients use it: those who take the new secret at once and those who
// take it some time before the old one's grace is over never see a refusal.
func TestRotation(t *testing.T) {
	alone(t)
	rotations, every, grace := 4, 300*time.Millisecond, 900*time.Millisecond
	if proving() {
		rotations, every, grace = 60, time.Second, 1500*time.Millisecond
	}
	three := newTrio(t, redistest.Start(t), measured(t, environment{}))
	load := three.traffic(t, 1, 50*time.Millisecond)
	key := three.operators[0].create(t, `"name":"rotated"`)
	var (
		present atomic.Pointer[string]
		ends    sync.Map // of the graces, by secret
		using   sync.WaitGroup
		wrong   complaints
		asked   atomic.Int64
		old     []tenantKey
	)
	present.Store(&key.Secret)
	ctx, stop := context.WithCancel(within(t, patience+2*time.Duration(rotations)*every))
	defer stop()
	// A client whom a busy machine has kept until the grace was over may be refused, and one that Redis keeps waiting told so.
	served := func(r reply, secret string) bool {
		end, replaced := ends.Load(secret)
		return r.status == http.StatusOK || r.unknowing() && !proving() || replaced && time.Now().After(end.(time.Time))
	}
	for i, client := range three.clients {
		for _, longest := range []time.Duration{0, grace * 7 / 10} { // a busy machine must not make anybody late
			using.Go(func() {
				for secret := present.Load(); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
					if latest := present.Load(); latest != secret {
						three.lingerOn(ctx, i, *secret, longest, served, &wrong)
						secret = present.Load()
					}
					asked.Add(1)
					if r := client.enter(context.WithoutCancel(ctx), *secret); !served(r, *secret) {
						wrong.add("replica %d answers a client that may linger for %s %s", i, longest, r)
					}
				}
			})
		}
	}
	pace := time.NewTicker(every)
	defer pace.Stop()
	for n := range rotations {
		<-pace.C
		before := *present.Load()
		rotated := three.operators[n%3].rotate(t, key.ID, grace.String())
		if rotated.ID != key.ID || rotated.Secret == before || rotated.PreviousUntil.IsZero() || rotated.Name != key.Name {
			t.Fatalf("rotated to %+v", rotated)
		}
		ends.Store(before, rotated.PreviousUntil)
		present.Store(&rotated.Secret)
		old = append(old, tenantKey{Secret: before, PreviousUntil: rotated.PreviousUntil})
		for len(old) > 0 && time.Since(old[0].PreviousUntil) > 100*time.Millisecond {
			three.shut(t, "a secret after its grace", old[0].Secret)
			old = old[1:]
		}
	}
	for _, o := range old {
		time.Sleep(time.Until(o.PreviousUntil.Add(100 * time.Millisecond)))
		three.shut(t, "a secret after its grace", o.Secret)
	}
	three.welcome(t, *present.Load())
	stop()
	using.Wait()
	wrong.fail(t)
	t.Logf("%d requests with %d secrets, and %d of other keys", asked.Load(), rotations+1, load.end(t))
}

// lingerOn goes on using a secret that was just replaced for a while, for longest at most.
func (three *trio) lingerOn(ctx context.Context, replica int, old string, longest time.Duration, served func(reply, string) bool, wrong *complaints) {
	if longest == 0 {
		return
	}
	for end := time.Now().Add(rand.N(longest)); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if r := three.clients[replica].enter(context.WithoutCancel(ctx), old); !served(r, old) {
			wrong.add("replica %d answers the secret before the present one %s", replica, r)
		}
	}
}
