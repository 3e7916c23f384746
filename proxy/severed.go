package proxy

import (
	"bytes"

	"tollgate/proxy/sse"
)

// A key that was revoked at once takes its streams with it: each ends at its next
// event, or within about a second of silence. A plain answer comes to its end: it is
// paid for, and nothing of it has gone out before.

// severed tells whether the answer is a stream that must end. It costs one atomic
// load, and is asked by the goroutine that works on the request, or by its alarm
// while the goroutine waits for the provider.
func (x *exchange) severed() bool { return x.record.Stream && x.watch.Severed() }

// stays tells why nobody is to be asked any more for the request's sake; nil: go on.
func (x *exchange) stays() error {
	switch {
	case x.gone():
		return errClientGone
	case x.severed():
		return errKeyRevoked
	}
	return nil
}

// sever ends the upstream request in progress, if there is one: its attempt fails, and
// is the last.
func (x *exchange) sever() {
	d := &x.departure
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.serving != nil {
		d.serving.cancel(errKeyRevoked)
	}
}

// isWhole reports whether the client has all of the answer but its end, which is in
// memory: to cut that off would call a whole answer incomplete.
func (r *relay) isWhole(next sse.Event) bool {
	done := []byte("[DONE]")
	return r.s.tap.Finished(r.s.choices) && (bytes.Contains(next.Data, done) || bytes.Contains(r.s.framer.Rest(), done))
}

// sever ends the stream, at the end of an event.
func (r *relay) sever() error {
	r.s.cancel(errKeyRevoked)
	return r.interrupt(errKeyRevoked)
}
