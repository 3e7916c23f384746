package keys

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// version is what the shared store said of a secret from a moment on: a number that no other version has, 0 for "no such key".
type version struct {
	from   time.Duration
	number int
}

// lookup is one call of ByDigest and what came of it.
type lookup struct {
	key        int
	began, end time.Duration
	changed    time.Duration // when this replica last changed the key before the call
	number     int           // of the version returned
	err        error
}

// spells are from, to, from, to ...: the last may be without an end.
type spells []time.Duration

// mark notes that a spell begins, ends, or goes on.
func (s *spells) mark(at time.Duration, now bool) {
	if before := len(*s)%2 == 1; before != now {
		*s = append(*s, at)
	}
}

// met tells whether there was a spell at some moment from a to b.
func (s spells) met(a, b time.Duration) bool {
	for i := 0; i < len(s); i += 2 {
		if s[i] <= b && (i+1 == len(s) || s[i+1] >= a) {
			return true
		}
	}
	return false
}

// world is one replica, the shared store, and all that ever happened.
type world struct {
	cache   *CachedStore
	shared  *fakeShared
	started time.Time
	c       Config

	versions [3][]version // the history of each key
	changed  [3]time.Duration
	slow     spells // when the shared store did not answer within patience
	sick     spells // when it did not answer at all
	numbers  int

	mu      sync.Mutex
	lookups []lookup
	group   sync.WaitGroup
}

func newWorld(fed bool) *world {
	c := DefaultConfig()
	c.OutageGrace, c.CacheTTL = 5*time.Second, unfedTTL
	shared := newFakeShared()
	shared.fed = fed
	w := &world{cache: NewCachedStore(shared, c, nil), shared: shared, c: c, started: time.Now()}
	for key := range w.versions {
		w.versions[key] = []version{{}}
	}
	return w
}

// now is a moment of its own: no two events share one, so that each has a before and an after.
func (w *world) now() time.Duration {
	time.Sleep(time.Nanosecond)
	return time.Since(w.started)
}

func (w *world) numbered(key int) Record {
	w.numbers++
	r := contractRecord(key)
	r.Key.RequestsPerMinute = w.numbers
	return r
}

func (w *world) exists(key int) bool { return w.versions[key][len(w.versions[key])-1].number != 0 }

