package upstream

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// What is known of an upstream stands at three levels: of its address, of the
// credential used there, and of the model asked for through both. Every part is
// safe for concurrent use, and outlives the table in which it was first built.

// address is what is known of one base URL of a provider.
type address struct {
	label   atomic.Pointer[string]
	breaker *breaker
	models  atomic.Int32 // how many are asked for there
	// failing has a bit for each model whose answers failed since the last good one
	// of any; all bits when there was no connection.
	failing atomic.Uint64

	mu   sync.Mutex
	bits map[string]uint64 // of the models
}

// bitOf returns a model's bit. More models than there are bits share some.
func (a *address) bitOf(model string) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	bit, ok := a.bits[model]
	if !ok {
		bit = 1 << (len(a.bits) % 64)
		a.bits[model] = bit
	}
	return bit
}

// tripsWide opens an address's breaker. When only one of several models fails
// there, it is that model that is sick, and the others would suffer for it.
func (a *address) tripsWide(b *breaker, c gobreaker.Counts) bool {
	wide := bits.OnesCount64(a.failing.Load()) >= int(min(2, a.models.Load()))
	return wide && tripsOnFailures(b, c)
}

// report takes the outcome of an attempt at one of the address's models in.
func (a *address) report(by *Attempt, o Outcome, now instant) {
	e := o.row().address
	switch {
	case o == OutcomeUnreachable:
		a.failing.Store(^uint64(0))
	case e == effectFailure:
		a.failing.Or(by.lane.model)
	case e == effectSuccess && a.failing.Load() != 0:
		a.failing.Store(0)
	}
	by.permits.address.report(e, now, by.who.bit())
}

// account is what is known of one credential at an address.
type account struct {
	cooldown   cooldown
	quarantine quarantine
	ban        ban
	pending    atomic.Int64
	answeredAt atomic.Int64 // the instant of the last answer
}

// enter takes a place among the requests in progress, of which there are at most
// that many; 0: any number.
func (a *account) enter(most int64) bool {
	if n := a.pending.Add(1); most > 0 && n > most {
		a.pending.Add(-1)
		return false
	}
	return true
}

// full reports whether no place is free.
func (a *account) full(most int64) bool { return most > 0 && a.pending.Load() >= most }

// answered notes that an attempt shows the credential to be good, and reports
// whether that ends a quarantine. An answer to what was asked before the refusal
// shows nothing.
func (a *account) answered(by *Attempt, now instant) bool {
	a.answeredAt.Store(int64(now))
	a.ban.answered(by.who)
	if !by.trial && int64(by.began) <= a.quarantine.struckAt.Load() {
		return false
	}
	return a.quarantine.clear(now)
}

// lane is what is known of one endpoint when it is asked for one upstream model.
type lane struct {
	label    atomic.Pointer[string] // as it is called at present
	address  *address
	account  *account
	model    uint64   // the model's bit in address.failing
	breaker  *breaker // of answers
	streams  *breaker // of streams that had begun
	cooldown cooldown
	pending  atomic.Int64
	first    latency // to the first event of a stream
	answer   latency // to the end of a plain answer
	fault    fault
	tell     teller // of cooldowns and quarantines
}

// fault is the last outcome that was the provider's fault: how, and when in
// milliseconds, in one word.
type fault struct{ word atomic.Uint64 }

func (f *fault) note(now instant, o Outcome) {
	f.word.Store(uint64(time.Duration(now).Milliseconds())<<8 | uint64(o)) //nolint:gosec // an instant is never negative
}

func (f *fault) read() (o Outcome, at instant, ok bool) {
	word := f.word.Load()
	return Outcome(word), instant(time.Duration(word>>8) * time.Millisecond), word != 0 //nolint:gosec // see note
}

// latencyOf is the mean that is of use for a kind of request. Plain answers come
// as a whole: what they take says nothing about first events.
func (l *lane) latencyOf(kind Kind) *latency {
	if kind == Streamed {
		return &l.first
	}
	return &l.answer
}
