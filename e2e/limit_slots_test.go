package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestLimitOfSlots has many more streams asked for at four replicas than their key may have in progress: there are never
// more than that at the provider, and as many as that when all of them want to stay.
func TestLimitOfSlots(t *testing.T) {
	alone(t)
	rounds, lasts := 2, 2*time.Second
	if proving() {
		rounds, lasts = 20, 20*time.Second
	}
	for _, slots := range []int{1, 3, 64} {
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			alone(t)
			s := newTurnstile(t)
			l := &lodging{newQuartet(t, redistest.Start(t), environment{"FOURTH": s.url}), s, int64(slots), ""}
			l.secret = l.issue(t, "acme", fmt.Sprintf(`"concurrent":%d`, slots)).Secret
			for range rounds {
				l.fill(t)
			}
			l.hurry(t, lasts)
			if most := s.most.Load(); most != l.slots {
				l.blame(t, "%d requests were in progress at once, want %d", most, l.slots)
			}
			if err := l.free(t); err != "" {
				t.Error(err)
			}
		})
	}
}

// lodging is a key that may have so many requests in progress.
type lodging struct {
	*quartet
	*turnstile
	slots  int64
	secret string
}

// fill lets lodgers in until there is no slot left, has all replicas refuse some more, and lets all of them leave.
func (l *lodging) fill(t *testing.T) {
	t.Helper()
	var (
		mu      sync.Mutex
		lodgers []lodger
		asking  sync.WaitGroup
		wrong   complaints
	)
	try := func(client bare) {
		switch one := client.lodge(t.Context(), l.secret); {
		case one.leave != nil:
			mu.Lock()
			defer mu.Unlock()
			lodgers = append(lodgers, one)
		case !one.full():
			wrong.add("a stream too many is answered %s", one)
		}
	}
	until(t, "every slot to be taken", patience, func() bool { // some are in other hands for a moment
		for range l.slots/2 + 1 {
			for _, client := range l.clients {
				asking.Go(func() { try(client) })
			}
		}
		asking.Wait()
		return l.inside.Load() >= l.slots
	})
	for range 3 {
		for _, client := range l.clients {
			try(client)
		}
	}
	wrong.fail(t)
	if int64(len(lodgers)) != l.slots || l.inside.Load() != l.slots {
		l.blame(t, "%d streams were let in and %d are in progress, want %d", len(lodgers), l.inside.Load(), l.slots)
	}
	for _, one := range lodgers {
		one.leave()
	}
	until(t, "the lodgers to have left", patience, func() bool { return l.inside.Load() == 0 })
}

// hurry has clients at every replica ask for short streams for a while, without a pause but after a refusal.
func (l *lodging) hurry(t *testing.T, lasts time.Duration) {
	t.Helper()
	l.stay.Store(int64(20 * time.Millisecond))
	var (
		served, refused atomic.Int64
		asking          sync.WaitGroup
		wrong           complaints
	)
	ctx, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	for range max(1, l.slots/2) {
		for _, client := range l.clients {
			asking.Go(func() {
				for ctx.Err() == nil {
					switch r := client.send(t.Context(), wish{secret: l.secret, body: inStream(question("fourth", "Please hurry."))}); {
					case r.status == http.StatusOK && r.err == nil:
						served.Add(1)
					case r.full():
						refused.Add(1)
						time.Sleep(rand.N(10 * time.Millisecond))
					default:
						wrong.add("%s", r)
					}
				}
			})
		}
	}
	asking.Wait()
	wrong.fail(t)
	t.Logf("%d streams were served in %s and %d refused, of %d at once", served.Load(), lasts, refused.Load(), l.slots)
	if served.Load() == 0 {
		t.Error("nobody was served")
	}
}

// free waits until no replica holds a slot.
func (q *quartet) free(t *testing.T) (complaint string) {
	t.Helper()
	held := 0.0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if held = q.sum(t, slotsInUse); held == 0 {
			return ""
		}
	}
	return fmt.Sprintf("%.0f slots are held while nothing is in progress", held)
}

// TestLimitOfOneSlot has one client ask for one thing after the other, each at another replica, with a key that may have
// one request in progress: what it has ended is not in its way.
func TestLimitOfOneSlot(t *testing.T) {
	t.Parallel()
	times := 40
	if proving() {
		times = 400
	}
	s := newTurnstile(t)
	q := newQuartet(t, redistest.Start(t), environment{"FOURTH": s.url})
	key := q.issue(t, "acme", `"concurrent":1`)
	refusals, longest := 0, time.Duration(0)
	var delayed [quartetSize]int // those that came after a request at this replica, and were refused at first
	for n := range times {
		asked, before := time.Now(), refusals
		for r := q.short(t, n, key); r.status != http.StatusOK; r = q.short(t, n, key) {
			if refusals++; !r.full() || time.Since(asked) > patience {
				t.Fatalf("request %d is answered %s, %s after it was asked first", n, r, time.Since(asked))
			}
			time.Sleep(5 * time.Millisecond)
		}
		longest = max(longest, time.Since(asked))
		if refusals > before {
			delayed[(n+quartetSize-1)%quartetSize]++
		}
	}
	t.Logf("%d requests, one after the other, were refused %d times, which delayed %v of them; the longest took %s", times, refusals, delayed, longest.Round(time.Millisecond))
	if proving() && refusals > times/20 {
		q.blame(t, "%d requests were refused %d times, want hardly ever", times, refusals)
	}
	// A busy machine may be late now and then. A replica that does not give slots back at once is late each time.
	if most := times / quartetSize * 4 / 5; slices.Max(delayed[:]) > most {
		q.blame(t, "of %d requests that came after one at the same replica %v were delayed, want %d at most", times/quartetSize, delayed, most)
	}
}

