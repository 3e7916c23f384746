package keys

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tollgate/telemetry"
)

const (
	// repairPause is how long a replica waits before it tries again to make a lost revocation, the first time; then twice as
	// long each time, up to maxRepairPause.
	repairPause    = time.Second
	maxRepairPause = time.Minute
)

// repairs are the ends of keys that the shared store has lost, by id.
type repairs struct {
	mu       sync.Mutex
	lost     map[string]*Key
	underway bool
	failures throttle
}

// distrust begins anew after the store has lost its last changes, as in a fail-over, or all that it had: each key is
// asked for once more, and all digests are read again. What was heard of an ended key stays, and is told to the store:
// it must not come back. version is up to where the store still knows all.
func (s *CachedStore) distrust(version uint64) {
	if count := s.feed.losses.due(); count > 0 {
		s.log.Warn("the key store has lost its last changes: what has ended is ended again, all else must be changed again by whoever did it",
			telemetry.FieldCount, count)
	}
	var lost []*Key
	s.mu.Lock()
	for id, record := range s.newest.All() {
		switch {
		case record.Key.RevokedAt.IsZero():
			s.newest.Invalidate(id)
		case record.Key.Version > version:
			lost = append(lost, record.Key)
		}
	}
	clear(s.questions)
	s.mu.Unlock()
	s.suspect()
	s.tenants.distrust()
	s.feed.index.outdate()
	s.repair(lost)
}

// repair makes the ends of keys again that the shared store has lost: what an operator
// was told to be revoked must not come back with a fail-over. Every replica that heard of them tries, and the first does it.
func (s *CachedStore) repair(lost []*Key) {
	r := &s.repairs
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost == nil {
		r.lost = make(map[string]*Key)
	}
	for _, key := range lost {
		r.lost[key.ID] = key
	}
	if len(r.lost) > 0 && !r.underway {
		r.underway = true
		s.asking.Go(func() { s.repairAll(s.lifetime) })
	}
}

// repairAll tries until all is repaired, or ctx ends: a new master may refuse to be written to for minutes.
func (s *CachedStore) repairAll(ctx context.Context) {
	for pause := repairPause; s.repairOnce(ctx) > 0 && sleep(ctx, pause); {
		pause = min(2*pause, maxRepairPause)
	}
}

// repairOnce tries each, and returns how many are left.
func (s *CachedStore) repairOnce(ctx context.Context) int {
	r := &s.repairs
	r.mu.Lock()
	todo := make([]*Key, 0, len(r.lost))
	for _, key := range r.lost {
		todo = append(todo, key)
	}
	r.mu.Unlock()
	done := slices.DeleteFunc(todo, func(ended *Key) bool { return !s.endAgain(ctx, ended) })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range done {
		if r.lost[key.ID] == key {
			delete(r.lost, key.ID)
		}
	}
	r.underway = len(r.lost) > 0 && ctx.Err() == nil
	return len(r.lost)
}

// endAgain reports whether the key has ended in the shared store, or is not there.
func (s *CachedStore) endAgain(ctx context.Context, ended *Key) bool {
	asked := time.Since(s.started)
	record, err := s.shared.Update(ctx, ended.ID, func(r Record) (Edit, error) { return endedAgain(r, ended) })
	switch {
	case err == nil:
		s.heed(record, asked)
	case errors.Is(err, ErrNotFound):
	default:
		if count := s.repairs.failures.due(); count > 0 && ctx.Err() == nil {
			s.log.Warn("the end of a key that the key store has lost could not be made again yet", telemetry.FieldKeyID, ended.ID,
				telemetry.FieldError, err, telemetry.FieldCount, count)
		}
		return false
	}
	return true
}

// endedAgain ends the key of the record as it had ended, and takes nothing back that was done to it since.
func endedAgain(r Record, ended *Key) (Edit, error) {
	before, key := r.Key, *r.Key
	if key.RevokedAt.IsZero() {
		key.RevokedAt = ended.RevokedAt
	}
	if key.DeletedAt.IsZero() {
		key.DeletedAt = ended.DeletedAt
	}
	key.Severed = key.Severed || ended.Severed
	changes := differences(before.fields(), key.fields())
	if len(changes) == 0 {
		return Edit{}, errUnchanged
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	key.UpdatedAt = now
	r.Key = &key
	action := ActionRevoke
	if before.DeletedAt.IsZero() && !key.DeletedAt.IsZero() {
		action = ActionDelete
	}
	return Edit{Record: r, Entry: Entry{At: now, By: Gateway, Action: action, KeyID: key.ID, Tenant: key.Tenant, Changes: changes}}, nil
}
