package ratelimit

import (
	"context"
	"slices"
	"time"
)

const (
	// beatEvery is how often a replica says that it lives, and firstBeats how often in its first seconds.
	beatEvery  = beatTTL / beats
	firstBeats = 500 * time.Millisecond
	// beats is how many of them a replica that has fallen silent is still counted for.
	beats = 3
)

// heartbeat is how this replica says that it lives, and what it has heard of others.
type heartbeat struct {
	next  time.Time
	heard [beats]int // how many live, as of the last times; 0: not heard
	count int
}

// beat says that this replica lives, when it is time to. Others that have fallen silent for less than beatTTL are
// counted even where the bank has forgotten them: were it lost again, each would grant too large a share.
func (l *Limiter) beat(ctx context.Context, h *heartbeat) {
	now := time.Now()
	if now.Before(h.next) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tradeTimeout)
	defer cancel()
	live, err := l.bank.Beat(ctx, l.replica)
	if err != nil {
		h.next = now.Add(flushEvery)
		return
	}
	h.next = now.Add(beatEvery)
	if h.count < beats {
		h.next = now.Add(firstBeats)
	}
	h.heard[h.count%beats] = live
	h.count++
	l.counted.Store(true)
	l.live.Store(int64(max(1, slices.Max(h.heard[:]))))
}
