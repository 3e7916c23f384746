package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A fleet is several replicas with one bank, in a bubble's time: a minute of it takes a moment, and all that happens is
// what the replicas do.
type fleet struct {
	t        *testing.T
	bank     *modelBank
	wires    []*wire
	replicas []*Limiter
	began    time.Time
	open     sync.WaitGroup // requests

	mu       sync.Mutex      // over the replicas, too, where they are replaced
	admitted []time.Duration // when, since the fleet began
	asked    int
	longest  time.Duration // that a request has waited for its answer
}

// newFleet starts so many replicas, and waits until they have heard of each other.
func newFleet(t *testing.T, size int, c Config) *fleet {
	t.Helper()
	f := &fleet{t: t, bank: newModelBank(func() int64 { return time.Now().UnixMicro() })}
	for i := range size {
		w := &wire{bank: f.bank}
		f.wires = append(f.wires, w)
		f.replicas = append(f.replicas, New(Options{Config: c, Bank: w, Replica: fmt.Sprint("replica ", i)}))
	}
	time.Sleep(2 * time.Second)
	for i, l := range f.replicas {
		if live := l.Stats().Live; live != size {
			t.Errorf("replica %d knows of %d, want %d", i, live, size)
		}
	}
	f.begin()
	return f
}

// begin starts the clock and the counts.
func (f *fleet) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.began, f.admitted, f.asked, f.longest = time.Now(), nil, 0, 0
	for _, w := range f.wires {
		w.calls.Store(0)
	}
}

// close ends all replicas: nothing of them is left at the bank.
func (f *fleet) close() {
	f.t.Helper()
	f.open.Wait()
	for i, l := range f.replicas {
		if stats := l.Stats(); !f.wires[i].cut.Load() && (stats.Failed > 0 || stats.Alone > 0) {
			f.t.Errorf("replica %d, whose bank was always there: %+v", i, stats)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := l.Close(ctx); err != nil && f.wires[i].state.Load() == up {
			f.t.Errorf("replica %d: %v", i, err)
		}
		cancel()
		if held := l.Stats().Held; held != 0 {
			f.t.Errorf("replica %d holds %d slots in the end", i, held)
		}
	}
}

// proving reports whether the tests may take their time.
func proving() bool { return os.Getenv("TOLLGATE_PROVE") == "1" }

// minute is one, and a sixth of it where there is so much to do that it takes long.
func minute(perSecond float64) time.Duration {
	if perSecond > 500 && !proving() {
		return 10 * time.Second
	}
	return time.Minute
}

func (f *fleet) now() time.Duration { return time.Since(f.began) }

// The states of a wire.
const (
	up      = iota
	down    // every call fails at once
	silent  // no call is answered
	swallow // orders are carried out, and their answers are lost
)

var errDown = errors.New("the bank is down")

// wire is one replica's way to the bank: it takes a while.
type wire struct {
	bank  *modelBank
	state atomic.Int32
	cut   atomic.Bool  // it was not up all the time
	calls atomic.Int64 // orders
	slow  atomic.Int64 // nanoseconds that a way takes besides
}

func (w *wire) become(state int32) {
	w.cut.Store(true)
	w.state.Store(state)
}

func (w *wire) Trade(ctx context.Context, orders ...*Order) {
	w.calls.Add(int64(len(orders)))
	err := w.travel(ctx)
	if err == nil || w.state.Load() == swallow {
		w.bank.Trade(context.WithoutCancel(ctx), orders...)
		err = w.travel(ctx)
	}
	if err == nil {
		return
	}
	for _, o := range orders {
		o.Err = err
	}
}

func (w *wire) Beat(ctx context.Context, replica string) (int, error) {
	if err := w.travel(ctx); err != nil {
		return 0, err
	}
	return w.bank.Beat(ctx, replica)
}

func (w *wire) Leave(ctx context.Context, replica string) error {
	if err := w.travel(ctx); err != nil {
		return err
	}
	return w.bank.Leave(ctx, replica)
}

// travel takes 0.15 to 0.5 ms, there or back.
func (w *wire) travel(ctx context.Context) error {
	switch w.state.Load() {
	case down:
		return errDown
	case silent, swallow:
		// Not the context's own timer: where thousands of those run out in a bubble, the race detector runs out of the
		// room in which it notes who started their goroutines.
		end, _ := ctx.Deadline()
		time.Sleep(time.Until(end) - time.Microsecond)
		return context.DeadlineExceeded
	}
	time.Sleep(time.Duration(w.slow.Load()) + 150*time.Microsecond + rand.N(350*time.Microsecond))
	return ctx.Err()
}

// become changes the wires of all replicas.
func (f *fleet) become(state int32) {
	for _, w := range f.wires {
		w.become(state)
	}
}

func (f *fleet) replica(place int) *Limiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replicas[place]
}

