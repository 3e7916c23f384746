package upstream

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"tollgate/telemetry"
)

// The breaker's settings. One breaker guards one credential of one address for
// one upstream model.
const (
	// breakerWindow is how much of the past the failure rate is taken from, on
	// top of the time that the slowest attempt takes to fail (see windowOf).
	breakerWindow = 120 * time.Second
	// breakerBuckets bounds the window's resolution, and its memory.
	breakerBuckets = 48
	// breakerBucket is the finest resolution of the window.
	breakerBucket = 5 * time.Second
	// breakerTimeout is how long an open breaker refuses before it lets probes
	// through; each breaker varies it by breakerJitter, so that breakers which
	// tripped together do not probe together.
	breakerTimeout = 10 * time.Second
	breakerJitter  = 0.3
	// breakerProbes is how many attempts a half-open breaker admits, and how many successes close it.
	breakerProbes = 3
	// breakerMinimum is how many attempts a failure rate needs to mean something.
	breakerMinimum = 10
	// breakerRate is the failure rate that trips.
	breakerRate = 0.5
	// breakerStreak is the number of failures in a row that trips at any rate.
	breakerStreak = 5
)

// breaker is gobreaker's two-step circuit breaker, made safe against outcomes
// that are never reported or reported twice, and cheap to ask about.
type breaker struct {
	gate    *gobreaker.TwoStepCircuitBreaker[struct{}]
	timeout time.Duration // how long it stays open
	overdue time.Duration // when a probe that nobody reported counts as failed
	epoch   time.Time     // phase counts from here, so that a changed wall clock does no harm

	// phase mirrors the gate's state: phaseClosed, phaseHalfOpen, or when the
	// open gate's first probe is due, in nanoseconds since epoch. The gate tells
	// it under its own mutex, where asking the gate anything would deadlock.
	phase atomic.Int64
	// told is the state last logged.
	told atomic.Int32
	log  *slog.Logger
}

const (
	phaseClosed   int64 = 0
	phaseHalfOpen int64 = -1
)

// breakerOptions are what the breakers of a table differ in.
type breakerOptions struct {
	slowest time.Duration // the longest time after which an attempt can still fail
	jitter  float64       // in [-1, 1), of breakerJitter
	log     *slog.Logger
}

func newBreaker(o breakerOptions) *breaker {
	b := &breaker{
		timeout: time.Duration(float64(breakerTimeout) * (1 + breakerJitter*o.jitter)),
		overdue: o.slowest,
		epoch:   time.Now(),
		log:     o.log,
	}
	window, bucket := windowOf(o.slowest)
	b.gate = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   breakerProbes,
		Interval:      window,
		BucketPeriod:  bucket,
		Timeout:       b.timeout,
		ReadyToTrip:   readyToTrip,
		OnStateChange: func(_ string, _, to gobreaker.State) { b.enter(to) },
		IsSuccessful:  func(err error) bool { return effectOf(err) == effectSuccess },
		IsExcluded:    func(err error) bool { return effectOf(err) == effectExcluded },
	})
	return b
}

// windowOf returns the rolling window and its buckets for attempts that take up
// to slowest to fail. The gate counts an outcome in the bucket in which its
// attempt began and forgets it with that bucket: a window that is not longer
// than the slowest failure never sees one, and never trips.
func windowOf(slowest time.Duration) (window, bucket time.Duration) {
	window = breakerWindow + slowest
	bucket = max(breakerBucket, window/breakerBuckets)
	return window, bucket
}

// readyToTrip decides whether what a closed breaker has seen is enough to open it.
func readyToTrip(c gobreaker.Counts) bool {
	if c.ConsecutiveFailures >= breakerStreak {
		return true
	}
	attempts := c.Requests - min(c.Requests, c.TotalExclusions)
	return attempts >= breakerMinimum && float64(c.TotalFailures) >= breakerRate*float64(attempts)
}

// verdict carries an Outcome through the gate, which takes errors.
type verdict Outcome

// Error implements error.
func (v verdict) Error() string { return Outcome(v).String() }

