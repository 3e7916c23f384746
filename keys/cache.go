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

	"tollgate/telemetry"
)

// CachedStore is what a replica remembers of a shared Store, which it stands in
// front of. Only look-ups by digest are answered from memory, the calls of
// operators go to the shared store.
//
// What it answers depends on when the shared store last confirmed the record:
//
//   - less than cache_ttl ago: the record, without a question;
//   - longer ago: what the shared store says now. Where it fails, or is silent for questionTime, the record as it was,
//     as long as it was confirmed less than outage_grace ago; the shared store is then not asked about this key again for cache_ttl.
//     Already after patience the record is served where that adds little to its age: it was confirmed less than recently
//     times cache_ttl ago, or the shared store is known to fail. The answer that comes later is learned;
//   - never, or longer ago than both: what the shared store says now, or ErrUnavailable after questionTime at most.
//
// A record that the shared store holds and this binary cannot read is ErrUnavailable, whatever was known before.
//
// "No such key" is believed for cache_ttl as well, in a memory of its own, so
// that no flood of made-up secrets can push out keys or reach the shared store more than once each.
// Nor can it keep known keys from being confirmed: at most maxUnmet questions about others are under way at a time.
// A look-up that begins after Insert or Update returned sees the change; one made elsewhere is seen after cache_ttl at most.
type CachedStore struct {
	shared     Shared
	ttl, grace time.Duration
	started    time.Time
	cuts       *Cuts
	known      *otter.Cache[Digest, *entry]
	unknown    *otter.Cache[Digest, time.Duration] // when the shared store was asked, since started
	counts     counters
	failed     atomic.Int64 // when the shared store last failed to answer, since started; 0 where it has answered since
	log        *slog.Logger
	failures   throttle
	refusals   throttle

	lifetime context.Context // of all questions, which outlive the requests that asked them
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
}

// NewCachedStore returns the cache of shared with the size and the times of c,
// which must be valid. What it cannot ask is logged, but for outages that the store
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
		cuts:      newCuts(),
		known:     newMemory[*entry](c.CacheSize),
		unknown:   newMemory[time.Duration](c.CacheSize),
		questions: make(map[Digest]*question),
		log:       log,
	}
	s.lifetime, s.end = context.WithCancel(context.Background())
	return s
}

// newMemory is a map that keeps what is used most. Ages are the entries' own
// affair, so otter needs neither a clock nor a timer; its upkeep is done by
// whoever calls, so it needs no goroutine.
func newMemory[V any](size int) *otter.Cache[Digest, V] {
	return otter.Must(&otter.Options[Digest, V]{MaximumSize: size, Executor: func(upkeep func()) { upkeep() }})
}

// ByDigest implements Finder. It allocates nothing while the record is fresh.
func (s *CachedStore) ByDigest(ctx context.Context, digest Digest, _ netip.Addr) (Record, error) {
	seen, how := s.recall(digest)
	if how == undecided {
		return s.ask(ctx, digest)
	}
	return s.answer(seen, how)
}

// ByID implements Finder: it asks the shared store.
func (s *CachedStore) ByID(ctx context.Context, id string) (Record, error) {
	return s.shared.ByID(ctx, id)
}

// List implements Registry: it asks the shared store. Records that cannot be
// read are logged and left out: one must not hide all others from an operator.
func (s *CachedStore) List(ctx context.Context) ([]Record, error) {
	all, err := s.shared.List(ctx)
	if errors.Is(err, ErrUnreadable) {
		s.log.Error("keys are missing from a list: their records cannot be read", telemetry.FieldError, err)
		return all, nil
	}
	return all, err
}

// Insert implements Registry.
func (s *CachedStore) Insert(ctx context.Context, edit Edit) (Record, error) {
	record, err := s.shared.Insert(ctx, edit)
	if err == nil {
		s.forgetAll(record)
	}
	return record, err
}

// Update implements Registry.
func (s *CachedStore) Update(ctx context.Context, id string, change func(Record) (Edit, error)) (Record, error) {
	record, err := s.shared.Update(ctx, id, change)
	if err == nil {
		s.forgetAll(record)
	}
	return record, err
}

// Tenant implements TenantRegistry: it asks the shared store.
func (s *CachedStore) Tenant(ctx context.Context, name string) (Tenant, error) {
	return s.shared.Tenant(ctx, name)
}

// Tenants implements TenantRegistry: it asks the shared store.
func (s *CachedStore) Tenants(ctx context.Context) ([]Tenant, error) { return s.shared.Tenants(ctx) }

// UpdateTenant implements TenantRegistry.
func (s *CachedStore) UpdateTenant(ctx context.Context, name string, change func(Tenant) (TenantEdit, error)) (Tenant, error) {
	return s.shared.UpdateTenant(ctx, name, change)
}

// Audit implements Auditor: it asks the shared store.
func (s *CachedStore) Audit(ctx context.Context, before uint64, limit int) ([]Entry, error) {
	return s.shared.Audit(ctx, before, limit)
}

// TenantLimits implements Memory.
func (s *CachedStore) TenantLimits(string) Limits { return Limits{} }

// Cuts implements Memory.
func (s *CachedStore) Cuts() *Cuts { return s.cuts }

func (s *CachedStore) forgetAll(record Record) {
	for _, secret := range record.Secrets {
		s.forget(secret.Digest)
	}
}

// Close ends the questions that are under way and waits for them. Later look-ups are answered as in an outage.
func (s *CachedStore) Close() {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.asking.Wait()
}

// recall tells how the replica by itself would answer a look-up of digest now.
// The entry is nil unless it may be used; undecided means that the shared store must be asked first.
func (s *CachedStore) recall(digest Digest) (*entry, outcome) {
	now := time.Since(s.started)
	if e, ok := s.known.GetIfPresent(digest); ok {
		switch age := now - e.confirmed; {
		case age < s.ttl:
			return e, fresh
		case age >= s.grace:
			return nil, undecided
		case now < time.Duration(e.askAgain.Load()):
			return e, stale
		default:
			return e, undecided
		}
	}
	if asked, ok := s.unknown.GetIfPresent(digest); ok && now-asked < s.ttl {
		return nil, unknown
	}
	return nil, undecided
}

// answer counts the look-up and ends it.
func (s *CachedStore) answer(seen *entry, how outcome) (Record, error) {
	s.counts[how].Add(1)
	if how == unknown {
		return Record{}, ErrNotFound
	}
	return seen.record, nil
}

// forget drops what is known of digest, and what a question that is under way will be told: it may be older than the change.
func (s *CachedStore) forget(digest Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.questions, digest)
	s.known.Invalidate(digest)
	s.unknown.Invalidate(digest)
}

// learn remembers what the shared store said, unless the key was changed here since it was asked.
func (s *CachedStore) learn(digest Digest, q *question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.unmet {
		s.unmet--
	}
	if s.questions[digest] != q {
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
			e.Value.askAgain.Store(int64(time.Since(s.started) + s.ttl))
		}
	}
}
