//go:build !race

package watch_test

import "testing"

// It is paid for each connection that is accepted.
func TestAllocAdd(t *testing.T) {
	const runs = 200
	w := newWatcher(t)
	_, servers := open(t, runs+1) // one is for the warm-up
	n := testing.AllocsPerRun(runs, func() {
		w.Remove(add(t, w, servers[0], ignore))
		servers = servers[1:]
	})
	if n > 3 {
		t.Errorf("Add allocates %v times, want at most 3", n)
	}
}