// look asks for a key now and notes the answer, whenever it comes.
func (w *world) look(key int) {
	l := lookup{key: key, began: w.now(), changed: w.changed[key]}
	w.group.Go(func() {
		record, err := w.cache.ByDigest(context.Background(), contractRecord(key).Secrets[0].Digest, netip.Addr{})
		l.err, l.end = err, time.Since(w.started)
		if err == nil {
			l.number = record.Key.RequestsPerMinute
		}
		if err == nil && !record.Key.DeletedAt.IsZero() {
			l.number = 0 // what is left of a key is none
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lookups = append(w.lookups, l)
	})
	synctest.Wait()
}

// changeHere inserts or updates a key through the replica.
func (w *world) changeHere(key int) {
	if w.shared.down != nil {
		return
	}
	at, r := w.now(), w.numbered(key)
	if w.exists(key) {
		_, _ = w.cache.Update(context.Background(), r.Key.ID, func(Record) (Edit, error) { return Edit{Record: r}, nil })
	} else {
		_, _ = w.cache.Insert(context.Background(), Edit{Record: r})
	}
	w.versions[key] = append(w.versions[key], version{from: at, number: r.Key.RequestsPerMinute})
	w.changed[key] = w.now()
}

// changeElsewhere inserts, updates or deletes a key behind the replica's back.
func (w *world) changeElsewhere(key int, deleted bool) {
	at, r, number := w.now(), Record{}, 0
	if !deleted {
		r = w.numbered(key)
		number = r.Key.RequestsPerMinute
	}
	switch {
	case !w.shared.fed:
		w.shared.set(contractRecord(key).Secrets[0].Digest, r)
	case deleted:
		r = contractRecord(key)
		r.Key.DeletedAt = time.Now()
		w.shared.change(r)
	default:
		w.shared.change(r)
	}
	w.versions[key] = append(w.versions[key], version{from: at, number: number})
}

// answers changes how the shared store is.
func (w *world) answers(delay time.Duration, err error) {
	at := w.now()
	w.slow.mark(at, delay > patience)
	w.sick.mark(at, err != nil || delay > questionTime)
	w.shared.answers(delay, err)
}

// was tells whether a version of the key, 0 for none, was the shared store's at some moment from a to b.
func (w *world) was(key, number int, a, b time.Duration) bool {
	history := w.versions[key]
	for i, v := range history {
		if v.number == number && v.from <= b && (i+1 == len(history) || history[i+1].from >= a) {
			return true
		}
	}
	return false
}

// settled is how long after a sickness its last question may still have failed, and kept others from being asked.
func (w *world) settled() time.Duration { return w.c.CacheTTL + questionTime }

// hears is the longest from a change to its being heard of, where the store is well.
const hears = pollEvery + pollGap + 2*80*time.Millisecond

// problem says why the replica must not have answered so.
func (w *world) problem(l lookup) string {
	healthy := !w.sick.met(l.began-w.settled(), l.end)
	trusted := w.c.CacheTTL
	switch {
	case !healthy:
		trusted = w.c.OutageGrace
	case w.shared.fed:
		trusted = hears
	case w.slow.met(l.began-questionTime, l.end):
		trusted = recently * w.c.CacheTTL
	}
	switch {
	case l.end-l.began > questionTime:
		return "it took too long"
	case l.err == nil && !w.was(l.key, l.number, max(l.began-trusted, l.changed), l.end):
		return "the record is too old"
	case errors.Is(l.err, ErrNotFound) && !w.was(l.key, 0, max(l.began-w.c.CacheTTL, l.changed), l.end):
		return "the refusal is too old, or an outage"
	case l.err == nil || errors.Is(l.err, ErrNotFound):
		return ""
	case !errors.Is(l.err, ErrUnavailable):
		return "the error is none of a Finder's"
	case healthy:
		return "the shared store was well"
	case w.remembered(l):
		return "the key was confirmed within the grace"
	}
	return ""
}

// remembered tells whether an earlier answer obliges the replica to still know the key.
func (w *world) remembered(l lookup) bool {
	for _, earlier := range w.lookups {
		confirmed := earlier.began - w.c.CacheTTL // at the earliest
		if earlier.err == nil && earlier.end < l.began && l.end < confirmed+w.c.OutageGrace &&
			!w.sick.met(earlier.began-w.settled(), earlier.end) &&
			l.changed < confirmed && w.changed[l.key] == l.changed &&
			earlier.key == l.key && !w.was(l.key, 0, confirmed, l.end) {
			return true
		}
	}
	return false
}

// TestCacheKeepsItsPromises holds for every history of look-ups, changes here and
// elsewhere, outages and time: no answer is older than the class doc allows, no
// refusal comes from an outage, no key is forgotten within the grace, nobody waits longer than said.
func TestCacheKeepsItsPromises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The wrapping hides the real deadline, which means nothing to the bubble's clock.
		rapid.Check(struct{ testing.TB }{t}, func(r *rapid.T) {
			w := newWorld(rapid.Bool().Draw(r, "fed"))
			defer w.cache.Close()
			for range rapid.IntRange(1, 60).Draw(r, "steps") {
				w.step(r)
			}
			w.group.Wait()
			for _, l := range w.lookups {
				if problem := w.problem(l); problem != "" {
					r.Fatalf("%s: %+v\nversions: %v\nsick: %v\nslow: %v", problem, l, w.versions[l.key], w.sick, w.slow)
				}
			}
			s := w.cache.Stats()
			if sum := s.Fresh + s.Refreshed + s.Stale + s.Unknown + s.Screened + s.Unavailable; sum != uint64(len(w.lookups)) {
				r.Fatalf("%d look-ups were counted as %+v", len(w.lookups), s)
			}
		})
	})
}

// step does one thing at random.
func (w *world) step(r *rapid.T) {
	key := rapid.IntRange(0, len(w.versions)-1).Draw(r, "key")
	switch rapid.SampledFrom([]string{"look", "look", "look", "here", "elsewhere", "delete", "store", "wait", "wait", "wait"}).Draw(r, "step") {
	case "look":
		w.look(key)
	case "here":
		w.changeHere(key)
	case "elsewhere":
		w.changeElsewhere(key, false)
	case "delete":
		w.changeElsewhere(key, true)
	case "store":
		down := rapid.SampledFrom([]error{nil, nil, errDown}).Draw(r, "down")
		w.answers(rapid.SampledFrom([]time.Duration{0, 0, 30 * time.Millisecond, 80 * time.Millisecond, never}).Draw(r, "delay"), down)
	case "wait":
		ms := rapid.SampledFrom([]int{1, 20, 60, 200, 999, 1000, 1001, 3000, 4999, 5000}).Draw(r, "ms")
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
}
