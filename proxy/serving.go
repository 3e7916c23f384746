package proxy

import (
	"context"
	"errors"
	"time"

	"tollgate/proxy/sse"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"
)

// errNotAnAnswer is what a provider sent in place of an answer: another
// status, another content type, an error inside a 200. Its text stays inside.
var errNotAnAnswer = errors.New("the provider's answer is not one")

// heldBytes bounds what is held back before the first event with content: beyond
// it the stream is committed.
const heldBytes = 64 << 10

// serving is one upstream request: its response, the alarm that may cancel it,
// and the listener that learns from the answer what goes on the bill.
type serving struct {
	gateway *Gateway
	attempt upstream.Attempt
	ctx     context.Context
	cancel  context.CancelCauseFunc
	alarm   *alarm
	span    *telemetry.AttemptSpan
	began   time.Time
	drain   *upstream.Drain // nil: cancelled when the client leaves
	// waited is how long the provider was waited for, until the attempt was decided.
	waited   time.Duration
	response *upstream.Response
	choices  int // how many finish reasons make the answer complete

	revised
	ending upstream.Ending // of a stream
	number int8            // of the request's attempts, from 1
	asked  bool            // the client asked for the usage chunk

	framer   *sse.Framer
	tap      sse.Tap
	meter    *usage.Meter
	counting usage.Counting // of the meter
	held     []byte         // events not forwarded yet
	// content says that an event brought content, be it text, media or a part of an oversize event.
	content bool
	begun   bool // an event with data was seen
	// midEvent says that the last byte held or forwarded stands inside an oversize event.
	midEvent bool
	answer   []byte // a plain answer, whole
	// firstChunk is how long the first event that carries something took.
	firstChunk time.Duration
	ended      bool // the body was read to its end
	closed     bool
}

// hasContent reports whether the answer so far holds anything for its reader.
func (s *serving) hasContent() bool { return s.content || s.tap.ContentBytes() > 0 }

// isEmpty reports whether a whole answer gave its reader nothing and, by the
// provider's own figures or for want of them, cost nothing: the mark of a
// provider's fault. An answer whose every token went into reasoning is not empty.
func (s *serving) isEmpty() bool {
	if s.hasContent() {
		return false
	}
	reported, err := usage.ParseTokens(s.tap.Usage())
	return err != nil || reported.Completion == 0
}

// endOfWhole is the end reason of an answer that came to its end.
func (s *serving) endOfWhole() usage.EndReason {
	if s.isEmpty() {
		return usage.EndNoOutput
	}
	return usage.EndCompleted
}

// open starts the clock of one attempt.
func (x *exchange) open(s *serving, version rewriting, deadline time.Time) {
	provider := s.attempt.Provider
	// An answer that brings its usage is counted only when it breaks off.
	s.counting = usage.CountAtEnd
	if x.document.Stream && provider.StreamUsage == upstream.StreamUsageNever {
		s.counting = usage.CountEagerly
	}
	s.gateway, s.number = x.gateway, int8(x.attempts) //nolint:gosec // at most ten
	s.revised = version.revised
	s.choices, s.asked = int(x.document.N), x.document.IncludeUsage
	s.meter = x.gateway.Estimator.NewMeter(s.counting)
	s.tap.Reset(s.meter)
	s.began, s.drain = time.Now(), provider.Drain
	s.ctx, s.cancel = context.WithCancelCause(x.gateway.running)
	s.alarm = newAlarm(s.cancel, deadline)
}

// report tells how the attempt was decided, before it can end.
func (s *serving) report(outcome upstream.Outcome) {
	r := upstream.Report{Outcome: outcome, Took: s.waited}
	if s.response != nil {
		r.RetryIn = s.response.RetryIn
	}
	s.attempt.Report(r)
}

// status is the provider's, 0 when it gave none.
func (s *serving) status() int {
	if s.response == nil {
		return 0
	}
	return s.response.Status
}

// pause waits before an endpoint that could not be reached is asked again. The
// error is why there is no more reason to.
func (s *serving) pause() error {
	if s.attempt.Pause == 0 {
		return nil
	}
	timer := time.NewTimer(s.attempt.Pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// close ends the upstream request. A body that cannot be read to its end soon takes
// its connection with it.
func (s *serving) close() {
	if s.closed {
		return
	}
	s.closed = true
	s.attempt.End(s.ending)
	if s.framer != nil {
		s.framer.Reset(int(s.gateway.Config.MaxEvent))
		s.gateway.framers.Put(s.framer)
		s.framer = nil
	}
	if !s.isWorthFinishing() {
		s.release()
		return
	}
	// The last chunk of our own answer, or the next attempt, waits for close to return.
	s.gateway.background.Go(s.finishBody)
}

func (s *serving) release() {
	if s.response != nil {
		_ = s.response.Body.Close()
	}
	s.alarm.stop()
	s.cancel(errFinished)
}

// mayEndBare reports whether a stream that ends cleanly is whole without [DONE].
func (s *serving) mayEndBare() bool {
	c := s.attempt.Candidate
	if c == nil || !c.Provider.Contract.DoneOptional || !s.response.Framed || s.midEvent {
		return false
	}
	asked := s.injected || s.asked && c.Provider.StreamUsage != upstream.StreamUsageNever
	return s.tap.Finished(s.choices) && (!asked || s.tap.Usage() != nil) // or what comes last is missing
}

// outcomeOf classifies an error by why the attempt was cancelled, if it was.
func (s *serving) outcomeOf(err error) upstream.Outcome {
	switch cause := context.Cause(s.ctx); {
	case errors.Is(cause, errShutdown), errors.Is(cause, errKeyRevoked):
		return upstream.OutcomeAbandoned
	case errors.Is(cause, errClientGone), errors.Is(cause, errDrainOver):
		return upstream.OutcomeClientGone
	case errors.Is(cause, errFirstToken), errors.Is(cause, errAnswerLate):
		return upstream.OutcomeTimeout
	case errors.Is(cause, errTotal) && s.number > 1: // the attempts before have used it up
		return upstream.OutcomeOutOfTime
	case errors.Is(cause, errTotal):
		return upstream.OutcomeTimeout
	}
	return upstream.OutcomeOfError(err)
}

// limitOf names the time limit that ended an attempt, or its answer; nil: none did.
func (s *serving) limitOf(err error) error {
	for _, limit := range [...]error{errFirstToken, errAnswerLate, errIdle, errTotal} {
		if errors.Is(context.Cause(s.ctx), limit) {
			return limit
		}
	}
	if isConnectError(err) && isTimeout(err) {
		return errConnectLate
	}
	return nil
}
