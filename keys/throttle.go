package keys

import (
	"sync"
	"time"
)

// logEvery is how often what goes on failing is logged: every request may meet it.
const logEvery = time.Minute

// throttle keeps one kind of failure from filling the log: it lets a line through
// as they begin, and then one per logEvery.
type throttle struct {
	mu    sync.Mutex
	next  time.Time // of a line
	count int       // since the last line
}

// due counts one failure, and returns how many the line that is now due stands for; 0 where none is.
func (t *throttle) due() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	now := time.Now()
	if now.Before(t.next) {
		return 0
	}
	count := t.count
	t.next, t.count = now.Add(logEvery), 0
	return count
}