// effectOf is what the gate is told about an outcome. All it is ever given are verdicts.
func effectOf(err error) effect {
	v, ok := err.(verdict) //nolint:errorlint // the gate hands back the very value that report gave it
	if !ok {
		return effectExcluded
	}
	return Outcome(v).row().effect
}

// enter mirrors the gate's new state. It runs under the gate's mutex.
func (b *breaker) enter(to gobreaker.State) {
	switch to {
	case gobreaker.StateClosed:
		b.phase.Store(phaseClosed)
	case gobreaker.StateHalfOpen:
		b.phase.Store(phaseHalfOpen)
	case gobreaker.StateOpen:
		b.phase.Store(int64(time.Since(b.epoch) + b.timeout))
	}
}

// ready reports whether an attempt would probably be admitted. It costs one
// atomic load as long as the upstream is well.
func (b *breaker) ready() bool {
	switch due := b.phase.Load(); due {
	case phaseClosed:
		return true
	case phaseHalfOpen:
		c := b.gate.Counts()
		return c.Requests-min(c.Requests, c.TotalExclusions) < breakerProbes
	default:
		return int64(time.Since(b.epoch)) > due
	}
}

// state is what operators are shown. An open breaker whose probe is due is half
// open, whether or not a probe has come.
func (b *breaker) state() State {
	switch due := b.phase.Load(); {
	case due == phaseClosed:
		return StateReady
	case due == phaseHalfOpen, int64(time.Since(b.epoch)) > due:
		return StateHalfOpen
	}
	return StateOpen
}

// probeIn returns how long it takes until the next attempt may be admitted, as
// far as is known: a half-open breaker has all its probes out, and the first to
// come back decides.
func (b *breaker) probeIn() time.Duration {
	due := b.phase.Load()
	if due == phaseClosed || due == phaseHalfOpen {
		return 0
	}
	return max(0, time.Duration(due)-time.Since(b.epoch))
}

// admit asks for a permit. On true the attempt may go ahead and must report.
func (b *breaker) admit(p *permit) bool {
	done, err := b.gate.Allow()
	b.tell()
	if err != nil {
		return false
	}
	p.breaker, p.done = b, done
	// A permit that is never reported would occupy a half-open gate's slot for
	// ever. A closed gate has no slots, so only probes need watching. If the gate
	// left the half-open state since Allow, the permit is of an older generation,
	// which the gate ignores.
	if b.phase.Load() == phaseHalfOpen {
		p.watch(b.overdue)
	}
	return true
}

// tell logs a change of state once, outside the gate's mutex: a log that blocks
// must not stop the traffic of a whole upstream.
func (b *breaker) tell() {
	now := int32(min(1, max(-1, b.phase.Load()))) // closed 0, half open -1, open 1
	if b.told.Load() == now || b.told.Swap(now) == now {
		return
	}
	switch {
	case now < 0:
		b.log.Info("circuit breaker half open: probing")
	case now > 0:
		b.log.Warn("circuit breaker opened: the upstream keeps failing", telemetry.FieldDuration, b.timeout.Milliseconds())
	default:
		b.log.Info("circuit breaker closed: the upstream works again")
	}
}

// permit is the right to make one attempt, to be reported once.
type permit struct {
	breaker  *breaker
	done     func(error)
	reported atomic.Bool
	watchdog *time.Timer // probes only
}

// watch makes a probe that nobody reported in time count as failed.
func (p *permit) watch(overdue time.Duration) {
	p.watchdog = time.AfterFunc(overdue, func() {
		if p.claim() {
			p.breaker.log.Warn("a probe was never reported and counts as failed")
			p.settle(OutcomeTimeout)
		}
	})
}

// report hands the outcome to the breaker, unless the permit was reported before.
func (p *permit) report(o Outcome) {
	if !p.claim() {
		return
	}
	if p.watchdog != nil {
		p.watchdog.Stop()
	}
	p.settle(o)
}

// claim is true for the first caller only: the gate would count each report.
func (p *permit) claim() bool { return !p.reported.Swap(true) }

func (p *permit) settle(o Outcome) {
	p.done(verdict(o))
	p.breaker.tell()
}
