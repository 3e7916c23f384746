package upstream

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// The breakers' settings.
const (
	// breakerWindow is how much of the past a failure rate is taken from, in
	// pieces of breakerBucket.
	breakerWindow = 120 * time.Second
	breakerBucket = 5 * time.Second
	// breakerTimeout is how long a breaker that opens refuses before it lets probes
	// through. It doubles with each round of probes that fails, up to breakerLongest,
	// and is varied by breakerJitter each time, so that breakers which opened
	// together do not probe together.
	breakerTimeout = 10 * time.Second
	breakerLongest = 5 * time.Minute
	breakerJitter  = 0.3
	// breakerProbes is how many attempts a half-open breaker admits, and how many successes close it.
	breakerProbes = 3
	// breakerMinimum is how many outcomes a failure rate needs to mean something.
	breakerMinimum = 10
	// breakerCredit is how many answers at most a failure meets that is the first for
	// long: while nothing fails, the gate is not told of each. breakCredit is the same for streams.
	breakerCredit = 2 * breakerMinimum
	breakCredit   = 10 * breakStreams
	// breakerRate is the failure rate that trips.
	breakerRate = 0.5
	// breakerStreak is the number of failures in a row that trips where most of what
	// the window has seen failed, and breakerLongStreak where most was answered: with
	// many requests a second, five in a row are soon a coincidence.
	breakerStreak     = 5
	breakerLongStreak = 8
	// breakerInARow is what share of the attempts that began meanwhile a streak must be
	// at least: the others are undecided.
	breakerInARow = 0.8
	// The same for streams that break off: breakMinimum breaks, and breakRate of at least breakStreams.
	breakMinimum = 20
	breakStreams = 50
	breakRate    = 0.2
)

// breaker is a circuit breaker: gobreaker's does the counting and decides, and what
// stands around it makes it cheap to ask, safe against outcomes that are reported
// twice or never, and patient.
//
// Nobody asks the gate for a permit: an outcome is taken to it when it is known, and
// so counts in the part of the window in which it is known. (The gate would count it
// where its attempt began, and forget it with that part: failures slower than the
// window would never trip.) How long it stays open and who may probe is decided
// here; the gate itself would always allow.
type breaker struct {
	clock clock
	tell  teller

	mu        sync.Mutex // held around every call of the gate
	gate      *gobreaker.CircuitBreaker[struct{}]
	streak    streak
	witnesses witnesses
	reopened  int // rounds of probes that failed since it was last closed
	// answeredTo is the number of the attempt that began last of all that were answered.
	answeredTo uint64
	failedAt   instant // when the gate was last told of a failure; 0: never
	credit     int     // answers that it was not told of, the last at creditAt
	creditAt   instant
	mostCredit int

	// phase is phaseClosed, phaseHalfOpen, or the instant at which the first probe is due.
	phase      atomic.Int64
	earlyDue   atomic.Int64  // the instant at which it would be, had no probe ever failed
	generation atomic.Uint32 // grows with each change of phase
	places     atomic.Int32  // free ones for probes, while half open
	nextPlace  atomic.Int64  // the instant before which none is given
	attempts   sequence
	closedAt   atomic.Int64 // the instant of the last recovery; 0: none
}

const (
	phaseClosed   int64 = 0
	phaseHalfOpen int64 = -1
)

// newBreaker returns a closed breaker. tell is called with each change of state,
// under locks: it must not block, nor ask the breaker.
func newBreaker(c clock, r rule, tell teller) *breaker {
	b := &breaker{clock: c, tell: tell, mostCredit: r.credit}
	b.gate = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   breakerProbes,
		Interval:      breakerWindow,
		BucketPeriod:  breakerBucket,
		Timeout:       1, // see admit
		ReadyToTrip:   func(counts gobreaker.Counts) bool { return r.trips(b, counts) },
		OnStateChange: func(_ string, from, to gobreaker.State) { b.enter(from, to) },
		IsSuccessful:  func(err error) bool { return err == verdict(effectSuccess) }, //nolint:errorlint // the very value of decide
	})
	return b
}

// verdict carries an effect through the gate, which takes errors.
type verdict effect

// Error implements error.
func (v verdict) Error() string { return "the effect of an outcome" }

// enter follows the gate into a state. It runs under mu and the gate's own mutex.
// The generation comes last: an attempt that is let through meanwhile, without
// the lock, must not pass for one of the new state.
func (b *breaker) enter(from, to gobreaker.State) {
	defer b.generation.Add(1)
	b.streak = streak{}
	switch to {
	case gobreaker.StateClosed:
		b.reopened = 0
		b.closedAt.Store(int64(b.clock.now()))
		b.phase.Store(phaseClosed)
		b.tell(change{state: StateReady})
	case gobreaker.StateHalfOpen:
		b.places.Store(breakerProbes)
		b.nextPlace.Store(0)
		b.phase.Store(phaseHalfOpen)
		b.tell(change{state: StateHalfOpen})
	case gobreaker.StateOpen:
		if from == gobreaker.StateHalfOpen {
			b.reopened++
		}
		wait, now := openFor(b.reopened), b.clock.now()
		b.earlyDue.Store(int64(now.after(min(wait, breakerTimeout))))
		b.phase.Store(int64(now.after(wait)))
		b.tell(change{state: StateOpen, wait: wait})
	}
}

