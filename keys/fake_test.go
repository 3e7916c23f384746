package keys

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

var errDown = errors.New("connection refused")

// fakeShared is what replicas share, in memory, without sockets, so that it works in
// a bubble. It has no feed unless it is fed. It can refuse to answer, take its time, or both. A look-up sees what
// is there when it begins: that makes late answers old ones.
type fakeShared struct {
	mu         sync.Mutex
	byDigest   map[Digest]Record
	down       error         // what every call returns, unless nil
	delay      time.Duration // of each look-up by digest
	asked      int           // look-ups by digest
	version    uint64
	changed    []Record      // by version, for the feed
	moved      []Tenant      // likewise
	tenants    []Tenant      // those there are, for a list
	tenantsErr error         // with them
	unread     []string      // what the feed cannot read, once
	refuses    error         // what each change returns, unless nil
	fed        bool          // whether there is a feed
	news       chan struct{} // what Wake returns
}

func newFakeShared(records ...Record) *fakeShared {
	f := &fakeShared{byDigest: make(map[Digest]Record), news: make(chan struct{}, 1), version: 1000}
	for _, r := range records {
		f.byDigest[r.Secrets[0].Digest] = r
	}
	return f
}

// never is a delay that no caller waits for.
const never = time.Hour

// answers makes the store answer all that follows after delay, with err unless it is nil.
func (f *fakeShared) answers(delay time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay, f.down = delay, err
}

// questions returns how often the store was asked since the last call.
func (f *fakeShared) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asked
	f.asked = 0
	return n
}

// set puts a record there, or with no key removes it, as another replica would; the feed does not tell.
func (f *fakeShared) set(digest Digest, record Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	if record.Key == nil {
		delete(f.byDigest, digest)
		return
	}
	key := *record.Key
	key.Version = f.version
	record.Key = &key
	f.byDigest[digest] = record
}

func (f *fakeShared) ByDigest(ctx context.Context, digest Digest, _ netip.Addr) (Record, error) {
	f.mu.Lock()
	f.asked++
	record, found, delay, err := f.byDigest[digest], f.byDigest[digest].Key != nil, f.delay, f.down
	f.mu.Unlock()
	if err == nil && !found {
		err = ErrNotFound
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return Record{}, ctx.Err()
		}
	}
	if err != nil {
		return Record{}, err
	}
	return record, nil
}

func (f *fakeShared) ByID(_ context.Context, id string) (Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return Record{}, f.down
	}
	for _, r := range f.byDigest {
		if r.Key.ID == id {
			return r, nil
		}
	}
	return Record{}, ErrNotFound
}

func (f *fakeShared) Insert(_ context.Context, edit Edit) (Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return Record{}, f.down
	}
	return f.write(edit.Record), nil
}

func (f *fakeShared) Update(ctx context.Context, id string, change func(Record) (Edit, error)) (Record, error) {
	record, err := f.ByID(ctx, id)
	if err != nil {
		return Record{}, err
	}
	edit, err := change(record)
	if errors.Is(err, errUnchanged) {
		return record, nil
	}
	if err != nil {
		return Record{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses != nil {
		return Record{}, f.refuses
	}
	return f.write(edit.Record), nil
}

// write stores a record in the next version. The caller holds mu.
func (f *fakeShared) write(record Record) Record {
	f.version++
	key := *record.Key
	key.Version = f.version
	record.Key = &key
	for digest, old := range f.byDigest {
		if old.Key.ID == key.ID {
			delete(f.byDigest, digest)
		}
	}
	if key.DeletedAt.IsZero() {
		for _, secret := range record.Secrets {
			f.byDigest[secret.Digest] = record
		}
	}
	f.changed = append(f.changed, record)
	return record
}

// change is a change by another replica, which the feed tells.
func (f *fakeShared) change(record Record) {
	f.mu.Lock()
	f.write(record)
	f.mu.Unlock()
	f.tell()
}

// tell sends the news that something has changed.
func (f *fakeShared) tell() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

func (f *fakeShared) List(context.Context) ([]Record, error) {
	return nil, errors.New("nobody lists here")
}

func (f *fakeShared) Tenant(context.Context, string) (Tenant, error) {
	return Tenant{}, errors.New("nobody asks for one here")
}

func (f *fakeShared) UpdateTenant(_ context.Context, name string, change func(Tenant) (TenantEdit, error)) (Tenant, error) {
	edit, err := change(Tenant{Name: name})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	edit.Tenant.Version = f.version
	f.moved = append(f.moved, edit.Tenant)
	return edit.Tenant, err
}

func (f *fakeShared) Tenants(context.Context) ([]Tenant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tenants), cmp.Or(f.down, f.tenantsErr)
}

func (f *fakeShared) Audit(context.Context, uint64, int) ([]Entry, error) { return nil, nil }

var errNoFeed = errors.New("there is no feed")

func (f *fakeShared) Changes(ctx context.Context, since uint64) (Changes, error) {
	f.mu.Lock()
	c, fed, delay, err := Changes{Version: f.version, Now: time.Now()}, f.fed, f.delay, f.down
	for _, r := range f.changed {
		if since > 0 && r.Key.Version > since {
			c.Records = append(c.Records, r)
		}
	}
	for _, t := range f.moved {
		if since > 0 && t.Version > since {
			c.Tenants = append(c.Tenants, t)
		}
	}
	if since > 0 {
		c.Unreadable, f.unread = f.unread, nil
	}
	f.mu.Unlock()
	if !fed {
		return Changes{}, errNoFeed
	}
	if delay > 0 && !sleep(ctx, delay) {
		return Changes{}, ctx.Err()
	}
	return c, err
}

func (f *fakeShared) Wake(context.Context) <-chan struct{} { return f.news }

func (f *fakeShared) EachDigest(_ context.Context, take func([]Digest)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	take(slices.Collect(maps.Keys(f.byDigest)))
	return f.down
}

// funcStore makes up its answer to each look-up by digest.
type funcStore struct {
	brokenStore
	answer func() (Record, error)
}

func (s funcStore) ByDigest(context.Context, Digest, netip.Addr) (Record, error) { return s.answer() }

func (s funcStore) Changes(context.Context, uint64) (Changes, error) { return Changes{}, errNoFeed }

func (s funcStore) Wake(context.Context) <-chan struct{} { return nil }

func (s funcStore) EachDigest(context.Context, func([]Digest)) error { return errNoFeed }
