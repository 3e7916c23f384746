package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"tollgate/crash"
	"tollgate/proxy/sse"
	"tollgate/upstream"
	"tollgate/usage"
)

// errUnfinished is a [DONE] before every choice that was asked for has ended. That
// may be for what was asked: the stream has not broken off.
var errUnfinished = errors.New("the provider ended its answer before every choice had")

// errInterrupted ends an answer without the last chunk.
var errInterrupted = io.ErrUnexpectedEOF

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
	crash.Point("relay.before_done")
	if err := r.write(last); err != nil {
		// The record stands: every token of the answer was delivered.
		return errInterrupted
	}
	crash.Point("relay.after_done")
	return nil
}

// endOfBody ends a stream whose body ended before [DONE]: even a clean end of the
// transfer is not a complete answer, unless the provider's contract says that it may be.
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
	if limit := r.s.limitOf(cause); limit != nil && reason != usage.EndKeyRevoked {
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
	why := context.Cause(r.s.ctx)
	late := errors.Is(why, errIdle) || errors.Is(why, errTotal)
	switch {
	case errors.Is(why, errKeyRevoked), errors.Is(cause, errKeyRevoked), late && r.x.severed():
		return usage.EndKeyRevoked, failureOf(errKeyRevoked)
	case errors.Is(why, errShutdown):
		f.Code, f.Message = "shutting_down", "the gateway is shutting down: what came so far is incomplete"
		return usage.EndShutdown, f
	case late:
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
