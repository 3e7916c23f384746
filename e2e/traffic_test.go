package e2e

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"
)

// traffic is clients with known keys at every replica, each of whom asks one
// question after the other, at a pace. Nothing that a test does may be felt by them.
type traffic struct {
	stop  context.CancelFunc
	ended sync.WaitGroup
	wrong complaints

	mu     sync.Mutex
	visits []visit
}

// visit is one of their requests.
type visit struct {
	replica int
	asked   time.Time
	took    time.Duration
}

// traffic begins, with keys of its own that each replica has met.
func (three *trio) traffic(t *testing.T, keys int, pace time.Duration) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	tr := &traffic{stop: stop}
	for range keys {
		key := three.operators[0].create(t, `"name":"traffic"`)
		three.welcome(t, key.Secret)
		for i, client := range three.clients {
			tr.ended.Go(func() {
				tr.ask(ctx, i, client, wish{secret: key.Secret, body: question(trioModel, "Are you there?")}, pace)
			})
		}
	}
	t.Cleanup(func() { stop(); tr.ended.Wait() })
	until(t, "traffic", patience, func() bool { return tr.count() >= 3*keys })
	return tr
}

// ask is one client.
func (tr *traffic) ask(ctx context.Context, replica int, client bare, w wish, pace time.Duration) {
	ticks := time.NewTicker(pace)
	defer ticks.Stop()
	for {
		v := visit{replica: replica, asked: time.Now()}
		r := client.send(context.WithoutCancel(ctx), w)
		v.took = time.Since(v.asked)
		if r.err != nil || r.status != http.StatusOK {
			tr.wrong.add("replica %d answers a known key %s, after %s", replica, r, v.took)
		}
		tr.mu.Lock()
		tr.visits = append(tr.visits, v)
		tr.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

func (tr *traffic) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.visits)
}

// between is how long those took that were asked in this span of time.
func (tr *traffic) between(from, to time.Time) (took times) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, v := range tr.visits {
		if !v.asked.Before(from) && v.asked.Before(to) {
			took = append(took, v.took)
		}
	}
	return took
}

// end ends the traffic, of which no request may have failed, and returns how many there were.
func (tr *traffic) end(t *testing.T) int {
	t.Helper()
	tr.stop()
	tr.ended.Wait()
	tr.wrong.fail(t)
	return tr.count()
}
