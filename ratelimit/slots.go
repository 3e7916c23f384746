package ratelimit

import "time"

const (
	// renewAfter is when a replica says again which slots it holds, in microseconds.
	renewAfter = int64(slotTTL/3) / int64(time.Microsecond)
	// slotPause is how long a replica that was refused a slot asks for none, in microseconds: shorter than secondLook.
	slotPause = int64(4 * time.Millisecond / time.Microsecond)
	// slotWait is what a client that found no slot is told to wait.
	slotWait = time.Second
)

// slots are those of one account. Its group's lock protects them.
type slots struct {
	capacity int64 // as of the last request; 0: no limit
	used     int64 // by this replica's requests

	// Where replicas share them:
	held         int64 // of the bank: the used ones, and those that may be used
	spareUntil   int64 // when those go back; 0: not yet
	renewAt      int64 // when the bank must hear of them again; 0: it knows of none
	refusedUntil int64 // the bank had none, a moment ago
	refused      bool
	taken        int64 // by all replicas, as of the last order
	doubted      bool  // an order about them got no answer: who knows what the bank believes

	line int // their place in the order that is being made, from 1
}

// block is how many slots are drawn at once; 0 where each is asked for.
func (s *slots) block(replicas int64) int64 {
	if s.capacity < 4*replicas {
		return 0
	}
	return s.capacity / (32 * replicas)
}

func (s *slots) refuses(now int64) bool { return s.refused && now < s.refusedUntil && s.used >= s.held }

// share is how many this replica hands out alone.
func (s *slots) share(replicas int64) int64 { return max(1, s.capacity/replicas) }

// free is how many are left, as far as this replica knows.
func (s *slots) free() int64 { return max(0, s.capacity-max(s.taken, s.held)+s.held-s.used) }

// due tells whether the bank must hear of them: to give some back, or to keep what is held.
func (s *slots) due(now int64) bool {
	if s.doubted || s.used > s.held { // some were taken alone
		return true
	}
	if s.renewAt != 0 && now >= s.renewAt {
		if s.held > 0 {
			return true
		}
		s.renewAt = 0 // those that it knows of are others'
	}
	return s.held > s.used && s.spareUntil != 0 && now >= s.spareUntil
}

// heed takes in what the bank has said, but for what the order's claims have drawn.
func (s *slots) heed(l *Line, began int64) {
	s.held, s.taken, s.doubted = l.Held+l.Left, l.Missing, false
	if s.renewAt = 0; s.held > 0 {
		s.renewAt = began + renewAfter
	}
}

// rests tells whether nothing is lost when they are forgotten.
func (s *slots) rests() bool { return s.used == 0 && s.held == 0 && s.renewAt == 0 && !s.doubted }
