package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// gauge knows how many are in progress, and how many were at most.
type gauge struct {
	now, most atomic.Int64
}

func (g *gauge) enter() {
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
}

// hold has a request in progress for a while.
func (f *fleet) hold(g *gauge, replica int, key Account, lasts time.Duration) bool {
	var p Permit
	f.replica(replica).Take(f.t.Context(), &p, Request{Key: key, Tenant: Account{ID: "acme"}, Tokens: 1})
	if !p.Answer.Allowed() {
		p.End(0)
		return false
	}
	g.enter()
	time.Sleep(lasts)
	g.now.Add(-1)
	p.End(1)
	return true
}

// Never are more in progress than the cap, on all replicas together; and what may be is.
func TestFleetKeepsSlots(t *testing.T) {
	for _, capacity := range []int{1, 3, 15, 16, 100, 1000} {
		for name, spread := range map[string]func(float64) []float64{"even": even, "skewed": skewed} {
			t.Run(fmt.Sprintf("%d slots, %s", capacity, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, 4, Config{})
					defer f.close()
					var g gauge
					var busy atomic.Int64
					longest := 200 * time.Millisecond
					if capacity > 50 {
						longest *= 10
					}
					until := minute(10 * float64(capacity))
					f.offer(spread(4*float64(capacity)/longest.Seconds()), until, func(replica int) { // twice as many as there are slots for
						lasts := rand.N(longest)
						if f.hold(&g, replica, slotsOf("key", capacity), lasts) {
							busy.Add(int64(lasts))
						}
					})
					f.open.Wait()
					share := float64(busy.Load()) / float64(time.Duration(capacity)*until)
					got := f.result()
					t.Logf("%d at most, %.0f %% on average, %d calls", g.most.Load(), 100*share, f.bank.calls())
					if most := g.most.Load(); most > int64(capacity) || share < 0.6 {
						t.Errorf("%d were in progress at most, and %.2f of the cap on average: %+v", most, share, got)
					}
				})
			})
		}
	}
}

// Who asks again as soon as its answer has ended finds its slot.
func TestSlotPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		var g gauge
		for n := range 200 {
			if !f.hold(&g, n%4, slotsOf("key", 1), 10*time.Millisecond) {
				t.Fatalf("request %d, which came after the one before it had ended, was refused", n)
			}
		}
	})
}

// A replica that dies holds its slots for as long as they were promised to it, and not longer; those of the living stay
// held, however long their requests last.
func TestSlotsOfTheDead(t *testing.T) {
	for _, capacity := range []int{4, 64} {
		t.Run(strconv.Itoa(capacity), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{})
				defer f.close()
				var g gauge
				key := slotsOf("key", capacity)
				for n := range capacity {
					f.open.Go(func() {
						if !f.hold(&g, n%4, key, 5*time.Minute) {
							t.Errorf("%d was refused", n)
						}
					})
				}
				time.Sleep(time.Minute) // two of the times for which slots are promised
				if f.hold(&g, 1, key, 0) {
					t.Error("a slot was free, but all requests go on")
				}
				f.wires[0].become(down)
				died := time.Now()
				for !f.hold(&g, 1, key, 0) {
					if time.Since(died) > time.Minute {
						t.Fatal("the slots of a dead replica are never free")
					}
					time.Sleep(100 * time.Millisecond)
				}
				if after := time.Since(died); after < slotTTL/2 || after > slotTTL+time.Second {
					t.Errorf("a slot was free after %s, want %s", after, slotTTL)
				}
				more := 0
				for f.replicas[1].Stats().Held < int64(capacity) {
					started := make(chan struct{})
					f.open.Go(func() { close(started); f.hold(&g, 1, key, time.Minute) })
					<-started
					synctest.Wait()
					if more++; more > capacity/4+1 {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				if got := f.replicas[1].Stats().Held; got != int64(capacity/2) {
					t.Errorf("replica 1 holds %d, want its quarter and that of the dead", got)
				}
			})
		})
	}
}
