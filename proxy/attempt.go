package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tollgate/crash"
	"tollgate/upstream"
	"tollgate/usage"
)

// exhaustedError says that nobody gave an answer.
type exhaustedError struct {
	attempts int
	last     upstream.Outcome
	limit    error // the time limit that ended the last attempt; nil: none did
	thrift   bool  // another would have been asked, if fewer requests needed that
	hopeless bool  // every provider that was asked forbids it
	timeouts upstream.Timeouts
}

func (e *exhaustedError) Error() string {
	return "no provider answered, last outcome " + e.last.String()
}

// timedOut reports whether it was for want of time.
func (e *exhaustedError) timedOut() bool { return e.limit != nil || e.last == upstream.OutcomeTimeout }

func (e *exhaustedError) failure() Failure {
	f := Failure{
		Status: 502, Type: typeServer, Code: "upstream_error",
		NoRetry: e.thrift || e.hopeless,
		Message: "no provider of this model could answer",
	}
	if e.timedOut() {
		f.Status, f.Code = 504, "upstream_timeout"
		f.Message = "no provider of this model answered in time" + lateness(e.limit, e.timeouts)
	}
	switch {
	case e.thrift:
		f.Message += ": too many requests fail at the moment for this one to be tried again"
	case e.hopeless:
		f.Message += ": trying again will not help"
	default:
		f.Message += ": try again shortly"
	}
	return f
}

// lateness names the limit that was reached, and the option that sets it.
func lateness(limit error, t upstream.Timeouts) string {
	switch {
	case errors.Is(limit, errConnectLate):
		return fmt.Sprintf(", the last one could not be reached within %s (timeouts.connect)", t.Connect)
	case errors.Is(limit, errFirstToken):
		return fmt.Sprintf(", the last one sent no first token within %s (timeouts.first_token)", t.FirstToken)
	case errors.Is(limit, errAnswerLate):
		return fmt.Sprintf(", the last one sent no complete answer within %s (timeouts.answer)", t.Answer)
	case errors.Is(limit, errIdle):
		return fmt.Sprintf(", it was silent for %s (timeouts.idle)", t.Idle)
	case errors.Is(limit, errTotal):
		return fmt.Sprintf(", all attempts together took %s (timeouts.total)", t.Total)
	}
	return ""
}

// choose finds the candidates that can serve what the request needs.
func (x *exchange) choose() (err error) {
	x.prepareFields()
	x.choice, err = x.beginRoute(x.routeOptions())
	return err
}

// prepareFields reads what the request needs.
func (x *exchange) prepareFields() {
	x.fields, _ = x.gateway.fields.Get().(*fields)
	x.fields.read(x.document)
}

func (x *exchange) routeOptions() upstream.RouteOptions {
	options := upstream.RouteOptions{Anchor: x.anchor(), Tenant: x.key.Tenant}
	if x.document.Stream {
		options.Kind = upstream.Streamed
	}
	return options
}

// beginRoute refuses a request that cannot be served, before anything is spent.
func (x *exchange) beginRoute(o upstream.RouteOptions) (upstream.Route, error) {
	route, err := x.model.Route(&x.fields.needs, o)
	if err != nil {
		return route, x.gateway.withNames(err)
	}
	return route, route.Available()
}

// attempt asks one candidate after the other until one gives a complete plain
// answer or the first valid event of a stream. Nothing has been forwarded
// before that, so a failed attempt is invisible to the client.
func (x *exchange) attempt() error {
	deadline := x.accepted.Add(x.model.Timeouts.Total)
	for {
		if err := x.stays(); err != nil {
			return err
		}
		s := new(serving)
		if err := x.choice.Next(&s.attempt); err != nil {
			return x.nobodyLeft(err)
		}
		if x.attempts == 0 {
			x.trail.passed = x.choice.PassedOver(&x.fields.needs)
		}
		x.attempts++
		outcome, err := x.tryAndReport(s, deadline)
		if errors.Is(err, errJournal) {
			return x.unrecorded()
		}
		switch {
		case x.severed():
			return errKeyRevoked
		case outcome == upstream.OutcomeOK:
			return nil
		}
		x.lastOutcome = outcome
		if outcome == upstream.OutcomeForbidden {
			x.forbidden++
		}
		x.letGo()
		x.logAttempt(&s.attempt, outcome)
		switch {
		case errors.Is(err, errBodyMemory):
			return err
		case outcome == upstream.OutcomeClientGone:
			if !x.reached { // and so nobody is to be named on the bill
				x.record.Provider, x.record.Endpoint, x.record.UpstreamModel = "", "", ""
			}
			return errClientGone
		case outcome == upstream.OutcomeAbandoned:
			return errDraining
		case outcome == upstream.OutcomeOutOfTime, outcome.FailsOver() && !time.Now().Before(deadline):
			x.lastLimit = errTotal
			return x.exhausted()
		case !outcome.FailsOver():
			return err
		case x.gone():
			return x.exhausted() // read on without its client, and failed
		}
	}
}

