package proxy

import (
	"errors"
	"fmt"
	"time"

	"tollgate/upstream"
	"tollgate/usage"
)

// exhaustedError says that nobody gave an answer.
type exhaustedError struct {
	attempts int
	last     upstream.Outcome
	limit    error // the time limit that ended the last attempt; nil: none did
	timeouts upstream.Timeouts
}

func (e *exhaustedError) Error() string {
	return "no provider answered, last outcome " + e.last.String()
}

// timedOut reports whether it was for want of time.
func (e *exhaustedError) timedOut() bool { return e.limit != nil || e.last == upstream.OutcomeTimeout }

func (e *exhaustedError) failure() Failure {
	if e.timedOut() {
		message := "no provider of this model answered in time" + lateness(e.limit, e.timeouts) + ": try again shortly"
		return Failure{Status: 504, Type: typeServer, Code: "upstream_timeout", Message: message}
	}
	return Failure{Status: 502, Type: typeServer, Code: "upstream_error", Message: "no provider of this model could answer: try again shortly"}
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
func (x *exchange) choose() error {
	x.fields = fieldsOf(x.document)
	choice, err := x.model.Route(&x.fields.needs)
	if err != nil {
		return err
	}
	x.choice = choice
	return x.choice.Available() // before anything is spent
}

// attempt asks one candidate after the other until one gives a complete plain
// answer or the first valid event of a stream. Nothing has been forwarded
// before that, so a failed attempt is invisible to the client.
func (x *exchange) attempt() error {
	deadline := x.accepted.Add(x.model.Timeouts.Total)
	for {
		if x.gone() {
			return errClientGone
		}
		candidate, err := x.choice.Next()
		if err != nil {
			return x.nobodyLeft(err)
		}
		x.attempts++
		x.record.Attempt = x.attempts - 1
		x.record.Provider = candidate.Provider.Name
		x.record.Endpoint = candidate.Endpoint.URL
		x.record.UpstreamModel = candidate.Model
		outcome, err := x.tryAndReport(candidate, deadline)
		if outcome == upstream.OutcomeOK {
			return nil
		}
		x.lastOutcome = outcome
		x.letGo()
		x.logAttempt(candidate, outcome)
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
		case !outcome.FailsOver():
			return err
		case !time.Now().Before(deadline):
			x.lastLimit = errTotal
			return x.exhausted()
		case x.gone():
			return x.exhausted() // read on without its client, and failed
		}
	}
}

// tryAndReport makes one attempt and tells the breaker, also when it panics: a
// permit that nobody reports would hold a place of a breaker that is probing.
func (x *exchange) tryAndReport(a *upstream.Attempt, deadline time.Time) (outcome upstream.Outcome, err error) {
	began := time.Now()
	outcome = upstream.OutcomeAbandoned
	defer func() {
		a.Report(upstream.Report{Outcome: outcome, Took: since(began)})
		x.gateway.Metrics.Attempt(a.Provider.Name, a.Model, outcome.String(), since(began))
	}()
	return x.try(a, deadline)
}

// nobodyLeft says why there is no further candidate: a model whose every
// endpoint is out of service is a 503 only when not even one could be asked.
func (x *exchange) nobodyLeft(err error) error {
	var unavailable *upstream.UnavailableError
	if x.attempts == 0 && errors.As(err, &unavailable) {
		return err
	}
	return x.exhausted()
}

func (x *exchange) exhausted() error {
	return &exhaustedError{attempts: x.attempts, last: x.lastOutcome, limit: x.lastLimit, timeouts: x.model.Timeouts}
}

// try makes one attempt. On OutcomeOK x.serving holds it; else it is closed.
func (x *exchange) try(a *upstream.Attempt, deadline time.Time) (outcome upstream.Outcome, err error) {
	outcome = upstream.OutcomeAbandoned // should this panic
	version := x.rewriteFor(a.Candidate)
	s := x.open(a.Candidate, version, deadline)
	x.attach(s)
	x.lastLimit, x.reached = nil, false
	defer func() {
		x.abroad += s.waited
		if x.serving != s {
			x.detach()
			s.close()
			s.failed(outcome)
			x.lastLimit = s.limitOf(err)
		}
	}()
	limits := x.model.Timeouts
	if x.document.Stream {
		s.alarm.set(limits.FirstToken, errFirstToken)
		x.expectUsage(a.Candidate)
	} else {
		s.alarm.set(limits.Answer, errAnswerLate)
	}
	request := upstream.Request{
		Candidate:      a.Candidate,
		Body:           version.body,
		Stream:         x.document.Stream,
		ConnectTimeout: limits.Connect,
		Traceparent:    s.span.Traceparent(),
	}
	asked := time.Now()
	s.response, err = x.gateway.Leg.Do(s.ctx, &request)
	s.waited += since(asked)
	x.reached = !isConnectError(err)
	if err != nil {
		return s.outcomeOf(err), err
	}
	outcome, err = x.firstOf(s)
	if outcome != upstream.OutcomeOK {
		return outcome, err
	}
	if x.document.Stream {
		s.firstChunk = since(s.began)
	}
	s.alarm.rest() // the client's time begins
	x.serving = s
	return outcome, nil
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
	case errors.As(err, &exhausted) && exhausted.timedOut():
		return usage.EndUpstreamTimeout
	}
	return usage.EndUpstreamFailed
}
