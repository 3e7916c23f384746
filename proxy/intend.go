package proxy

import (
	"errors"
	"time"

	"tollgate/crash"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"
)

// Nothing is sent to a provider that is not on record before: what this process cannot
// settle any more, since it died, is settled from what it has intended.

// recordable refuses what could not be put on record, before its key spends anything.
func (g *Gateway) recordable() error {
	if g.Recordable != nil && g.Recordable() != nil {
		return errJournal // whoever keeps the records says why, once
	}
	return nil
}

// intend puts on record that a candidate is about to be asked. From here on the
// request's own record names it.
func (x *exchange) intend(c *upstream.Candidate) error {
	r := x.draft(usage.KindIntent)
	r.Attempt, r.Provider, r.Endpoint, r.UpstreamModel = x.attempts-1, c.Provider.Name, c.Endpoint.URL, c.Model
	r.Prompt, r.MaxCompletion = x.promptBound(), x.allowance.worst
	err := x.gateway.Recorder.Intend(r)
	x.file(r)
	if err != nil {
		// Of a request that is refused for it the access line says as much, and whoever keeps the records why, once.
		if x.attempts > 1 || !errors.Is(err, usage.ErrUnavailable) || errors.Is(err, usage.ErrBadRecord) {
			x.log().Warn("attempt not made, since it could not be put on record", telemetry.FieldError, err)
		}
		return errJournal
	}
	x.intended, x.reached, x.lastLimit = true, false, nil
	x.record.Attempt, x.record.Provider, x.record.Endpoint, x.record.UpstreamModel = x.attempts-1, c.Provider.Name, c.Endpoint.URL, c.Model
	if x.attempts > 1 {
		x.gateway.Metrics.Retry(x.model.Name, "made")
	}
	crash.Point("attempt.before_send")
	return nil
}

// unrecorded ends a request whose next attempt could not be put on record, and so was
// not made: as the one before it has left it, or as if it had never been admitted. Its
// share of the budget for retries stays spent: while nothing can be recorded, fewer of
// them are as well.
func (x *exchange) unrecorded() error {
	x.attempts--
	if x.attempts > 0 {
		return x.exhausted()
	}
	x.admitted = false // nothing was spent: no record is owed
	return errJournal
}

// noteFailure puts on record what an attempt costs that gave no answer. The cost is
// ours, and no part of what the request is settled with.
func (x *exchange) noteFailure(s *serving, outcome upstream.Outcome, err error) {
	end, failed := endOfAttempt(outcome, err)
	if !failed || !x.intended {
		return
	}
	verdict := usage.DecideAttempt(usage.FailedAttempt{
		End: end, MayCost: x.reached && outcome.Cost() == upstream.CostUnknown,
		MaxCompletion: x.allowance.most, WorstCompletion: x.allowance.worst, Estimate: x.estimate,
	})
	x.intended, x.reached = false, false
	r := x.draft(usage.KindAttempt)
	r.EndReason, r.Source, r.Tokens, r.MaxCompletion = end, verdict.Source, verdict.Tokens, x.allowance.most
	r.UpstreamID, r.EndedAt = s.unlessSecret(s.tap.ID()), time.Now().UTC()
	r.Cost, r.CostPrice = x.costOf(verdict.Cost)
	x.gateway.Recorder.Note(r)
	x.file(r)
}

// endOfAttempt is how an attempt has ended that gave no answer. It has not failed where
// its client left it or the gateway ended: what it costs then is in the bill.
func endOfAttempt(outcome upstream.Outcome, err error) (end usage.EndReason, failed bool) {
	switch outcome {
	case upstream.OutcomeOK, upstream.OutcomeClientGone:
		return "", false
	case upstream.OutcomeAbandoned:
		// The answer came, and there was no room for it; or the gateway itself failed.
		return usage.EndUpstreamFailed, errors.Is(err, errBodyMemory) || errors.Is(err, errPanic)
	case upstream.OutcomeTimeout, upstream.OutcomeOutOfTime:
		return usage.EndUpstreamTimeout, true
	case upstream.OutcomeCut, upstream.OutcomeInvalidAnswer:
		return usage.EndUpstreamCut, true
	case upstream.OutcomeRequestRefused:
		return usage.EndRefused, true
	}
	return usage.EndUpstreamFailed, true
}

// draft is another record of the request, of that kind, until it is given to file. It
// says whose the request is, and who was asked last.
func (x *exchange) draft(kind usage.Kind) *usage.Record {
	r, _ := x.gateway.drafts.Get().(*usage.Record)
	*r = x.record
	r.Kind = kind
	return r
}

// file takes a draft back that was written.
func (x *exchange) file(r *usage.Record) {
	*r = usage.Record{}
	x.gateway.drafts.Put(r)
}