// tryAndReport makes one attempt, counts how it went and puts on record what it costs
// in vain. That, and giving back what it holds, is done also when it panics.
func (x *exchange) tryAndReport(s *serving, deadline time.Time) (outcome upstream.Outcome, err error) {
	began := time.Now()
	outcome, err = upstream.OutcomeAbandoned, errPanic // should it
	defer func() {
		a := &s.attempt
		if x.serving != s {
			a.End(upstream.EndingUnknown)
			x.noteFailure(s, outcome, err)
		}
		if !errors.Is(err, errJournal) {
			x.gateway.Metrics.Attempt(a.Provider.Name, a.Model, outcome.String(), since(began))
		}
	}()
	return x.try(s, deadline)
}

// nobodyLeft says why there is no further candidate: a model whose every
// endpoint is out of service is a 503 only when not even one could be asked.
func (x *exchange) nobodyLeft(err error) error {
	var unavailable *upstream.UnavailableError
	if x.attempts == 0 && errors.As(err, &unavailable) {
		return err
	}
	if errors.Is(err, upstream.ErrRetryBudget) {
		x.gateway.Metrics.Retry(x.model.Name, "refused")
		x.thrift = true
	}
	return x.exhausted()
}

func (x *exchange) exhausted() error {
	return &exhaustedError{
		attempts: x.attempts, last: x.lastOutcome, limit: x.lastLimit, timeouts: x.model.Timeouts,
		thrift: x.thrift, hopeless: int(x.forbidden) == x.attempts,
	}
}

// try makes one attempt. On OutcomeOK x.serving holds it; else it is closed.
func (x *exchange) try(s *serving, deadline time.Time) (outcome upstream.Outcome, err error) {
	outcome = upstream.OutcomeAbandoned // should this panic
	c := s.attempt.Candidate
	version := x.rewriteFor(c)
	x.allow(version.limit)
	x.open(s, version, deadline)
	x.attach(s)
	defer func() { x.decided(s, outcome, err) }()
	if err := s.pause(); err != nil {
		return s.outcomeOf(err), err
	}
	if err := x.intend(c); err != nil {
		return upstream.OutcomeAbandoned, err
	}
	s.span = x.traceAttempt(c)
	limits := x.model.Timeouts
	if x.document.Stream {
		s.alarm.watch(x)
		s.alarm.wait(time.Now(), limits.FirstToken, errFirstToken)
		x.expectUsage(c)
	} else {
		s.alarm.set(limits.Answer, errAnswerLate)
	}
	request := upstream.Request{
		Candidate:      c,
		Body:           version.body,
		Stream:         x.document.Stream,
		ConnectTimeout: limits.Connect,
		Traceparent:    s.span.Traceparent(),
	}
	asked := time.Now()
	x.reached = true // as long as nobody says otherwise: this may panic
	s.response, err = x.gateway.Leg.Do(s.ctx, &request)
	s.waited += since(asked)
	x.reached = !isConnectError(err)
	if err != nil {
		return s.outcomeOf(err), err
	}
	crash.Point("attempt.after_head")
	outcome, err = x.firstOf(s)
	if outcome != upstream.OutcomeOK {
		return outcome, err
	}
	if inTime := s.alarm.rest(); !inTime && x.document.Stream {
		// It went off while the first event was on its way: no more would come.
		err = context.Cause(s.ctx)
		return s.outcomeOf(err), err
	}
	if x.document.Stream {
		s.firstChunk = since(s.began)
	}
	x.serving = s // the client's time begins
	return outcome, nil
}

// decided tells everybody how an attempt went, and closes it unless it answers.
func (x *exchange) decided(s *serving, outcome upstream.Outcome, err error) {
	s.report(outcome)
	x.abroad += s.waited
	made := !errors.Is(err, errJournal)
	if made {
		x.trail.add(s, outcome, x.accepted)
	}
	if x.serving == s {
		return
	}
	x.detach()
	s.alarm.hush() // this goroutine looks at the key again
	s.close()
	s.failed(outcome)
	if made {
		x.lastLimit = s.limitOf(err)
	}
}

// isConnectError tells the failures before anything was sent.
func isConnectError(err error) bool {
	var connect *upstream.ConnectError
	return errors.As(err, &connect)
}

// firstOf waits for what decides an attempt: a refusal, a whole plain answer,
// or the first event of a stream that carries something.
func (x *exchange) firstOf(s *serving) (upstream.Outcome, error) {
	switch outcome := upstream.OutcomeOfStatus(s.response.Status); {
	case outcome == upstream.OutcomeRequestRefused:
		return s.refusal()
	case outcome != upstream.OutcomeOK:
		return outcome, errNotAnAnswer
	case s.response.ContentEncoding != "" && s.response.ContentEncoding != "identity":
		return upstream.OutcomeInvalidAnswer, errNotAnAnswer
	case x.document.Stream:
		return s.awaitEvent()
	}
	return s.readPlain(x.hold)
}

// endReasonOf is the end reason of a request that got no answer.
func endReasonOf(err error) usage.EndReason {
	var (
		refusal   *refusalError
		exhausted *exhaustedError
	)
	switch {
	case errors.As(err, &refusal):
		return usage.EndRefused
	case errors.Is(err, errClientGone):
		return usage.EndClientGone
	case errors.Is(err, errDraining):
		return usage.EndShutdown
	case errors.Is(err, errKeyRevoked):
		return usage.EndKeyRevoked
	case errors.As(err, &exhausted) && exhausted.timedOut():
		return usage.EndUpstreamTimeout
	}
	return usage.EndUpstreamFailed
}
