package upstream

import (
	"sync/atomic"
	"time"
)

// Kind is how an answer is asked for.
type Kind uint8

// The kinds of an answer.
const (
	Plain Kind = iota
	Streamed
)

// Attempt is a candidate chosen for one request, with what it holds until it
// ends. The zero value is for Route.Next to fill.
type Attempt struct {
	*Candidate
	// Pause is how long to wait before asking; not zero only where the same endpoint is asked again.
	Pause time.Duration

	who      tenant
	began    instant
	permits  struct{ address, lane, streams permit }
	reported atomic.Bool
	ended    atomic.Bool
	position uint8 // among the model's candidates
	kind     Kind
	outcome  Outcome
	trial    bool // it tries a credential that was in quarantine
}

// Report is what is known of an attempt once it is decided.
type Report struct {
	Outcome Outcome
	// Took is how long the attempt waited for what decided it.
	Took time.Duration
	// RetryIn is how long the provider asked to be left alone; 0: it named no time.
	RetryIn time.Duration
}

// Ending says how a stream ended that had begun.
type Ending uint8

// The endings of a stream.
const (
	EndingUnknown Ending = iota // nobody saw it: the client left, or it was no stream
	EndingWhole
	EndingBroken // the provider broke it off, fell silent, or sent what is no event
)

// take fills a with a candidate and all that an attempt there must hold, or holds
// nothing and reports false: another request was quicker.
func (a *Attempt) take(c *Candidate, by asker, now instant, when admission) bool {
	l, kind := c.lane, by.kind
	if !l.account.enter(c.Endpoint.MaxConcurrent) {
		return false
	}
	if l.address.breaker.admit(&a.permits.address, now, when) && l.breaker.admit(&a.permits.lane, now, when) &&
		(kind == Plain || l.streams.admit(&a.permits.streams, now, when)) {
		if admitted, trial := l.account.quarantine.admit(now); admitted {
			a.Candidate, a.kind, a.who, a.began, a.trial = c, kind, by.tenant, now, trial
			l.pending.Add(1)
			l.latencyOf(kind).begin(now)
			a.watch()
			return true
		}
	}
	l.account.pending.Add(-1)
	for _, p := range [...]*permit{&a.permits.address, &a.permits.lane, &a.permits.streams} {
		p.undo()
		*p = permit{}
	}
	return false
}

// provenAfter is how long a stream must go on, beyond its limit of silence, to show
// that streams do not break off there.
const provenAfter = 15 * time.Second

// watch bounds how long probes may keep their places: an attempt that nobody
// reports has failed, and has shown nothing of streams.
func (a *Attempt) watch() {
	a.permits.address.watch(a.slowest, effectFailure)
	a.permits.lane.watch(a.slowest, effectFailure)
	a.permits.streams.watch(a.slowest, effectExcluded)
}

// Report says how the attempt was decided, as soon as it is: at the first valid
// event of a stream, not at its end. Only the first call counts.
func (a *Attempt) Report(r Report) {
	if a.Candidate == nil || a.reported.Swap(true) {
		return
	}
	a.outcome = r.Outcome
	a.lane.latencyOf(a.kind).end()
	now, l, row := a.clock.now(), a.lane, r.Outcome.row()
	l.address.report(a, r.Outcome, now)
	a.permits.lane.report(row.breaker, now, a.who.bit())
	if r.Outcome == OutcomeOK {
		a.permits.streams.watch(a.proven, effectSuccess) // by then it has not broken off
	} else {
		a.permits.streams.report(effectExcluded, now, a.who.bit()) // no stream has begun
		a.permits.streams = permit{}
	}
	switch latency := l.latencyOf(a.kind); {
	case r.Outcome == OutcomeOK:
		latency.observe(now, r.Took)
		l.cooldown.over()
		l.account.cooldown.over()
	case row.breaker == effectFailure:
		latency.penalise(now, r.Took)
	case r.Outcome == OutcomeClientGone, r.Outcome == OutcomeOutOfTime:
		latency.atLeast(now, r.Took)
	case r.Outcome != OutcomeAbandoned && r.Outcome != OutcomeShortage:
		latency.heard(now)
	}
	if r.Outcome.isFault() {
		l.fault.note(now, r.Outcome)
	}
	a.leaveAlone(now, r)
}

// leaveAlone begins what the outcome calls for beside the breakers.
func (a *Attempt) leaveAlone(now instant, r Report) {
	l := a.lane
	if r.Outcome.vouches() && l.account.answered(a, now) {
		l.tell(change{state: StateReady})
	}
	switch r.Outcome.row().rest {
	case restEndpoint:
		a.cool(&l.cooldown, now, r)
	case restCredential:
		a.cool(&l.account.cooldown, now, r)
	case restQuarantine:
		a.quarantine(l.account.quarantine.strike(now, a.trial), r.Outcome)
	case restTenant:
		a.quarantine(l.account.ban.begin(now, a.who, instant(l.account.answeredAt.Load())), r.Outcome)
	}
}

func (a *Attempt) cool(c *cooldown, now instant, r Report) {
	if wait, isNew := c.begin(now, r.Outcome, r.RetryIn); isNew {
		a.lane.tell(change{state: StateCooling, cause: r.Outcome, wait: wait})
	}
}

func (a *Attempt) quarantine(wait time.Duration, o Outcome) {
	if wait > 0 {
		a.lane.tell(change{state: StateQuarantined, cause: o, wait: wait})
	}
}

// End gives back what the attempt held, once nothing is asked of the provider any
// more. It must be called, after Report; an attempt that was never reported counts
// as abandoned. Only the first call counts.
func (a *Attempt) End(e Ending) {
	if a.Candidate == nil || a.ended.Swap(true) {
		return
	}
	a.Report(Report{Outcome: OutcomeAbandoned})
	now := a.clock.now()
	switch e {
	case EndingWhole:
		a.permits.streams.report(effectSuccess, now, a.who.bit())
	case EndingBroken:
		a.permits.streams.report(effectFailure, now, a.who.bit())
		a.lane.fault.note(now, OutcomeCut)
	default:
		a.permits.streams.report(effectExcluded, now, a.who.bit())
	}
	a.lane.pending.Add(-1)
	a.lane.account.pending.Add(-1)
}
