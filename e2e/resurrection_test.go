package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestResurrection revokes and deletes keys at the very moment when all replicas
// learn of them, with Redis' answers overtaking one another: a key that was refused
// once is refused for ever, whatever arrives late.
func TestResurrection(t *testing.T) {
	alone(t)
	trials := 20
	if proving() {
		trials = 1000
	}
	redis := redistest.Start(t)
	three := newTrio(t, redis, measured(t, environment{"REDIS": slowLine(t, redis.Address(), 10*time.Millisecond)}))
	const atOnce = 4
	var (
		tries   sync.WaitGroup
		next    atomic.Int64
		mu      sync.Mutex
		graves  []*grave
		lateBy  times
		working atomic.Int64
	)
	for range atOnce {
		tries.Go(func() {
			for trial := next.Add(1); trial <= int64(trials); trial = next.Add(1) {
				g := three.bury(t, int(trial))
				mu.Lock()
				graves, lateBy = append(graves, g), append(lateBy, g.late)
				mu.Unlock()
				if g.worked.Load() {
					working.Add(1)
				}
			}
		})
	}
	tries.Wait()
	t.Logf("%d keys, of which %d were let in before they ended; the last time %s after the order at half of them, %s at the latest",
		len(graves), working.Load(), lateBy.quantile(0.5), lateBy.quantile(1))
	if working.Load() < int64(trials/2) {
		t.Errorf("%d of %d keys worked before they ended, which proves little", working.Load(), trials)
	}
	for round := range 3 { // whatever a replica remembers for a while, it forgets meanwhile
		for _, g := range graves {
			three.shut(t, fmt.Sprintf("in round %d a key that ended", round), g.secret)
		}
		time.Sleep(700 * time.Millisecond)
	}
}

// grave is a key that has ended.
type grave struct {
	secret  string
	worked  atomic.Bool
	refused [3]atomic.Int64 // when each replica first refused it, in nanoseconds since began; 0: not yet
	began   time.Time
	lastIn  atomic.Int64 // when the last request was sent that was let in
	late    time.Duration
}

// bury issues a key, shows it to every replica, again and again, and ends it meanwhile.
func (three *trio) bury(t *testing.T, trial int) *grave {
	t.Helper()
	const clients, after = 3, 40 * time.Millisecond
	issuer, ender := three.operators[rand.IntN(3)], three.operators[rand.IntN(3)]
	key := issuer.create(t, fmt.Sprintf(`"name":"trial %d"`, trial))
	g := &grave{secret: key.Secret, began: time.Now()}
	ctx, stop := context.WithCancel(within(t, patience))
	defer stop()
	var using sync.WaitGroup
	for i := range three.replicas {
		for range clients {
			using.Go(func() { g.visit(ctx, t, i, three.clients[i]) })
		}
	}
	time.Sleep(rand.N(15 * time.Millisecond))
	ordered := time.Since(g.began)
	method, path := http.MethodDelete, "/keys/"+key.ID
	if trial%2 == 0 {
		method, path = http.MethodPost, path+"/revoke"
	}
	until(t, "an order to be taken", patience, func() bool { // of the first time as well nobody knows whether it was
		return ender.order(t.Context(), method, path, "{}").status == http.StatusOK
	})
	until(t, "the end of a key at every replica", patience, func() bool {
		return g.refused[0].Load() > 0 && g.refused[1].Load() > 0 && g.refused[2].Load() > 0
	})
	time.Sleep(after)
	stop()
	using.Wait()
	g.late = max(0, time.Duration(g.lastIn.Load())-ordered)
	return g
}

// visit is one client of one replica. What it asks after that replica has refused the key must be refused too.
func (g *grave) visit(ctx context.Context, t *testing.T, replica int, client bare) {
	for ctx.Err() == nil {
		sent := int64(time.Since(g.began))
		switch r := client.enter(context.WithoutCancel(ctx), g.secret); {
		case r.shut():
			g.refused[replica].CompareAndSwap(0, int64(time.Since(g.began)))
		case r.status == http.StatusServiceUnavailable && r.code() == "key_store_unavailable": // a busy machine and a slow line
		case r.status != http.StatusOK:
			t.Errorf("replica %d answers a key that is about to end %s", replica, r)
			return
		default:
			g.worked.Store(true)
			g.lastIn.Store(max(g.lastIn.Load(), sent))
			if first := g.refused[replica].Load(); first > 0 && sent > first {
				t.Errorf("replica %d refused a key, and let it in %s later", replica, time.Duration(sent-first))
				return
			}
		}
		time.Sleep(rand.N(2 * time.Millisecond))
	}
}
