package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"tollgate/proxy/sse"
	"tollgate/upstream"
	"tollgate/usage"
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
}

// errUnfinished is a [DONE] before every choice that was asked for has ended. That
// may be for what was asked: the stream has not broken off.
var errUnfinished = errors.New("the provider ended its answer before every choice had")

// errInterrupted ends an answer without the last chunk.
var errInterrupted = io.ErrUnexpectedEOF

// run relays until the stream ends, one way or another, and settles it.
func (r *relay) run() error {
	if err := r.write(r.s.held); err != nil {
		return r.clientGone()
	}
	r.s.held = nil
	r.s.alarm.hearten(r, r.x.gateway.Config.KeepaliveComment)
	defer r.s.alarm.hush()
	r.heard = time.Now()
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
	}
	return nil
}

// complete ends a stream at [DONE]. The record is durable before [DONE] is
// released, so a client that saw it is on the bill, and only then.
func (r *relay) complete(done sse.Event) error {
	if err := r.flush(); err != nil {
		return r.clientGone()
	}
	if !r.s.tap.Finished(r.s.choices) {
		return r.interrupt(errUnfinished)
	}
	if r.x.gone() {
		return r.clientGone()
	}
	r.s.ending = upstream.EndingWhole
	r.x.detach() // a client that leaves now has an answer that is whole
	began := time.Now()
	err := r.x.end(r.s.endOfWhole())
	r.x.settling = since(began)
	if err != nil {
		return r.tell(failureOf(err))
	}
	last := done.Raw
	if bytes.HasSuffix(last, []byte("\n\r")) {
		last = append(bytes.Clone(last), '\n') // it is on its way, see leadingLF
	}
	if r.s.asked && r.s.tap.Usage() == nil {
		lead := leadingLF(done).Raw
		last = slices.Concat(lead, r.usageChunk(), last[len(lead):])
	}
	if err := r.write(last); err != nil {
		// The record stands: every token of the answer was delivered.
		return errInterrupted
	}
	return nil
}

// endOfBody ends a stream whose body ended before [DONE] did what it must:
// even a clean end of the transfer is not a complete answer.
func (r *relay) endOfBody(end error) error {
	if !errors.Is(end, io.EOF) {
		return r.interrupt(end)
	}
	last, open := r.s.framer.Final()
	said := verdictForward
	if open {
		said, _ = r.s.hear(last)
	}
	torn := open && last.Data == nil && len(bytes.TrimSpace(last.Raw)) > 0 // a part of a line
	switch {
	case said == verdictEnd:
		r.s.ended = true
		return r.complete(last)
	case said == verdictBroken, torn, !r.s.mayEndBare():
		return r.interrupt(end)
	}
	if open && said == verdictForward {
		r.extend(last)
		if r.flush() != nil || r.write([]byte("\n\n")) != nil {
			return r.clientGone()
		}
	}
	r.s.ended = true
	return r.complete(sse.Event{Raw: []byte("data: [DONE]\n\n")}) // the contract says that it need not come
}

// interrupt ends a stream that broke: settled as it stands, one error event, no
// [DONE], and an unclean end of the transfer.
func (r *relay) interrupt(cause error) error {
	if err := r.flush(); err != nil || r.x.gone() {
		return r.clientGone()
	}
	reason, f := r.interruption(cause)
	if limit := r.s.limitOf(cause); limit != nil {
		r.x.lastLimit = limit
	}
	if err := r.x.end(reason); err != nil {
		f = failureOf(err)
	}
	return r.tell(f)
}

// interruption names the end reason and the error event of a broken stream.
func (r *relay) interruption(cause error) (usage.EndReason, Failure) {
	f := Failure{Type: typeServer, Code: "upstream_interrupted", Message: "the provider broke off its answer: what came so far is incomplete"}
	switch why := context.Cause(r.s.ctx); {
	case errors.Is(why, errShutdown):
		f.Code, f.Message = "shutting_down", "the gateway is shutting down: what came so far is incomplete"
		return usage.EndShutdown, f
	case errors.Is(why, errIdle), errors.Is(why, errTotal):
		if errors.Is(why, errIdle) {
			r.s.ending = upstream.EndingBroken
		}
		f.Code = "upstream_timeout"
		f.Message = "the provider did not end its answer in time" + lateness(why, r.x.model.Timeouts) + ": what came so far is incomplete"
		return usage.EndUpstreamTimeout, f
	case errors.Is(cause, sse.ErrEventTooLong):
		f.Message = "the provider sent an event that is too long: what came so far is incomplete"
	case errors.Is(cause, errUnfinished):
	default:
		r.s.ending = upstream.EndingBroken
	}
	return usage.EndUpstreamCut, f
}

// tell writes the error event, closing an event that stands open.
func (r *relay) tell(f Failure) error {
	r.x.errorCode, r.x.errorType = f.Code, f.Code
	event := f.event()
	switch {
	case r.s.midEvent:
		event = append([]byte("\n\n"), event...)
	case r.lastByte == '\r':
		event = append([]byte("\n"), event...) // the LF that did not come, see leadingLF
	}
	_ = r.write(event) // the unclean end says the same
	return errInterrupted
}

// clientGone settles what was delivered. The provider has been told to stop, or
// is read on for the sake of its figures.
func (r *relay) clientGone() error {
	reason := usage.EndClientGone
	if !r.x.gone() && r.x.gateway.running.Err() != nil {
		reason = usage.EndShutdown // it was there, and had no time left to take more
	}
	r.x.clientLeft() // when a write has found out first
	if r.x.isDraining() {
		r.x.releaseBody() // nobody else is asked any more
		r.readOn()
	}
	_ = r.x.end(reason) // nobody is left to be told
	switch {
	case r.client.stalled:
		r.x.reportAs(errStalled)
	case r.client.written == 0:
		r.x.status = r.x.reportAs(errClientGone)
	}
	return errClientGone
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
		if r.s.meter.Bytes() > most {
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

// usageChunk is the chunk that the client asked for and the provider cannot
// send: from Tollgate's own count, in the shape of OpenAI's.
func (r *relay) usageChunk() []byte {
	t := r.x.record.Tokens
	var chunk struct {
		ID      string     `json:"id"`
		Object  string     `json:"object"`
		Created int64      `json:"created"`
		Model   string     `json:"model"`
		Choices []struct{} `json:"choices"`
		Usage   struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
			Total      int64 `json:"total_tokens"`
		} `json:"usage"`
	}
	chunk.ID, chunk.Object, chunk.Created = r.x.record.UpstreamID, "chat.completion.chunk", r.x.accepted.Unix()
	chunk.Model, chunk.Choices = r.x.record.UpstreamModel, []struct{}{}
	chunk.Usage.Prompt, chunk.Usage.Completion, chunk.Usage.Total = t.Prompt, t.Completion, t.Prompt+t.Completion
	body, err := json.Marshal(chunk)
	if err != nil {
		return nil
	}
	return append(append([]byte("data: "), body...), '\n', '\n')
}
