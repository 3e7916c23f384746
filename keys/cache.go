package keys

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// CachedStore is what a replica remembers of the records that it shares with others.
// Look-ups by digest are answered from memory, the calls of operators go to the shared store.
//
// It follows the shared store's feed: every change is heard of within pollEvery where the store
// answers, and much sooner where the store's own news arrive. As long as the feed was heard of less than
// feedPatience ago, what is remembered is true, and a look-up of a known key asks nobody. Once in a cache_ttl a
// key in use is looked up all the same, while it is served: the feed might have been cut by hand.
//
// While the shared store does not answer, a key is served as it was, as long as it was confirmed less than outage_grace
// ago: nobody waits for it, the feed alone tries whether the store is back, and hears what was changed meanwhile.
// Where only the feed fails, as for a user without the rights for it, a record is believed for unfedTTL, and then
// what the shared store says counts; see limit for how long that is waited for.
//
// A key that is not known is asked about at once, so that a new key works at the first request; while the store does
// not answer that is ErrUnavailable after questionTime at most. Nor can made-up secrets do harm: see screen.
// "No such key" is believed for unknownTTL, in a memory of its own, so that no flood can push out known keys.
// A record that the shared store holds and this binary cannot read is ErrUnavailable, whatever was known before.
//
// What is older never replaces what is newer: every record has a version, and an answer that comes late loses
// against a change that was heard of meanwhile. A look-up that begins after Insert or Update returned sees the change.
type CachedStore struct {
	shared     Shared
	ttl, grace time.Duration
	started    time.Time
	known      *otter.Cache[Digest, *entry]
	unknown    *otter.Cache[Digest, time.Duration] // when the shared store was asked, since started
	newest     *otter.Cache[string, Record]        // what was heard of lately, by id
	feed       feed
	strangers  *strangers
	tenants    tenantLimits
	repairs    repairs
	cuts       *Cuts
	counts     counters
	failed     atomic.Int64 // when the shared store last failed to answer, since started; 0 where it has answered since
	log        *slog.Logger
	failures   throttle
	refusals   throttle

	lifetime context.Context // of the feed, and of all questions, which outlive the requests that asked them
	end      context.CancelFunc
	asking   sync.WaitGroup

	mu        sync.Mutex
	questions map[Digest]*question
	unmet     int // questions under way about digests that are not known
}

// entry is one known key.
type entry struct {
	record    Record
	confirmed time.Duration // when the shared store was asked for it, since started
	askAgain  atomic.Int64  // the earliest time to do so after a failure, since started
	vouched   atomic.Int64  // when it was last served on the word of the feed, about, since started
}

// vouch notes that the feed stands for the entry now, to about a second.
func (e *entry) vouch(now time.Duration) {
	if now-time.Duration(e.vouched.Load()) > time.Second {
		e.vouched.Store(int64(now))
	}
}

// NewCachedStore returns the cache of shared with the size and the times of c,
// which must be valid, and begins to follow its feed. What it cannot ask is logged, but for outages that the store
// logs (store.ErrRedisDown); log may be nil. Close it before what shared needs is closed.
func NewCachedStore(shared Shared, c Config, log *slog.Logger) *CachedStore {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &CachedStore{
		shared:    shared,
		ttl:       c.CacheTTL,
		grace:     c.OutageGrace,
		started:   time.Now(),
		known:     newMemory[Digest, *entry](c.CacheSize),
		unknown:   newMemory[Digest, time.Duration](min(c.CacheSize, maxUnknown)),
		newest:    newMemory[string, Record](min(c.CacheSize, maxNewest)),
		strangers: newStrangers(c.FailedLookups),
		cuts:      newCuts(),
		questions: make(map[Digest]*question),
		log:       log,
	}
	s.feed.index, s.feed.hurry = newIndex(), make(chan struct{}, 1)
	s.feed.next.Store(new(make(chan struct{})))
	s.lifetime, s.end = context.WithCancel(context.Background())
	s.asking.Go(s.follow)
	return s
}

const (
	// unknownTTL is how long "no such key" is believed while the feed, which would tell otherwise, is heard.
	unknownTTL = 5 * time.Second
	// unfedTTL is how long anything is believed where the feed is not heard.
	unfedTTL = time.Second
	// maxUnknown and maxNewest bound the memory of what does not exist, and of what was changed: some megabytes each.
	maxUnknown = 32_768
	maxNewest  = 10_000
)

// newMemory is a map that keeps what is used most. Ages are the entries' own
// affair, so otter needs neither a clock nor a timer; its upkeep is done by
// whoever calls, so it needs no goroutine.
func newMemory[K comparable, V any](size int) *otter.Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{MaximumSize: size, Executor: func(upkeep func()) { upkeep() }})
}

// ByDigest implements Finder. It allocates nothing, and asks nobody, while the record is fresh.
func (s *CachedStore) ByDigest(ctx context.Context, digest Digest, from netip.Addr) (Record, error) {
	seen, how := s.recall(digest)
	switch how {
	case undecided:
		return s.ask(ctx, digest, from)
	case due:
		s.refresh(digest)
		how = fresh
	}
	return s.answer(seen, how)
}

// TenantLimits implements Memory.
func (s *CachedStore) TenantLimits(tenant string) Limits { return s.tenants.of(tenant) }

// Cuts implements Memory.
func (s *CachedStore) Cuts() *Cuts { return s.cuts }