// call makes one request at a replica, and lets it last a while.
func (f *fleet) call(replica int, r Request, lasts time.Duration, used int64) bool {
	var p Permit
	began := time.Now()
	f.replica(replica).Take(f.t.Context(), &p, r)
	allowed := p.Answer.Allowed()
	f.mu.Lock()
	f.longest = max(f.longest, time.Since(began))
	f.asked++
	if allowed {
		f.admitted = append(f.admitted, f.now())
	}
	f.mu.Unlock()
	if lasts > 0 && allowed {
		time.Sleep(lasts)
	}
	p.End(used)
	return allowed
}

// offer has each replica asked at random moments, so many times a second, for as long as it takes.
func (f *fleet) offer(perSecond []float64, until time.Duration, call func(replica int)) {
	var sources sync.WaitGroup
	for i, rate := range perSecond {
		if rate == 0 {
			continue
		}
		sources.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7)) //nolint:gosec // no secret: it makes a load
			for next := f.now(); ; {
				next += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
				if next >= until {
					break
				}
				time.Sleep(next - f.now())
				f.open.Go(func() { call(i) })
			}
		})
	}
	sources.Wait()
	time.Sleep(until - f.now())
}

// even and skewed spread a load over four replicas.
func even(perSecond float64) []float64 {
	return []float64{perSecond / 4, perSecond / 4, perSecond / 4, perSecond / 4}
}

func skewed(perSecond float64) []float64 {
	return []float64{0.85 * perSecond, 0.05 * perSecond, 0.05 * perSecond, 0.05 * perSecond}
}

// result is what has come of a load.
type result struct {
	asked, admitted int
	worst           int // admitted within one second
	calls           float64
	longest         time.Duration
}

func (f *fleet) result() result {
	f.open.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.admitted)
	r := result{asked: f.asked, admitted: len(f.admitted), worst: worst(f.admitted), longest: f.longest}
	for _, w := range f.wires {
		r.calls += float64(w.calls.Load())
	}
	r.calls /= float64(max(1, f.asked))
	return r
}

// between counts those that were admitted from a moment to another.
func (f *fleet) between(from, to time.Duration) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, at := range f.admitted {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

// worst is the most that lie within a second.
func worst(sorted []time.Duration) int {
	most, first := 0, 0
	for i, at := range sorted {
		for at-sorted[first] >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// deepest replays what was admitted into a bucket that is refilled evenly, and returns how many it would have had to
// hold: more than the burst by what the replicas had drawn for a while and spent later.
func deepest(sorted []time.Duration, perSecond float64) float64 {
	level, most, last := 0.0, 0.0, time.Duration(0)
	for _, at := range sorted {
		level = max(0, level-perSecond*(at-last).Seconds()) + 1
		most, last = max(most, level), at
	}
	return most
}

// perSecond is a key with a rate and a burst as large.
func perSecond(n int) Account {
	return Account{ID: "key", Limits: Limits{RequestsPerMinute: n * 60, Burst: n}}
}

// However the load is spread, what the fleet admits is what one bucket would.
func TestFleetKeepsRequests(t *testing.T) {
	for _, rate := range []int{20, 100, 1000} {
		for _, load := range []float64{0.8, 4} {
			for name, spread := range map[string]func(float64) []float64{"even": even, "skewed": skewed} {
				t.Run(fmt.Sprintf("%d a second, load %.1f, %s", rate, load, name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := newFleet(t, 4, Config{})
						defer f.close()
						until := minute(load * float64(rate))
						f.offer(spread(load*float64(rate)), until, func(replica int) {
							f.call(replica, Request{Key: perSecond(rate), Tenant: Account{ID: "acme"}}, 0, 0)
						})
						got, ideal := f.result(), (1+until.Seconds())*float64(rate)
						t.Logf("%+v, %+.2f %%", got, 100*float64(got.admitted)/min(ideal, float64(got.asked))-100)
						if n := float64(got.admitted); n > 1.01*ideal || n < 0.97*min(ideal, float64(got.asked)) {
							t.Errorf("%d of %d were admitted, of %.0f at most", got.admitted, got.asked, ideal)
						}
						if most := rate + rate*3/2; got.worst > most {
							t.Errorf("%d were admitted in one second, want %d at most", got.worst, most)
						}
						if depth := deepest(f.admitted, float64(rate)); depth > 1.5*float64(rate)+1 {
							t.Errorf("a bucket of %.1f would have done as well", depth)
						}
						if got.longest > 5*time.Millisecond { // of which an order takes one at most
							t.Errorf("a request has waited for %s", got.longest)
						}
						if most := map[int]float64{20: 1.2, 100: 0.25, 1000: 0.05}[rate]; got.calls > most {
							t.Errorf("%.3f calls for each request, want %.2f at most", got.calls, most)
						}
					})
				})
			}
		}
	}
}
