package ratelimit

import (
	"context"
	"errors"
	"time"
)

// tradeTimeout bounds an order. It is a small part of what a person notices.
const tradeTimeout = 100 * time.Millisecond

// waiter is a request that cannot be decided without the bank.
type waiter struct {
	permit *Permit
	ask    ask
	done   chan news // takes one value at a time
}

// news is what a waiter is told.
type news uint8

const (
	decided  news = iota // the permit is filled
	yourTurn             // to make the next order, for all who wait
)

// await has a request decided by the bank. g is locked, and unlocked when it returns. Of all who wait one asks for all,
// and while an order is under way nobody makes another.
func (g *group) await(ctx context.Context, p *Permit, a *ask) {
	w := &waiter{permit: p, ask: *a, done: make(chan news, 1)}
	for i := range a.needs[:a.count] {
		a.needs[i].account.open++ // whoever waits must find it again
	}
	g.waiting = append(g.waiting, w)
	if g.trading {
		g.mu.Unlock()
		if <-w.done == decided {
			return
		}
		g.mu.Lock()
	}
	g.trading = true
	t := g.draw(g.limiter.micros())
	g.mu.Unlock()
	// The order is for others, too, who still wait when the client of this request has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tradeTimeout)
	defer cancel()
	t.carryOut(ctx)
}

// errNoAnswer is what became of an order that ended in a panic: those who wait for it must not wait for ever.
var errNoAnswer = errors.New("limits: the order was given up")

// carryOut asks the bank, and tells those who wait.
func (t *trade) carryOut(ctx context.Context) {
	err := errNoAnswer
	defer func() {
		t.order.Err = err
		t.group.mu.Lock()
		defer t.group.mu.Unlock()
		t.group.settle(t)
		t.group.handOver()
	}()
	t.group.limiter.bank.Trade(ctx, &t.order)
	err = t.order.Err
}

// release sends a waiter on its way.
func (g *group) release(w *waiter, v verdict, now int64) {
	if w.ask.purpose != look {
		g.finish(w.permit, &w.ask, v, now)
	}
	for i := range w.ask.needs[:w.ask.count] {
		w.ask.needs[i].account.open--
	}
	w.done <- decided
}

// handOver decides for those who have come meanwhile, as far as the bank need not be asked, and has the first of the
// others ask for all. g is locked.
func (g *group) handOver() {
	g.trading = false
	now := g.limiter.micros()
	waiting := g.waiting
	g.waiting = nil
	for _, w := range waiting {
		g.restore(&w.ask)
		if v := g.try(&w.ask, now); v != lacking {
			g.release(w, v, now)
			continue
		}
		g.waiting = append(g.waiting, w)
	}
	if len(g.waiting) > 0 {
		g.trading = true
		g.waiting[0].done <- yourTurn // what the flusher wanted goes with it
	} else if g.missed {
		g.hurry()
	}
	g.missed = false
}
