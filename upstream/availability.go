package upstream

import (
	"fmt"
	"time"
)

// The predicates that an available candidate meets.

func (c *Candidate) isTrusted(now instant, by tenant) bool {
	a := c.lane.account
	return !a.quarantine.holds(now) && !a.ban.holds(now, by)
}

func (c *Candidate) isRested(now instant) bool {
	return !c.lane.cooldown.holds(now) && !c.lane.account.cooldown.holds(now)
}

func (c *Candidate) hasRoom() bool { return !c.lane.account.full(c.Endpoint.MaxConcurrent) }

func (c *Candidate) isHealthy(now instant, kind Kind, when admission) bool {
	l := c.lane
	return l.breaker.ready(now, when) && l.address.breaker.ready(now, when) && (kind == Plain || l.streams.ready(now, when))
}

// awaitsProbes reports whether an available candidate lets probes through only: one
// of its breakers, or its credential, which was in quarantine.
func (c *Candidate) awaitsProbes(kind Kind) bool {
	l := c.lane
	return l.account.quarantine.strikes.Load() != 0 || !l.breaker.isClosed() || !l.address.breaker.isClosed() || kind == Streamed && !l.streams.isClosed()
}

// mayBeAsked is all but healthy: whoever is not must be left alone, however bad
// the others are.
func (c *Candidate) mayBeAsked(now instant, by tenant) bool {
	return c.isTrusted(now, by) && c.isRested(now) && c.hasRoom()
}

// available reports whether the candidate can take a request now.
func (c *Candidate) available(now instant, by asker) bool {
	return c.isHealthy(now, by.kind, onTime) && c.mayBeAsked(now, by.tenant)
}

// healthyIn returns how long it takes until none of the breakers refuses.
func (c *Candidate) healthyIn(now instant, kind Kind, when admission) time.Duration {
	l := c.lane
	wait := max(l.breaker.wait(now, when), l.address.breaker.wait(now, when))
	if kind == Streamed {
		wait = max(wait, l.streams.wait(now, when))
	}
	return wait
}

// mayBeAskedIn is the same for all but the breakers; a full candidate may have room at once.
func (c *Candidate) mayBeAskedIn(now instant, by tenant) time.Duration {
	l := c.lane
	end := max(l.cooldown.end.Load(), l.account.cooldown.end.Load(), l.account.quarantine.end.Load())
	if l.account.ban.holds(now, by) {
		end = max(end, l.account.ban.end.Load())
	}
	return now.until(instant(end))
}

// Recovery.
const (
	// rampTime is how long a recovered candidate takes to its full share of the traffic.
	rampTime = 30 * time.Second
	// rampStart is the share with which it begins.
	rampStart = 0.05
)

// ramp is the share of its traffic that the candidate gets: less than 1 for a
// while after it has recovered.
func (c *Candidate) ramp(now instant, kind Kind) float64 {
	l := c.lane
	last := max(l.breaker.closedAt.Load(), l.address.breaker.closedAt.Load(), l.account.quarantine.clearedAt.Load())
	if kind == Streamed {
		last = max(last, l.streams.closedAt.Load())
	}
	if last == 0 || int64(now)-last >= int64(rampTime) {
		return 1
	}
	return max(rampStart, float64(int64(now)-last)/float64(rampTime))
}

// standing is what operators are shown: the state, in a few words why, and for
// how long the candidate is still left alone.
func (c *Candidate) standing(now instant) (s State, why string, wait time.Duration) {
	if c.Endpoint.Off() {
		return StateOff, "none of its api_keys is set", 0
	}
	l := c.lane
	switch {
	case l.account.quarantine.strikes.Load() > 0:
		return StateQuarantined, l.account.quarantine.why(), now.until(instant(l.account.quarantine.end.Load()))
	case l.account.ban.isOn(now) && l.account.answeredAt.Load() <= l.account.ban.begun.Load():
		return StateQuarantined, "the provider forbids what is asked with the credential", now.until(instant(l.account.ban.end.Load()))
	case l.account.cooldown.holds(now):
		return StateCooling, Outcome(l.account.cooldown.cause.Load()).String(), now.until(instant(l.account.cooldown.end.Load())) //nolint:gosec // an Outcome
	case l.cooldown.holds(now):
		return StateCooling, Outcome(l.cooldown.cause.Load()).String(), now.until(instant(l.cooldown.end.Load())) //nolint:gosec // an Outcome
	}
	if s, why, wait := l.sickness(now); s != StateReady {
		return s, why, wait
	}
	if !c.hasRoom() {
		return StateFull, fmt.Sprintf("max_concurrent of %d is reached", c.Endpoint.MaxConcurrent), 0
	}
	if l.account.ban.isOn(now) {
		return StateReady, "the provider forbids what some tenants ask: they are not sent here", 0
	}
	if share := c.ramp(now, Streamed); share < 1 {
		return StateReady, fmt.Sprintf("recovered: gets %.0f %% of its share", 100*share), 0
	}
	return StateReady, "", 0
}

// sickness is the state of the breaker that says most: an open one before one
// that is half open, the address's before a model's. wait is the longest of all.
func (l *lane) sickness(now instant) (worst State, why string, wait time.Duration) {
	worst = StateReady
	for _, b := range [...]struct {
		breaker *breaker
		why     string
	}{
		{l.address.breaker, "the address keeps failing"},
		{l.breaker, "keeps failing"},
		{l.streams, "its streams break off; plain answers are still asked for"},
	} {
		s, w := b.breaker.state(now)
		if s != StateReady && worst != StateOpen && s != worst {
			worst, why = s, b.why
		}
		wait = max(wait, w)
	}
	return worst, why, wait
}
