package keys

import (
	"context"
	"errors"
	"time"

	"tollgate/telemetry"
)

const (
	// repairTries and repairPause bound how long a replica tries to make a lost revocation again.
	repairTries = 10
	repairPause = time.Second
	// repairer is who did it, in the audit.
	repairer = "tollgate"
)

// repair makes the ends of keys again that the shared store has lost: what an operator
// was told to be revoked must not come back with a fail-over. Every replica that heard of them tries, and the first does it.
func (s *CachedStore) repair(ctx context.Context, lost []Record) {
	for _, heard := range lost {
		for range repairTries {
			asked := time.Since(s.started)
			record, err := s.shared.Update(ctx, heard.Key.ID, func(r Record) (Edit, error) { return endedAgain(r, heard.Key) })
			if err == nil {
				s.heed(record, asked)
			}
			if err == nil || errors.Is(err, ErrNotFound) {
				break
			}
			s.log.Warn("a revocation that the key store has lost could not be made again yet", telemetry.FieldKeyID, heard.Key.ID, telemetry.FieldError, err)
			if !sleep(ctx, repairPause) {
				return
			}
		}
	}
}

// endedAgain ends the key of the record as it had ended.
func endedAgain(r Record, ended *Key) (Edit, error) {
	before, key := r.Key, *r.Key
	if !before.RevokedAt.IsZero() && (!before.DeletedAt.IsZero() || ended.DeletedAt.IsZero()) && (before.Severed || !ended.Severed) {
		return Edit{}, errUnchanged
	}
	key.RevokedAt, key.DeletedAt, key.Severed, key.UpdatedAt = ended.RevokedAt, ended.DeletedAt, ended.Severed, ended.UpdatedAt
	r.Key = &key
	action := ActionRevoke
	if !ended.DeletedAt.IsZero() {
		action = ActionDelete
	}
	return Edit{Record: r, Entry: Entry{
		At: time.Now().UTC().Truncate(time.Millisecond), By: repairer, Action: action, KeyID: key.ID, Tenant: key.Tenant,
		Changes: differences(before.fields(), key.fields()),
	}}, nil
}
