package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/store/redistest"

	"github.com/openai/openai-go/v3/option"
)

// replica is a gateway as a load balancer knows it: where it is, and whether it
// said at the last look that it takes traffic.
type replica struct {
	*fleet
	address, admin atomic.Pointer[string]
	ready          atomic.Bool
}

// came tells the balancer where the replica is now.
func (r *replica) came() {
	address, admin := strings.TrimPrefix(r.url, "http://"), r.gateway.admin
	r.address.Store(&address)
	r.admin.Store(&admin)
}

// balancer spreads connections over the replicas that are ready, in turn, as a
// load balancer for TCP does which follows /readyz. A connection that is refused
// by a replica which is not ready goes to the next one; any other refusal is
// the client's to see.
type balancer struct {
	replicas []*replica
	probe    http.Client
	turn     atomic.Int64
	watching sync.WaitGroup
}

// newBalancer follows the replicas until the test ends.
func newBalancer(t *testing.T, replicas ...*replica) *balancer {
	t.Helper()
	b := &balancer{replicas: replicas, probe: http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); b.watching.Wait() })
	for _, r := range replicas {
		r.came()
		b.look(ctx, r)
		b.watching.Go(func() { b.follow(ctx, r) })
	}
	return b
}

func (b *balancer) follow(ctx context.Context, r *replica) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
			b.look(ctx, r)
		}
	}
}

// look asks a replica whether it is ready.
func (b *balancer) look(ctx context.Context, r *replica) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, *r.admin.Load()+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := b.probe.Do(request)
	ready := err == nil && response.StatusCode == http.StatusOK
	if err == nil {
		response.Body.Close()
	}
	r.ready.Store(ready)
	return ready
}

// dial connects a client to one of the replicas.
func (b *balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	turn := int(b.turn.Add(1))
	for i := range b.replicas {
		r := b.replicas[(turn+i)%len(b.replicas)]
		if !r.ready.Load() {
			continue
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, *r.address.Load())
		if errors.Is(err, syscall.ECONNREFUSED) && !b.look(ctx, r) {
			continue
		}
		return conn, err
	}
	return nil, errors.New("no replica is ready")
}

// TestRollingRestart restarts three replicas, one after the other, while clients
// stream from them: none is refused, none is cut, and each answer is on one bill.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	rounds, clients, shortest, delay := 1, 12, 500*time.Millisecond, 500*time.Millisecond
	if proving() {
		rounds, clients, shortest, delay = 3, 60, 2*time.Second, 2*time.Second
	}
	redis := redistest.Start(t, redistest.WithPassword(redisPassword))
	first := newFleet(t, environment{
		"REDIS": redis.Address(), "REDIS_PASSWORD": redisPassword, "REQUESTS_PER_MINUTE": "0",
		"SHUTDOWN_DELAY": delay.String(), "DRAIN_TIMEOUT": patience.String(),
	})
	const tokens = 20
	for i, p := range simulator.Providers() { // one half longer each: from the shortest to three times as long
		first.behave(simulator.Behaviour{Tokens: tokens, Gap: shortest * time.Duration(i+1) / tokens}, p)
	}
	replicas := []*replica{{fleet: first}, {fleet: first.beside(t)}, {fleet: first.beside(t)}}
	l := startStreams(t, clients, first.issue(t).Secret, newBalancer(t, replicas...))
	for range rounds {
		for _, r := range replicas {
			r.serving(t)
			r.restart(t)
			r.came()
		}
	}
	for _, r := range replicas {
		r.serving(t)
	}
	l.end(t)
	recorded := 0
	for _, r := range replicas {
		recorded += r.requests(t)
	}
	if recorded != int(l.whole.Load()) {
		t.Errorf("%d answers are recorded, %d were given", recorded, l.whole.Load())
	}
	t.Logf("%d streams through %d restarts", l.whole.Load(), rounds*len(replicas))
}

// serving waits until streams run through the replica.
func (r *replica) serving(t *testing.T) {
	t.Helper()
	until(t, "streams through the replica at "+r.url, patience, func() bool { return r.inProgress(t) != "0" })
}

// requests is how many answers the replica has on its books.
func (r *replica) requests(t *testing.T) int {
	t.Helper()
	var total usageRows
	r.operateJSON(t, &total, "usage", "--by", "tenant")
	if len(total.Rows) != 1 {
		t.Errorf("a replica served nobody: %+v", total)
		return 0
	}
	return int(total.Rows[0].Requests)
}

// streams are clients which ask for one stream after the other.
type streams struct {
	stop  chan struct{}
	ended sync.WaitGroup
	whole atomic.Int64

	mu     sync.Mutex
	failed []string
}

// startStreams begins them. A new connection for each request keeps out the one
// race that no server can win: a request that meets the end of its idle connection.
func startStreams(t *testing.T, clients int, secret string, b *balancer) *streams {
	t.Helper()
	l := &streams{stop: make(chan struct{})}
	transport := &http.Transport{DialContext: b.dial, DisableKeepAlives: true}
	c := b.replicas[0].call(t, secret, option.WithBaseURL("http://balancer/v1"), option.WithHTTPClient(&http.Client{Transport: transport}))
	ctx := t.Context()
	for i := range clients {
		l.ended.Go(func() {
			for n := 0; ; n++ {
				model := publicModels()[(i+n)%3]
				a := c.stream(ctx, ask(model, fmt.Sprintf("Stream %d of client %d", n, i)))
				l.note(a)
				select {
				case <-l.stop:
					return
				default:
				}
			}
		})
	}
	t.Cleanup(l.halt)
	return l
}

func (l *streams) note(a *answer) {
	if a.err == nil && strings.HasSuffix(a.wire.String(), "data: [DONE]\n\n") {
		l.whole.Add(1)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, fmt.Sprintf("%s: %v: %s", a.id(), a.err, a.wire.String()))
}

func (l *streams) halt() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.ended.Wait()
}

// end ends the clients, none of which may have seen a failure.
func (l *streams) end(t *testing.T) {
	t.Helper()
	l.halt()
	const shown = 3
	for _, failed := range l.failed[:min(shown, len(l.failed))] {
		t.Errorf("%d streams failed, one of them is %s", len(l.failed), failed)
	}
}