// Close ends the feed and the questions that are under way, and waits for them. Later look-ups are answered as in an outage.
func (s *CachedStore) Close() {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.asking.Wait()
}

// recall tells how the replica by itself would answer a look-up of digest now.
// The entry is nil unless it may be used; undecided means that the shared store must be asked first, due that it should be.
func (s *CachedStore) recall(digest Digest) (*entry, outcome) {
	now := time.Since(s.started)
	heard := s.feed.heard(now)
	if e, ok := s.known.GetIfPresent(digest); ok {
		return s.recollect(e, heard, now)
	}
	believed := unknownTTL
	if heard != current {
		believed = min(s.ttl, unfedTTL)
	}
	if asked, ok := s.unknown.GetIfPresent(digest); ok && now-asked < believed && s.feed.trusts(asked) {
		return nil, unknown
	}
	return nil, undecided
}

// recollect is recall for a key that is known.
func (s *CachedStore) recollect(e *entry, heard hearing, now time.Duration) (*entry, outcome) {
	age := now - e.confirmed
	trusted := s.feed.trusts(e.confirmed)
	if heard == current && trusted {
		e.vouch(now)
		if age < s.ttl || now < time.Duration(e.askAgain.Load()) {
			return e, fresh
		}
		return e, due
	}
	switch {
	case trusted && age < min(s.ttl, unfedTTL):
		return e, fresh
	case now-max(e.confirmed, time.Duration(e.vouched.Load())) >= s.grace:
		return nil, undecided
	case heard == silent, now < time.Duration(e.askAgain.Load()):
		return e, stale
	default:
		return e, undecided
	}
}

// answer counts the look-up and ends it.
func (s *CachedStore) answer(seen *entry, how outcome) (Record, error) {
	s.counts[how].Add(1)
	if how == unknown {
		return Record{}, ErrNotFound
	}
	return seen.record, nil
}

// learn remembers what the shared store said, unless the key was changed since it was asked.
func (s *CachedStore) learn(digest Digest, q *question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.unmet {
		s.unmet--
	}
	if q.err == nil {
		q.record = s.newer(digest, q.record)
		if q.record.Key.Severed {
			s.cuts.sever(q.record.Key.ID)
		}
	}
	if s.questions[digest] != q {
		s.doubt(digest, q)
		return
	}
	delete(s.questions, digest)
	switch {
	case q.err == nil:
		s.known.Set(digest, &entry{record: q.record, confirmed: q.asked})
	case errors.Is(q.err, ErrNotFound):
		s.known.Invalidate(digest)
		s.unknown.Set(digest, q.asked)
	case errors.Is(q.err, ErrUnreadable):
		s.known.Invalidate(digest)
	default:
		if e, ok := s.known.GetEntryQuietly(digest); ok {
			e.Value.askAgain.Store(int64(time.Since(s.started) + min(s.ttl, unfedTTL)))
		}
	}
}

// doubt forgets what is known where a question that was taken back is answered with something else. Nobody knows which of
// the two is later, and whom the answer refuses must not be let in by what was told before it.
func (s *CachedStore) doubt(digest Digest, q *question) {
	e, ok := s.known.GetEntryQuietly(digest)
	if !ok {
		return
	}
	if errors.Is(q.err, ErrNotFound) || errors.Is(q.err, ErrUnreadable) || q.err == nil && q.record.Key.Version > e.Value.record.Key.Version {
		s.known.Invalidate(digest)
	}
}

// newer is the record, or what is known of the same key since: an answer may come late, and from a server that has been replaced.
func (s *CachedStore) newer(digest Digest, record Record) Record {
	if heard, ok := s.newest.GetIfPresent(record.Key.ID); ok && heard.Key.Version > record.Key.Version {
		return heard
	}
	e, ok := s.known.GetEntryQuietly(digest)
	if !ok || e.Value.record.Key.ID != record.Key.ID || !s.feed.trusts(e.Value.confirmed) {
		return record
	}
	if e.Value.record.Key.Version > record.Key.Version {
		return e.Value.record
	}
	return record
}

// outlasts tells whether what is known of a digest holds in spite of what is told, because it is later. What is told of a
// deleted key never concerns the one that has its digest now: secrets that one key has given up may be another's.
func (s *CachedStore) outlasts(e *entry, told *Key) bool {
	own := e.record.Key
	if own.ID != told.ID && !told.DeletedAt.IsZero() && own.DeletedAt.IsZero() {
		return true
	}
	return own.Version > told.Version && s.feed.trusts(e.confirmed)
}

// heed takes over what was changed, and what it was told by whoever made the change, at asked since the start.
func (s *CachedStore) heed(record Record, asked time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if heard, ok := s.newest.GetIfPresent(record.Key.ID); ok && heard.Key.Version >= record.Key.Version {
		return
	}
	s.newest.Set(record.Key.ID, record)
	if record.Key.Severed {
		s.cuts.sever(record.Key.ID)
	} else {
		s.cuts.mend(record.Key.ID)
	}
	for _, secret := range record.Secrets {
		s.feed.index.add(secret.Digest)
		known, inUse := s.known.GetEntryQuietly(secret.Digest)
		if inUse && s.outlasts(known.Value, record.Key) {
			continue
		}
		if _, asked := s.questions[secret.Digest]; asked {
			delete(s.questions, secret.Digest) // its answer may be older than the change
			inUse = true
		}
		s.unknown.Invalidate(secret.Digest)
		if inUse {
			s.known.Set(secret.Digest, &entry{record: record, confirmed: asked})
		}
	}
}