// openFor is how long a breaker stays open after so many failed rounds of probes.
func openFor(reopened int) time.Duration {
	const most = 5 // breakerTimeout doubled so often is longer than breakerLongest
	wait := min(breakerTimeout<<min(reopened, most), breakerLongest)
	return time.Duration(float64(wait) * (1 + breakerJitter*(2*rand.Float64()-1)))
}

// isClosed reports whether everything is let through.
func (b *breaker) isClosed() bool { return b.phase.Load() == phaseClosed }

// ready reports whether an attempt would probably be admitted. It costs one
// atomic load as long as the upstream is well.
func (b *breaker) ready(now instant, when admission) bool {
	switch due := b.phase.Load(); due {
	case phaseClosed:
		return true
	case phaseHalfOpen:
		return b.places.Load() > 0 && int64(now) >= b.nextPlace.Load()
	default:
		return int64(now) > b.dueAt(due, when)
	}
}

// dueAt is the instant at which an open breaker lets a probe through.
func (b *breaker) dueAt(due int64, when admission) int64 {
	if when == early {
		return b.earlyDue.Load()
	}
	return due
}

// wait is how long it takes until the next attempt may be admitted, as far as is
// known: where all probes of a half-open breaker are out, the first to come back decides.
func (b *breaker) wait(now instant, when admission) time.Duration {
	switch due := b.phase.Load(); due {
	case phaseClosed:
		return 0
	case phaseHalfOpen:
		return now.until(instant(b.nextPlace.Load()))
	default:
		return now.until(instant(b.dueAt(due, when)))
	}
}

// state is what operators are shown, and how long it takes until the next attempt
// may be admitted, as far as is known. An open breaker whose probe is due is half
// open, whether or not a probe has come.
func (b *breaker) state(now instant) (State, time.Duration) {
	switch due := b.phase.Load(); {
	case due == phaseClosed:
		return StateReady, 0
	case due == phaseHalfOpen, int64(now) > due:
		return StateHalfOpen, 0
	default:
		return StateOpen, now.until(instant(due))
	}
}

// admit asks for a permit. On true the attempt may go ahead, and must report.
func (b *breaker) admit(p *permit, now instant, when admission) bool {
	generation := b.generation.Load()
	if b.phase.Load() == phaseClosed {
		*p = permit{breaker: b, generation: generation, number: b.attempts.begin()}
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	phase := b.phase.Load()
	if phase == phaseClosed {
		*p = permit{breaker: b, generation: b.generation.Load(), number: b.attempts.begin()}
		return true
	}
	if phase != phaseHalfOpen && int64(now) <= b.dueAt(phase, when) {
		return false
	}
	if b.gate.State() == gobreaker.StateOpen { // being asked, it becomes half open
		return false
	}
	if b.places.Load() == 0 || int64(now) < b.nextPlace.Load() {
		return false
	}
	b.places.Add(-1)
	if b.nextPlace.Load() != 0 { // one has said nothing: the others are not sent all at once
		b.nextPlace.Store(int64(now.after(breakerTimeout / breakerProbes)))
	}
	*p = permit{breaker: b, generation: b.generation.Load(), probe: new(probe)}
	return true
}

// admission says whether an open breaker is to be passed when its probe is due, or
// when it would be, had no probe ever failed: where there is nobody else to ask,
// patience that has doubled again and again helps nobody.
type admission uint8

const (
	onTime admission = iota
	early
)

// outcomeOf is what a breaker hears of an attempt: how it ended, when and whose it was.
type outcomeOf struct {
	effect effect
	at     instant
	who    tenants
}

// count takes the outcome of an attempt to the gate that was closed when it began,
// unless it has opened since: then it has nothing new to say.
func (b *breaker) count(p *permit, o outcomeOf) {
	b.attempts.end(p.number)
	if o.effect == effectExcluded {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.generation.Load() != p.generation || !b.isClosed() {
		return
	}
	b.witnesses.note(o.at, o.who, o.effect)
	isQuiet := b.failedAt == 0 || b.failedAt.until(o.at) > breakerWindow+breakerBucket
	if o.effect == effectFailure {
		b.streak.extend(p.number, o.who)
		if isQuiet {
			b.redeem(o.at)
		}
		b.failedAt = o.at
		b.decide(effectFailure)
		return
	}
	b.streak, b.answeredTo = streak{}, max(b.answeredTo, p.number)
	if isQuiet {
		b.credit, b.creditAt = min(b.credit+1, b.mostCredit), o.at
		return
	}
	b.decide(effectSuccess)
}

// redeem tells the gate of the answers that it was not told of, unless they are old.
func (b *breaker) redeem(now instant) {
	if b.creditAt.until(now) <= breakerWindow {
		for range b.credit {
			b.decide(effectSuccess)
		}
	}
	b.credit = 0
}

// decide takes an outcome to the gate. It runs under mu. (The functions are no
// closures: they cost nothing.)
func (b *breaker) decide(e effect) {
	if e == effectFailure {
		_, _ = b.gate.Execute(func() (struct{}, error) { return struct{}{}, verdict(effectFailure) })
	} else {
		_, _ = b.gate.Execute(func() (struct{}, error) { return struct{}{}, verdict(effectSuccess) })
	}
}
