package proxy

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Why an upstream request was cancelled. They are causes of its context.
var (
	errConnectLate = errors.New("the provider could not be reached in time")
	errFirstToken  = errors.New("the provider gave no first token in time")
	errAnswerLate  = errors.New("the provider gave no complete answer in time")
	errIdle        = errors.New("the provider fell silent")
	errTotal       = errors.New("the request took longer than its model allows")
	errShutdown    = errors.New("the gateway is shutting down")
	errFinished    = errors.New("the request is over")
	errClientGone  = errors.New("the client left")
	errDrainOver   = errors.New("the client left, and the answer did not end within the time it is read on")
)

// heartbeat is what goes to the client of a stream whose provider is silent.
type heartbeat interface {
	// beat writes. Nobody else does at that time: the alarm is waited with.
	beat() error
	// clientLeft is told when beat could not.
	clientLeft()
}

// glance is how often a waiting alarm looks at whether the stream must end.
const glance = time.Second

// severable is a stream that may have to end before its time.
type severable interface {
	// severed is asked under the alarm's lock, while the stream's goroutine waits.
	severed() bool
}

// alarm cancels an upstream request when a time limit passes. It is one timer
// for the whole attempt: setting it again only moves the due time, and the
// timer looks at that when it fires, so an event costs no timer operation.
//
// While a stream's goroutine waits for its provider the alarm also sends
// heartbeats, and keeps their writes apart: they happen only between wait and
// rest, and the goroutine, which writes after rest, waits there for one under way.
// Then, too, it looks at whether the stream's key was severed: nobody else would
// before the provider says something.
type alarm struct {
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	still    sync.Cond // signalled when beating ends
	beating  bool
	deadline time.Time // of the whole request, all attempts
	last     error     // the cause at the deadline
	timer    *time.Timer
	firesAt  time.Time // when the timer looks at due, beatAt and lookAt
	due      time.Time
	cause    error
	over     bool

	heart  heartbeat     // nil: none
	every  time.Duration // between two beats
	beaten time.Time     // when the last one was sent
	beatAt time.Time     // zero: not now

	stream severable // nil: never severed
	looked time.Time // when it was last asked
	lookAt time.Time // zero: not now
}

// newAlarm returns an alarm that first goes off at the deadline.
func newAlarm(cancel context.CancelCauseFunc, deadline time.Time) *alarm {
	a := &alarm{cancel: cancel, deadline: deadline, last: errTotal, due: deadline, firesAt: deadline, cause: errTotal}
	a.still.L = &a.mu
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = time.AfterFunc(time.Until(deadline), a.fire)
	return a
}

// set moves the alarm to d from now, at most to the deadline.
func (a *alarm) set(d time.Duration, cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.move(time.Now().Add(d), cause)
}

// rest leaves only the deadline: nobody is waited for but the client. False: the
// alarm is over, and the upstream request cancelled.
func (a *alarm) rest() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.quieten()
	a.move(a.deadline, a.last)
	return !a.over
}

// quieten ends this silence's heartbeats and looks. It is called under the lock.
func (a *alarm) quieten() {
	a.beatAt, a.lookAt = time.Time{}, time.Time{}
	for a.beating {
		a.still.Wait()
	}
}

// hearten makes the alarm send a heartbeat whenever it is waited with for so long.
func (a *alarm) hearten(h heartbeat, every time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if every > 0 {
		a.heart, a.every = h, every
	}
}

// watch makes the alarm look at the stream about once a second while it is waited with.
func (a *alarm) watch(stream severable) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stream = stream
}

// hush ends the heartbeats and the looks: when it returns none is under way.
func (a *alarm) hush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heart, a.stream = nil, nil
	a.quieten()
}

// wait moves the alarm to the end of a silence that began at since.
func (a *alarm) wait(since time.Time, limit time.Duration, cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.heart != nil {
		a.beatAt = later(since, a.beaten).Add(a.every)
	}
	if a.stream != nil {
		a.lookAt = later(since, a.looked).Add(glance)
	}
	a.move(since.Add(limit), cause)
}

// shorten brings the deadline forward to d from now. False: the alarm is over.
func (a *alarm) shorten(d time.Duration, cause error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if deadline := time.Now().Add(d); deadline.Before(a.deadline) {
		a.deadline, a.last = deadline, cause
	}
	a.heart, a.beatAt = nil, time.Time{}
	a.stream, a.lookAt = nil, time.Time{}
	a.move(a.due, a.cause)
	return !a.over
}

// move is called under the lock.
func (a *alarm) move(due time.Time, cause error) {
	if due.After(a.deadline) {
		due, cause = a.deadline, a.last
	}
	if a.over {
		return
	}
	a.due, a.cause = due, cause
	// A timer that fires early looks at due and waits on; one that would fire
	// late has to be brought forward.
	if next := a.next(); next.Before(a.firesAt) {
		a.firesAt = next
		a.timer.Reset(time.Until(next))
	}
}

// next is when there is something to do.
func (a *alarm) next() time.Time {
	next := a.due
	if a.heart != nil && !a.beatAt.IsZero() && a.beatAt.Before(next) {
		next = a.beatAt
	}
	if !a.lookAt.IsZero() && a.lookAt.Before(next) {
		next = a.lookAt
	}
	return next
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (a *alarm) fire() {
	if heart, err := a.ring(); err != nil {
		heart.clientLeft() // not under the lock, which it may take
	}
}

// ring does what is due. The error is that of a heartbeat.
func (a *alarm) ring() (heartbeat, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return nil, nil
	}
	now := time.Now()
	switch {
	case a.look(now): // first: a provider is not blamed for what the key's end has done
		a.over = true
		a.cancel(errKeyRevoked)
		return nil, nil
	case !now.Before(a.due):
		a.over = true
		a.cancel(a.cause)
		return nil, nil
	}
	var err error
	heart := a.heart
	if heart != nil && !a.beatAt.IsZero() && !now.Before(a.beatAt) {
		err = a.beat(heart)
	}
	if !a.over {
		a.firesAt = a.next()
		a.timer.Reset(time.Until(a.firesAt))
	}
	return heart, err
}

// look reports whether the stream must end. It costs so little that it is done
// whenever the timer fires.
func (a *alarm) look(now time.Time) bool {
	if a.lookAt.IsZero() {
		return false
	}
	a.looked, a.lookAt = now, now.Add(glance)
	return a.stream.severed()
}

// beat writes without the lock: a client that accepts nothing must hold up nobody
// but its own stream.
func (a *alarm) beat(heart heartbeat) error {
	a.beating = true
	a.mu.Unlock()
	err := heart.beat()
	a.mu.Lock()
	a.beating = false
	a.still.Broadcast()
	a.beaten = time.Now()
	if !a.beatAt.IsZero() {
		a.beatAt = a.beaten.Add(a.every)
	}
	return err
}

// stop ends the alarm; it will not go off any more.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.timer.Stop()
}
