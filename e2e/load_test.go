package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is traffic that goes on while a test does something to the gateways: at
// each of them one client that asks for whole answers, and one for streams.
type load struct {
	stop  chan struct{}
	ended sync.WaitGroup

	mu      sync.Mutex
	asked   []int // by client
	failed  []string
	changed chan struct{} // closed when a client has an answer
}

// startLoad begins the traffic. It ends with the test, or earlier by end.
func startLoad(t *testing.T, secret string, gateways ...*gateway) *load {
	t.Helper()
	l := &load{stop: make(chan struct{}), changed: make(chan struct{}), asked: make([]int, 2*len(gateways))}
	ctx := t.Context()
	for i, g := range gateways {
		c := g.call(t, secret)
		l.ended.Go(func() {
			l.run(2*i, func() *answer { return c.plain(ctx, ask("gemini-2.5-flash-lite", "Are you there?")) })
		})
		l.ended.Go(func() {
			l.run(2*i+1, func() *answer { return c.stream(ctx, ask("gemini-2.5-flash-lite", "Are you there?")) })
		})
	}
	t.Cleanup(l.halt)
	return l
}

// run is one client, which asks some fifty times a second.
func (l *load) run(client int, by func() *answer) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		a := by()
		l.mu.Lock()
		l.asked[client]++
		if a.err != nil || a.text() == "" || client%2 == 1 && !strings.HasSuffix(a.wire.String(), "data: [DONE]\n\n") {
			l.failed = append(l.failed, a.id()+": "+a.wire.String())
		}
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		select {
		case <-l.stop:
			return
		case <-pace.C:
		}
	}
}

// everyoneServed waits until every client has asked and been answered from now
// on, and returns how many answers there have been in all.
func (l *load) everyoneServed(t *testing.T) int {
	t.Helper()
	ctx := within(t, patience)
	before, _ := l.look()
	for {
		now, changed := l.look()
		sum, served := 0, true
		for i, n := range now {
			sum += n
			served = served && n >= before[i]+2 // the first of them may have been asked before
		}
		if served {
			return sum
		}
		if !wait(ctx, changed) {
			t.Fatalf("not every client has an answer: %v, and before %v", now, before)
		}
	}
}

func (l *load) look() (asked []int, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(asked, l.asked...), l.changed
}

func wait(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// halt ends the traffic.
func (l *load) halt() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.ended.Wait()
}

// end ends the traffic, of which no request may have failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.halt()
	const shown = 3
	for _, failed := range l.failed[:min(shown, len(l.failed))] {
		t.Errorf("%d requests of a known key failed, one of them is %s", len(l.failed), failed)
	}
}
