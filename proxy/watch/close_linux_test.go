package watch_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"tollgate/proxy/watch"
)

// Close waits for the call of left that is under way, and makes no other.
func TestCloseWaitsForLeft(t *testing.T) {
	w := newWatcher(t)
	clients, servers := open(t, 2)
	entered := make(chan struct{})
	var returned atomic.Bool
	add(t, w, servers[0], func() {
		close(entered)
		eventually(t, "Close begins", func() bool {
			_, err := w.Add(servers[0], func() {}) // refused in any case, and then for another reason
			return errors.Is(err, watch.ErrClosed)
		})
		returned.Store(true)
	})
	clients[0].Close()
	await(t, entered)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if !returned.Load() {
		t.Error("Close returned while left was running")
	}
	clients[1].Close()
}

func TestCloseForgetsConnections(t *testing.T) {
	w := newWatcher(t)
	clients, servers := open(t, 3)
	var closed atomic.Bool
	for _, s := range servers {
		add(t, w, s, func() {
			if closed.Load() {
				t.Error("left was called after Close")
			}
		})
	}
	clients[0].Close()
	w.Close()
	closed.Store(true)
	clients[1].Close()
	if n := w.Len(); n != 0 {
		t.Errorf("Len %d after Close, want 0", n)
	}
	if _, err := servers[2].Write([]byte("x")); err != nil {
		t.Errorf("the watcher closed a connection: %v", err)
	}
}

// Everything at once: peers leave and connections come and go while several call Close.
func TestCloseWhileEventsArrive(t *testing.T) {
	for range 20 {
		w := newWatcher(t)
		clients, servers := open(t, 24)
		var closed atomic.Bool
		left := func() {
			if closed.Load() {
				t.Error("left was called after Close")
			}
		}
		var all sync.WaitGroup
		for i, s := range servers {
			all.Go(func() {
				token, err := w.Add(s, left)
				if err != nil && !errors.Is(err, watch.ErrClosed) {
					t.Error(err)
				}
				clients[i].Close()
				if i%2 == 0 {
					w.Remove(token)
				}
				s.Close()
			})
		}
		for range 2 {
			all.Go(func() {
				if err := w.Close(); err != nil {
					t.Error(err)
				}
				closed.Store(true)
			})
		}
		all.Wait()
		if n := w.Len(); n != 0 {
			t.Fatalf("Len %d after Close, want 0", n)
		}
	}
}
