package ratelimit

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// held counts the keys and the tenants of which the limiter knows something.
func held(l *Limiter) (keys, tenants int) {
	for i := range l.groups.shards {
		for _, g := range l.groups.shards[i].groups {
			keys += len(g.keys)
			tenants++
		}
	}
	return keys, tenants
}

// Full buckets go first, and losing one changes nothing.
func TestFullBucketsAreDropped(t *testing.T) {
	l, clock := newLimiter(Config{MaxKeys: 1})
	want(t, take(l, "a", 2), "allowed limit=2 remaining=1 reset=30s retry=0s")
	clock.advance(30 * time.Second)
	want(t, take(l, "b", 2), "allowed limit=2 remaining=1 reset=30s retry=0s")
	if keys, _ := held(l); keys != 1 {
		t.Errorf("%d keys are held", keys)
	}
	want(t, take(l, "b", 2), "allowed limit=2 remaining=0 reset=1m0s retry=0s")
	want(t, take(l, "b", 2), "refused limit=2 remaining=0 reset=1m0s retry=30s")
	want(t, peek(l, "a", 2), "allowed limit=2 remaining=2 reset=0s retry=0s")
}

// Where all are in use, the one goes that would be full the soonest; but whoever asks is limited.
func TestBusyBucketsAreDropped(t *testing.T) {
	l, clock := newLimiter(Config{MaxKeys: 3})
	for id, spent := range map[string]int{"a": 3, "b": 4, "c": 2} {
		for range spent {
			take(l, id, 4)
		}
	}
	clock.advance(time.Second)
	want(t, take(l, "d", 4), "allowed limit=4 remaining=3 reset=15s retry=0s")
	want(t, take(l, "b", 4), "refused limit=4 remaining=0 reset=59s retry=14s")
	want(t, take(l, "a", 4), "allowed limit=4 remaining=0 reset=59s retry=0s")
	want(t, take(l, "d", 4), "allowed limit=4 remaining=2 reset=30s retry=0s")
	want(t, take(l, "c", 4), "allowed limit=4 remaining=3 reset=15s retry=0s") // it was forgotten
}

// However many keys and tenants come, each of which is in use.
func TestMemoryIsBounded(t *testing.T) {
	for _, most := range []int{1, 2, 3, 63, 64, 65, 1000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			l, clock := newLimiter(Config{MaxKeys: most})
			for n := range 5000 {
				take(l, strconv.Itoa(n), 1)
				clock.advance(time.Millisecond)
			}
			if keys, tenants := held(l); keys > most || keys < most/2 || tenants != 1 {
				t.Errorf("of keys of one tenant: %d keys and %d tenants are held", keys, tenants)
			}
			for n := range 5000 {
				takeOf(l, of(strconv.Itoa(n), 1, 0), of(strconv.Itoa(n), 1, 0))
				clock.advance(time.Millisecond)
			}
			if keys, tenants := held(l); keys > most+4 || tenants > most+4 { // one goes at a time
				t.Errorf("of tenants with a key each: %d keys and %d tenants are held", keys, tenants)
			}
		})
	}
}

// What a request holds is not forgotten: it gives its slot back to the very account that it has it of.
func TestHeldAccountsStay(t *testing.T) {
	l, clock := newLimiter(Config{MaxKeys: 1})
	busy := Account{ID: "busy", Limits: Limits{Concurrent: 1, TokensPerMinute: 60}}
	p := enter(l, busy, Account{ID: "t"})
	for n := range 200 {
		clock.advance(time.Minute)
		take(l, strconv.Itoa(n), 1)
	}
	if a := peekOf(l, busy, Account{ID: "t"}); a[KeyConcurrent].Remaining != 0 {
		t.Errorf("the slot in use was forgotten: %+v", a[KeyConcurrent])
	}
	p.End(1)
	if a := peekOf(l, busy, Account{ID: "t"}); a[KeyConcurrent].Remaining != 1 {
		t.Errorf("the slot was given back: %+v", a[KeyConcurrent])
	}
}
