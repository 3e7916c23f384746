package upstream

import "github.com/sony/gobreaker/v2"

// rule is when a breaker opens.
type rule struct {
	trips  func(b *breaker, counts gobreaker.Counts) bool
	credit int
}

// streak is a run of failures, as they came, without a good answer between them.
type streak struct {
	length         int
	earliest, last uint64 // the numbers of those that began first and last
	who            tenants
}

func (s *streak) extend(number uint64, who tenants) {
	if s.length == 0 {
		s.earliest, s.last = number, number
	}
	s.length++
	s.who |= who
	s.earliest, s.last = min(s.earliest, number), max(s.last, number)
}

// tripsOnFailures opens a breaker whose upstream keeps failing. What is undecided
// may yet be answered, if it began after the last one that was: where failures are
// quick and answers slow, a few failures come in a row although most attempts
// will succeed. Nor is it opened for what a single tenant asks.
func tripsOnFailures(b *breaker, c gobreaker.Counts) bool {
	s, open := &b.streak, b.answeredTo+1
	needed := breakerLongStreak
	if reaches(breakerRate, int(c.TotalFailures), int(c.Requests)) {
		needed = breakerStreak
	}
	if s.length >= needed && b.witnesses.agree(s.who) &&
		reaches(breakerInARow, s.length, s.length+b.attempts.between(max(s.earliest, open), s.last)) {
		return true
	}
	return c.Requests >= breakerMinimum && b.witnesses.agree(b.witnesses.failures()) &&
		reaches(breakerRate, int(c.TotalFailures), int(c.Requests)+b.attempts.between(open, b.attempts.last.Load()))
}

// reaches reports whether so many failures are at least that share of all.
func reaches(share float64, failures, all int) bool { return float64(failures) >= share*float64(all) }

// tripsOnBreaks opens a breaker whose streams keep breaking off.
func tripsOnBreaks(b *breaker, c gobreaker.Counts) bool {
	return c.TotalFailures >= breakMinimum && c.Requests >= breakStreams && b.witnesses.agree(b.witnesses.failures()) &&
		reaches(breakRate, int(c.TotalFailures), int(c.Requests))
}
