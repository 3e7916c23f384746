package upstream

import (
	"sync/atomic"
	"time"
)

// permit is the right to make one attempt, to be reported once. The zero value
// holds nothing.
type permit struct {
	breaker    *breaker
	generation uint32
	number     uint64 // of the breaker's attempts; probes have none
	probe      *probe // nil: the breaker was closed
}

// probe is the place that an attempt takes in a half-open breaker.
type probe struct {
	over     atomic.Bool
	watchdog *time.Timer
}

// watch gives a probe that nobody reports within a time its effect: it would
// occupy its place for ever.
func (p *permit) watch(overdue time.Duration, e effect) {
	if p.probe == nil {
		return
	}
	p.probe.rest()
	watched := *p
	p.probe.watchdog = time.AfterFunc(overdue, func() { watched.settle(e) })
}

// rest ends the watch.
func (p *probe) rest() {
	if p.watchdog != nil {
		p.watchdog.Stop()
	}
}

// undo gives back a permit with which nothing was asked.
func (p *permit) undo() {
	switch b := p.breaker; {
	case b == nil:
	case p.probe == nil:
		b.attempts.end(p.number)
	default:
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.generation.Load() == p.generation {
			b.places.Add(1)
		}
	}
}

// report tells the breaker how the attempt ended. Only the first report of a
// probe counts; every other permit must be reported once.
func (p *permit) report(e effect, now instant, who tenants) {
	switch {
	case p.breaker == nil:
	case p.probe == nil:
		p.breaker.count(p, outcomeOf{e, now, who})
	default:
		p.probe.rest()
		p.settle(e)
	}
}

// settle ends a probe, unless others have closed or opened the breaker since it was
// let through: then it has nothing new to say, and its place is gone.
func (p *permit) settle(e effect) {
	if p.probe.over.Swap(true) {
		return
	}
	b := p.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.generation.Load() != p.generation:
	case e == effectExcluded:
		// Not at once: where clients leave before there is an answer, a sick upstream
		// would be sent one after the other.
		b.nextPlace.Store(int64(b.clock.now().after(breakerTimeout / breakerProbes)))
		b.places.Add(1)
	default:
		b.decide(e)
	}
}
