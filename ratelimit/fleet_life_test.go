package ratelimit

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// replace puts a new replica into the place of another, which has ended or not.
func (f *fleet) replace(place int, c Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wires[place] = &wire{bank: f.bank}
	f.replicas[place] = New(Options{Config: c, Bank: f.wires[place], Replica: fmt.Sprint("replica ", place, " of ", time.Since(f.began))})
}

// Replicas that are drained and replaced, one after the other and under load, as a new version is rolled out: the
// limit holds, and nobody is refused for it.
func TestRollOut(t *testing.T) {
	for _, load := range []float64{0.8, 4} {
		t.Run(fmt.Sprintf("load %.1f", load), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4, Config{})
				defer f.close()
				for round := range 12 { // of five seconds: nobody is asked while it is replaced
					spread := even(100 * load * 4 / 3)
					spread[round%4] = 0
					old := f.replicas[round%4]
					f.open.Go(func() {
						if err := old.Close(f.t.Context()); err != nil {
							t.Error(err)
						}
					})
					time.Sleep(time.Millisecond)
					f.replace(round%4, Config{})
					f.ask(spread, time.Duration(round+1)*5*time.Second)
				}
				got := f.result()
				t.Logf("%+v", got)
				least := min(0.97*6100, float64(got.asked))
				if n := float64(got.admitted); n > 1.01*6100 || n < least {
					t.Errorf("%d of %d were admitted, want %.0f to 6161", got.admitted, got.asked, least)
				}
				if got.worst > 250 {
					t.Errorf("%d were admitted in one second", got.worst)
				}
				for i, l := range f.replicas {
					if live := l.Stats().Live; live > 5 {
						t.Errorf("replica %d takes %d for alive in the end", i, live)
					}
				}
			})
		})
	}
}

// Replicas that die take what they had drawn with them, and no more.
func TestReplicasDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		var dead []*Limiter
		for second := range 60 {
			f.ask(even(400), time.Duration(second+1)*time.Second)
			f.open.Wait()
			dead = append(dead, f.replicas[second%4])
			f.wires[second%4].become(down)
			f.replace(second%4, Config{})
		}
		got := f.result()
		t.Logf("%+v", got)
		// A lease is a twelfth of a second's worth at most, and one dies each second.
		if n := float64(got.admitted); n > 1.01*6100 || n < 0.9*6100 {
			t.Errorf("%d were admitted, want 6100 but for what the dead had drawn", got.admitted)
		}
		for _, l := range dead {
			_ = l.Close(t.Context()) // its bank does not answer
		}
	})
}

// A fleet that starts without its bank grants the shares of as many replicas as there may be.
func TestStartWithoutBank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		for i := range f.replicas {
			if err := f.replicas[i].Close(t.Context()); err != nil {
				t.Error(err)
			}
			f.replace(i, Config{MaxReplicas: 8})
			f.wires[i].become(silent)
		}
		f.begin()
		f.become(silent)
		f.ask(even(400), 20*time.Second)
		if got := f.result(); got.admitted < 1000 || got.admitted > 1060 { // half of 2,100
			t.Errorf("%d were admitted, want the shares of four of eight replicas, 1050", got.admitted)
		}
		f.become(up)
		f.ask(even(400), 40*time.Second)
		if n := f.between(22*time.Second, 40*time.Second); n < 1750 || n > 1850 {
			t.Errorf("%d were admitted in 18 s with the bank, want 1800", n)
		}
		for i, l := range f.replicas {
			if live := l.Stats().Live; live != 4 {
				t.Errorf("replica %d knows of %d", i, live)
			}
		}
	})
}

// Without the bank there are no more in progress than the cap, once those have ended by which a replica had more than its
// share. When the bank is back it knows of all.
func TestSlotsWithoutBank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4, Config{})
		defer f.close()
		var g gauge
		key := slotsOf("key", 40)
		hold := func(replica int) { f.hold(&g, replica, key, time.Second) }
		f.offer(even(80), 10*time.Second, hold)
		check := func(phase string, most int64) {
			t.Helper()
			if got := g.most.Swap(0); got > most || got < 35 {
				t.Errorf("%s: %d were in progress at most, want %d", phase, got, most)
			}
		}
		check("with the bank", 40)
		f.become(silent)
		f.offer(even(80), 12*time.Second, hold)
		check("the bank was lost", 60)
		f.offer(even(80), 30*time.Second, hold)
		check("without the bank", 40)
		f.become(up)
		f.offer(even(80), 32*time.Second, hold)
		check("the bank is back", 60)
		f.offer(even(80), 40*time.Second, hold)
		check("with the bank again", 40)
		f.open.Wait()
		time.Sleep(time.Second)
		for i := range f.replicas {
			var a Answer
			f.replicas[i].Standing(t.Context(), &a, Request{Key: key, Tenant: Account{ID: "acme"}})
			want(t, a[KeyConcurrent], "allowed limit=40 remaining=40 reset=0s retry=0s")
		}
	})
}
