package keys

import (
	"context"
	"errors"
	"sync"
	"time"
)

var errDown = errors.New("connection refused")

// fakeShared is a shared Store in memory, without sockets, so that it works in
// a bubble. It can refuse to answer, take its time, or both. A look-up sees what
// is there when it begins: that makes late answers old ones.
type fakeShared struct {
	mu       sync.Mutex
	byDigest map[Digest]Record
	down     error         // what every call returns, unless nil
	delay    time.Duration // of each look-up by digest
	asked    int           // look-ups by digest
}

func newFakeShared(records ...Record) *fakeShared {
	f := &fakeShared{byDigest: make(map[Digest]Record)}
	for _, r := range records {
		f.byDigest[r.Digest] = r
	}
	return f
}

// silent is a delay that no caller waits for.
const silent = time.Hour

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

// set puts a record there, or with no key removes it, as another replica would.
func (f *fakeShared) set(digest Digest, record Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if record.Key == nil {
		delete(f.byDigest, digest)
		return
	}
	f.byDigest[digest] = record
}

func (f *fakeShared) ByDigest(ctx context.Context, digest Digest) (Record, error) {
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

func (f *fakeShared) Insert(_ context.Context, record Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return f.down
	}
	f.byDigest[record.Digest] = record
	return nil
}

func (f *fakeShared) Update(ctx context.Context, id string, change func(Key) Key) (*Key, error) {
	record, err := f.ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	changed := change(*record.Key)
	record.Key = &changed
	f.set(record.Digest, record)
	return &changed, nil
}

func (f *fakeShared) List(context.Context) ([]Record, error) {
	return nil, errors.New("nobody lists here")
}

// funcStore makes up its answer to each look-up by digest.
type funcStore struct {
	brokenStore
	answer func() (Record, error)
}

func (s funcStore) ByDigest(context.Context, Digest) (Record, error) { return s.answer() }
