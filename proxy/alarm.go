package proxy

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Why an upstream request was cancelled. They are causes of its context.
var (
	errFirstToken = errors.New("the provider gave no first token in time")
	errAnswerLate = errors.New("the provider gave no complete answer in time")
	errIdle       = errors.New("the provider fell silent")
	errTotal      = errors.New("the request took longer than its model allows")
	errShutdown   = errors.New("the gateway is shutting down")
	errFinished   = errors.New("the request is over")
)

// alarm cancels an upstream request when a time limit passes. It is one timer
// for the whole attempt: setting it again only moves the due time, and the
// timer looks at that when it fires, so an event costs no timer operation.
type alarm struct {
	cancel   context.CancelCauseFunc
	deadline time.Time // of the whole request, all attempts

	mu      sync.Mutex
	timer   *time.Timer
	firesAt time.Time // when the timer looks at due
	due     time.Time
	cause   error
	over    bool
}

// newAlarm returns an alarm that first goes off at the deadline.
func newAlarm(cancel context.CancelCauseFunc, deadline time.Time) *alarm {
	a := &alarm{cancel: cancel, deadline: deadline, due: deadline, firesAt: deadline, cause: errTotal}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = time.AfterFunc(time.Until(deadline), a.fire)
	return a
}

// set moves the alarm to d from now, at most to the deadline.
func (a *alarm) set(d time.Duration, cause error) {
	a.move(time.Now().Add(d), cause)
}

// rest leaves only the deadline: nobody is waited for but the client.
func (a *alarm) rest() { a.move(a.deadline, errTotal) }

func (a *alarm) move(due time.Time, cause error) {
	if due.After(a.deadline) {
		due, cause = a.deadline, errTotal
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	// A timer that fires early looks at due and waits on; one that would fire
	// late has to be brought forward.
	if due.Before(a.firesAt) {
		a.firesAt = due
		a.timer.Reset(time.Until(due))
	}
	a.due, a.cause = due, cause
}

func (a *alarm) fire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	if wait := time.Until(a.due); wait > 0 {
		a.firesAt = a.due
		a.timer.Reset(wait)
		return
	}
	a.over = true
	a.cancel(a.cause)
}

// stop ends the alarm; it will not go off any more.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.timer.Stop()
}