// short asks for a stream that ends at once, at the replica whose turn it is.
func (q *quartet) short(t *testing.T, n int, key tenantKey) reply {
	t.Helper()
	return q.clients[n%len(q.clients)].send(t.Context(), wish{secret: key.Secret, body: inStream(question("fourth", "Please be short."))})
}

// TestLimitSlotsHeal kills a replica again and again while streams of limited keys run through it: each key is refused at
// the other replicas as long as nobody can know that its stream is over, and has its slot again when one lease is.
func TestLimitSlotsHeal(t *testing.T) {
	alone(t)
	kills := 3
	if proving() {
		kills = 200
	}
	s := newTurnstile(t)
	q := newQuartet(t, redistest.Start(t), environment{"FOURTH": s.url})
	victim := q.replicas[0]
	var (
		healing      sync.WaitGroup
		wrong, stuck complaints
	)
	for n := range kills {
		key := q.issue(t, fmt.Sprintf("tenant-%d", n), `"concurrent":1`)
		witness := q.clients[1+n%(quartetSize-1)]
		taken := time.Now()
		held := q.clients[0].lodge(t.Context(), key.Secret)
		if held.leave == nil {
			t.Fatalf("the first stream of a key is answered %s", held)
		}
		refused := func(when string) {
			if r := witness.send(t.Context(), wish{secret: key.Secret, body: inStream(question("fourth", "Is there a place?"))}); !r.full() && !r.excused() {
				wrong.add("kill %d, %s: a second stream is answered %s", n, when, r)
			}
		}
		refused("before it")
		victim.kill(t)
		killed := time.Now()
		held.leave()
		refused("after it")
		healing.Go(func() {
			if early, late := witness.heal(t.Context(), key, taken, killed); late != "" {
				stuck.add("kill %d: %s", n, late)
			} else if early != "" {
				wrong.add("kill %d: %s", n, early)
			}
		})
		victim.gateway = serve(t, q.config, victim.env)
		q.clients[0] = victim.bare(t)
	}
	healing.Wait()
	stuck.fail(t) // a replica that decides alone would have let somebody in
	if wrong.count > 0 {
		q.blame(t, "%d complaints after %d kills, such as\n%s", wrong.count, kills, strings.Join(wrong.shown, "\n"))
	}
}

// slotLease is how long a slot is held of which nothing more is heard.
const slotLease = 30 * time.Second

// heal asks for a stream, again and again, until the slot is free of a replica that took it then and was killed later:
// not before one lease is over, and soon after. Whoever asks keeps alive what Redis knows of the key's slots, so that
// this one does not go because all of them are forgotten.
func (b bare) heal(ctx context.Context, key tenantKey, taken, killed time.Time) (early, late string) {
	patient := slotLease // a busy Redis may have read what the replica had said long after it was killed
	if proving() {
		patient = 500 * time.Millisecond
	}
	for {
		asked := time.Now()
		r := b.send(ctx, wish{secret: key.Secret, body: inStream(question("fourth", "Is there a place now?"))})
		held := time.Since(taken)
		switch {
		case r.status == http.StatusOK && held < slotLease-100*time.Millisecond: // clocks need not run alike
			return fmt.Sprintf("%s after the slot was taken another has it", held.Round(time.Millisecond)), ""
		case r.status == http.StatusOK:
			return "", ""
		case !r.full() && !r.excused() || asked.Sub(killed) > slotLease+patient:
			return "", fmt.Sprintf("%s after it a stream is answered %s", asked.Sub(killed).Round(time.Millisecond), r)
		}
		pause := time.Second
		if proving() { // a slot that is back late is seen to be
			pause = max(100*time.Millisecond, min(pause, time.Until(killed.Add(slotLease))))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return "", "the test has ended"
		}
	}
}

// excused tells whether an answer is a busy machine's fault and says nothing of limits: Redis was too late to look the key
// up, or the disk to put the request on record.
func (r reply) excused() bool {
	return !proving() && (r.unknowing() || r.status == http.StatusServiceUnavailable && unrecorded([]byte(r.body)))
}
