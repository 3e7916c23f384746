package proxy

import (
	"errors"
	"io"
	"time"

	"tollgate/crash"
	"tollgate/proxy/sse"
)

// relay passes a stream on: the connection's own goroutine reads what the
// provider has ready and writes the same bytes to the client, in one flush. The
// events that one read brought go out together; no event waits for another.
type relay struct {
	x      *exchange
	s      *serving
	client *client
	batch  []byte // whole events that touch in the framer's buffer
	// lastByte is the last one that went to the client.
	lastByte byte
	// heard is when the provider last said something whole. Single bytes of an event
	// that never ends are no sign of life.
	heard time.Time
	// marked is how much of the answer's text the last checkpoint speaks of, markedAt when one was looked at.
	marked   int64
	markedAt time.Time
	noted    bool // there is a checkpoint
	// sampled is how much of the answer's text was counted for a checkpoint, as so many tokens.
	sampled, sampledTokens int64
}

// run relays until the stream ends, one way or another, and settles it.
func (r *relay) run() error {
	if r.x.severed() {
		return r.sever()
	}
	if err := r.write(r.s.held); err != nil {
		return r.clientGone()
	}
	r.s.held = nil
	r.s.alarm.watch(r)
	r.s.alarm.hearten(r, r.x.gateway.Config.KeepaliveComment)
	defer r.s.alarm.hush()
	r.heard = time.Now()
	r.markedAt = r.heard
	var end error
	for {
		over, err := r.forwardEvents()
		if over || err != nil {
			return err
		}
		if end != nil {
			return r.endOfBody(end)
		}
		r.s.alarm.wait(r.heard, r.x.model.Timeouts.Idle, errIdle)
		_, end = r.s.framer.Fill(r.s.response.Body)
		// Nobody waits for the provider while the client is the one that blocks.
		r.s.alarm.rest()
	}
}

// forwardEvents writes the events in memory. over means that the stream has
// ended and err says how.
func (r *relay) forwardEvents() (over bool, err error) {
	heard := false
	for e, ok := r.s.framer.Next(); ok; e, ok = r.s.framer.Next() {
		heard = true
		if !r.s.midEvent && r.x.severed() && !r.isWhole(e) {
			return true, r.sever()
		}
		verdict, _ := r.s.hear(e)
		switch verdict {
		case verdictForward:
			r.extend(e)
			continue
		case verdictStrip:
			r.extend(leadingLF(e))
			err = r.flush()
		case verdictEnd:
			return true, r.complete(e)
		case verdictBroken:
			return true, r.interrupt(errNotAnAnswer)
		}
		if err != nil {
			return true, r.clientGone()
		}
	}
	if err := r.flush(); err != nil {
		return true, r.clientGone()
	}
	if heard {
		r.heard = time.Now() // after the write: the silence of a slow reader is not the provider's
		r.checkpoint(r.heard)
	}
	return false, nil
}

// extend adds an event to the batch: consecutive events touch in memory.
func (r *relay) extend(e sse.Event) {
	if r.batch == nil {
		r.batch = e.Raw
	} else {
		r.batch = r.batch[:len(r.batch)+len(e.Raw)]
	}
	r.s.midEvent = !e.EndsEvent()
}

// leadingLF is the line feed with which an event's bytes may begin: where a
// provider ends its lines by CR LF, an event is whole at the CR, and the LF
// behind it comes with the next. It belongs to what was forwarded before.
func leadingLF(e sse.Event) sse.Event {
	if len(e.Raw) > 0 && e.Raw[0] == '\n' {
		return sse.Event{Raw: e.Raw[:1]}
	}
	return sse.Event{Raw: e.Raw[:0]}
}

// flush forwards the batch.
func (r *relay) flush() error {
	batch := r.batch
	r.batch = nil
	return r.write(batch)
}

// write sends bytes to the client, which has write_timeout to take them.
func (r *relay) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	r.lastByte = p[len(p)-1]
	if err := r.client.write(p); err != nil {
		return err
	}
	r.x.delivered = r.s.hasContent()
	r.x.textOut = r.s.meter.Bytes()
	if r.x.firstByte == 0 {
		r.x.firstByte = since(r.x.accepted)
		r.x.record.FirstByteAt = time.Now().UTC()
		r.x.releaseBody()
		crash.Point("relay.first_byte")
	}
	return nil
}

// readOn reads the rest of an answer that nobody waits for, within the bounds of
// its provider's on_disconnect.
func (r *relay) readOn() {
	const bytesPerToken = 4 // roughly, in most languages
	most := r.s.meter.Bytes() + bytesPerToken*r.s.drain.Tokens
	var end error
	for !r.s.tap.Done() {
		for e, ok := r.s.framer.Next(); ok; e, ok = r.s.framer.Next() {
			if verdict, _ := r.s.hear(e); verdict == verdictEnd || verdict == verdictBroken {
				return
			}
		}
		if end != nil {
			if e, ok := r.s.framer.Final(); ok && errors.Is(end, io.EOF) {
				r.s.hear(e)
			}
			return
		}
		if r.s.meter.Bytes() > most || r.x.severed() {
			r.s.cancel(errClientGone)
			return
		}
		r.s.alarm.set(r.x.model.Timeouts.Idle, errIdle)
		_, end = r.s.framer.Fill(r.s.response.Body)
	}
}

// beat implements heartbeat: a comment line, which every reader of event streams
// skips, between two events.
func (r *relay) beat() error {
	if r.s.midEvent {
		return nil
	}
	if err := r.client.write(keepalive()); err != nil {
		return err
	}
	r.lastByte = '\n'
	return nil
}

// clientLeft implements heartbeat.
func (r *relay) clientLeft() { r.x.clientLeft() }

// keepalive is a comment of an event stream (WHATWG HTML, section 9.2.6).
func keepalive() []byte { return []byte(": keep-alive\n\n") }
