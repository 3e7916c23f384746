package upstream

import (
	"math"
	"time"

	"pgregory.net/rapid"
)

// sickness is what tests know of the state that they brought a model into: a
// plain account of who may be asked.
type sickness struct {
	breakers map[*breaker]*breakerState
	accounts map[*account]*accountState
	cooling  map[*lane]bool
	ramp     float64 // the share of whoever has recovered
}

// awaitsProbes says whether the candidate lets probes through only.
func (s sickness) awaitsProbes(c *Candidate, kind Kind) bool {
	for _, b := range s.breakersOf(c, kind) {
		if b.probed {
			return true
		}
	}
	return s.accounts[c.lane.account].trial
}

// share is how much of its traffic of a kind the candidate gets.
func (s sickness) share(c *Candidate, kind Kind) float64 {
	for _, b := range s.breakersOf(c, kind) {
		if b.recent {
			return s.ramp
		}
	}
	if s.accounts[c.lane.account].recent {
		return s.ramp
	}
	return 1
}

type breakerState struct {
	places int // how many attempts it lets through
	early  bool
	probed bool // it lets probes through only
	recent bool // it has recovered
}

type accountState struct {
	rests  bool
	trial  bool // the next attempt is the only one
	recent bool // its quarantine is over
	filled int64
	room   int64
}

// admits says whether the candidate may be asked.
func (s sickness) admits(c *Candidate, kind Kind, when admission) bool {
	if c.Endpoint.Off() {
		return false
	}
	for _, b := range s.breakersOf(c, kind) {
		if b.places == 0 && (when == onTime || !b.early) {
			return false
		}
	}
	a := s.accounts[c.lane.account]
	return !a.rests && a.room > 0 && !s.cooling[c.lane]
}

// take notes an attempt.
func (s sickness) take(c *Candidate, kind Kind) {
	for _, b := range s.breakersOf(c, kind) {
		if b.places == 0 && b.early {
			b.places, b.early = breakerProbes, false
		}
		b.places--
	}
	a := s.accounts[c.lane.account]
	a.room--
	a.rests = a.trial
}

func (s sickness) breakersOf(c *Candidate, kind Kind) []*breakerState {
	all := []*breakerState{s.breakers[c.lane.address.breaker], s.breakers[c.lane.breaker]}
	if kind == Streamed {
		all = append(all, s.breakers[c.lane.streams])
	}
	return all
}

// someSickness brings everything in a model into a state of any kind.
func someSickness(r *rapid.T, m *Model) sickness {
	s := sickness{make(map[*breaker]*breakerState), make(map[*account]*accountState), make(map[*lane]bool), rampStart}
	then := []func(){func() {}}
	for _, c := range m.candidates {
		l := c.lane
		if l == nil {
			continue
		}
		l.address.failing.Store(math.MaxUint64) // whoever fails there
		for _, b := range []*breaker{l.address.breaker, l.breaker, l.streams} {
			if s.breakers[b] == nil {
				s.breakers[b] = new(breakerState)
				then = append(then, someBreaker(r, c, b, s.breakers[b]))
			}
		}
		if s.accounts[l.account] == nil {
			s.accounts[l.account] = &accountState{room: math.MaxInt64}
			then = append(then, someAccount(r, c, s.accounts[l.account]))
		}
	}
	time.Sleep(7 * time.Minute) // every quarantine and every open breaker is over
	for _, f := range then {
		f()
	}
	for _, c := range m.candidates {
		if l := c.lane; l != nil && rapid.IntRange(0, 4).Draw(r, "cools") == 0 {
			l.cooldown.begin(c.clock.now(), OutcomeThrottled, 30*time.Second)
			s.cooling[l] = true
		}
	}
	if rapid.Bool().Draw(r, "later") {
		time.Sleep(12 * time.Second) // what opened a second time may be passed as a last resort
		s.ramp = 0.4
	} else {
		for _, b := range s.breakers {
			b.early = false
		}
	}
	return s
}

// someBreaker opens a breaker, or not, and returns what is to be done with it later.
func someBreaker(r *rapid.T, c *Candidate, b *breaker, s *breakerState) func() {
	s.places = math.MaxInt
	what := rapid.SampledFrom([]string{"closed", "closed", "closed", "open", "due", "one probe out", "probes out", "recovered"}).Draw(r, "breaker")
	if what == "closed" {
		return func() {}
	}
	force(r, c, b, breakStreams) // enough for every rule
	return func() {
		s.probed = what != "recovered"
		s.recent = !s.probed
		probe := func(e effect) {
			var p permit
			if !b.admit(&p, c.clock.now(), onTime) {
				r.Fatalf("a half-open breaker admits less than %d probes", breakerProbes)
			}
			settled(&p, e)
		}
		held := func(n int) {
			for range n {
				if !b.admit(new(permit), c.clock.now(), onTime) {
					r.Fatalf("a half-open breaker admits less than %d probes", breakerProbes)
				}
			}
		}
		switch what {
		case "open": // for 14 to 26 s
			probe(effectFailure)
			s.places, s.early = 0, true
		case "due":
			s.places = breakerProbes
		case "one probe out":
			held(1)
			s.places = breakerProbes - 1
		case "probes out":
			held(breakerProbes)
			s.places = 0
		case "recovered":
			for range breakerProbes {
				probe(effectSuccess)
			}
		}
	}
}

// someAccount does the same for a credential.
func someAccount(r *rapid.T, c *Candidate, s *accountState) func() {
	a := c.lane.account
	if most := c.Endpoint.MaxConcurrent; most > 0 {
		s.filled = rapid.Int64Range(0, most).Draw(r, "pending")
		s.room = most - s.filled
		a.pending.Store(s.filled)
	}
	what := rapid.SampledFrom([]string{"well", "well", "well", "cooling", "quarantined", "trial due", "trial out", "cleared"}).Draw(r, "account")
	if what == "trial due" || what == "trial out" || what == "cleared" {
		a.quarantine.strike(c.clock.now(), false)
	}
	return func() {
		now := c.clock.now()
		switch what {
		case "cooling":
			a.cooldown.begin(now, OutcomeQuota, 30*time.Second)
			s.rests = true
		case "quarantined":
			a.quarantine.strike(now, false)
			s.rests = true
		case "trial due":
			s.trial = true
		case "trial out":
			a.quarantine.admit(now)
			s.rests = true
		case "cleared":
			a.quarantine.clear(now)
			s.recent = true
		}
	}
}
