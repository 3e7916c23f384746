package proxy

import (
	"context"
	"sync"
	"sync/atomic"
)

// departure is what an exchange knows of its client's end of the connection. A
// client that is gone ends the upstream request, or lets it go on for a while
// where the provider's on_disconnect says drain.
type departure struct {
	// left is looked at before each write: a socket takes the first bytes after a
	// client's FIN without complaint.
	left atomic.Bool

	mu       sync.Mutex
	serving  *serving    // the upstream request in progress
	over     bool        // nobody is to be told any more
	draining bool        // one of server.max_drains is held
	undo     func() bool // ends the wait for the gateway's own end
}

// clientLeft is called when the client has closed its end: by the connection's
// watcher, or by whoever failed to write to it. Only the first call counts.
func (x *exchange) clientLeft() {
	d := &x.departure
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.left.Load() {
		return
	}
	d.left.Store(true)
	if s := d.serving; s != nil && !x.drain(s) {
		s.cancel(errClientGone)
	}
}

// gone reports whether the client has left.
func (x *exchange) gone() bool { return x.departure.left.Load() }

// attach names the upstream request that a departure ends. The client may have
// left already: nothing new is asked for its sake.
func (x *exchange) attach(s *serving) {
	d := &x.departure
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serving = s
	if d.left.Load() {
		s.cancel(errClientGone)
	}
}

// detach says that the upstream request has brought all there is: a client that
// leaves now changes nothing.
func (x *exchange) detach() {
	d := &x.departure
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serving = nil
}

// drain lets the upstream request go on without its client, within the bounds of
// its provider and of the gateway. The client's place among max_in_flight is
// free from now on. It is called under the departure's lock.
func (x *exchange) drain(s *serving) bool {
	g := x.gateway
	if s.drain == nil || g.staying.Err() != nil {
		return false
	}
	if g.drains.Add(1) > int64(g.Config.MaxDrains) || !s.alarm.shorten(s.drain.Time, errDrainOver) {
		g.drains.Add(-1)
		return false
	}
	d := &x.departure
	d.draining = true
	d.undo = context.AfterFunc(g.staying, func() { s.cancel(errClientGone) })
	x.leave()
	return true
}

// isDraining reports whether the answer is read on without its client.
func (x *exchange) isDraining() bool {
	d := &x.departure
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.draining
}

// endDeparture ends what clientLeft may have begun.
func (x *exchange) endDeparture() {
	d := &x.departure
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over, d.serving = true, nil
	if d.draining {
		d.draining = false
		d.undo()
		x.gateway.drains.Add(-1)
	}
}
