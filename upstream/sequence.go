package upstream

import (
	"math/bits"
	"sync/atomic"
)

// sequenceLength is how many attempts back it is known which are undecided.
const sequenceLength = 1024

// sequence numbers attempts in the order in which they begin, and knows which of
// the last ones are undecided. Failures often come sooner than answers: of
// attempts that begin together, the first to be decided are no fair sample. The
// zero value is empty. It is safe for concurrent use.
type sequence struct {
	last      atomic.Uint64
	undecided [sequenceLength / 64]atomic.Uint64 // a bit for each, by its number
}

// begin returns the next attempt's number.
func (s *sequence) begin() uint64 {
	n := s.last.Add(1)
	s.word(n).Or(1 << (n % 64))
	return n
}

// end notes that an attempt is decided, whatever came of it.
func (s *sequence) end(n uint64) { s.word(n).And(^uint64(1 << (n % 64))) }

func (s *sequence) word(n uint64) *atomic.Uint64 { return &s.undecided[n/64%uint64(len(s.undecided))] }

// between returns how many are undecided of those from the first to the last,
// both included, as far back as is known.
func (s *sequence) between(first, last uint64) int {
	if last >= sequenceLength {
		first = max(first, last-sequenceLength+1)
	}
	count := 0
	for n := first; n <= last; {
		upTo := min(last, n|63)
		mask := ^uint64(0) >> (63 - (upTo - n)) << (n % 64)
		count += bits.OnesCount64(s.word(n).Load() & mask)
		n = upTo + 1
	}
	return count
}
