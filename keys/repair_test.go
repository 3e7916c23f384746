package keys

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What is heard beats what is answered later, whoever answers.
func TestFeedIsNotUndone(t *testing.T) {
	fed(t, "by an answer that was under way", func(t *testing.T, r replica) {
		r.shared.answers(100*time.Millisecond, nil)
		var group sync.WaitGroup
		group.Go(func() { _, _, _ = r.look(1) }) // its answer is the key as it is now
		synctest.Wait()
		r.shared.answers(0, nil)
		r.shared.change(revoked())
		time.Sleep(pollGap)
		group.Wait()
		synctest.Wait()
		if !r.isRevoked() {
			t.Error("a late answer brought the key back")
		}
	})
	fed(t, "by a server that has been replaced", func(t *testing.T, r replica) {
		r.shared.change(revoked())
		time.Sleep(pollGap)
		synctest.Wait()
		r.shared.mu.Lock()
		r.shared.byDigest[contractRecord(1).Secrets[0].Digest] = contractRecord(1) // version 0
		r.shared.mu.Unlock()
		if !r.isRevoked() {
			t.Error("an older state brought the key back")
		}
		if !r.isRevoked() {
			t.Error("an older state was remembered")
		}
	})
}

// A store that has lost its last changes, or all it had, is believed anew, but for keys that had ended.
func TestFeedBeginsAnew(t *testing.T) {
	fed(t, "a key that was forgotten", func(t *testing.T, r replica) {
		r.shared.change(renamed("changed"))
		time.Sleep(pollGap)
		r.finds(1, "changed", 0, 1)
		r.shared.mu.Lock()
		r.shared.version, r.shared.changed = 0, nil
		r.shared.byDigest = map[Digest]Record{contractRecord(1).Secrets[0].Digest: renamed("as it was before")}
		r.shared.mu.Unlock()
		time.Sleep(pollEvery + pollGap)
		synctest.Wait()
		r.finds(1, "as it was before", 0, 1)
		r.shared.mu.Lock()
		clear(r.shared.byDigest)
		r.shared.mu.Unlock()
		r.shared.change(contractRecord(2))
		time.Sleep(time.Minute)
		_, _, _ = r.look(1)
		synctest.Wait()
		if _, _, err := r.look(1); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	fed(t, "a revocation that was forgotten", func(t *testing.T, r replica) {
		r.shared.change(contractRecord(2))
		r.finds(1, "ci", 0, 1)
		r.shared.change(revoked())
		time.Sleep(pollGap)
		synctest.Wait()
		r.shared.mu.Lock()
		r.shared.version, r.shared.changed = 1001, nil
		r.shared.byDigest[contractRecord(1).Secrets[0].Digest] = contractRecord(1)
		r.shared.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if !r.isRevoked() {
			t.Error("the key came back")
		}
		r.shared.mu.Lock()
		defer r.shared.mu.Unlock()
		if r.shared.byDigest[contractRecord(1).Secrets[0].Digest].Key.RevokedAt.IsZero() {
			t.Error("the store was not told again")
		}
	})
}

// After the store has lost changes of tenants, what it has left counts, and nobody is without limits in between.
func TestFeedLosesTenants(t *testing.T) {
	fed(t, "one goes back, one goes", func(t *testing.T, r replica) {
		set := func(name string, limit int) {
			t.Helper()
			_, err := r.shared.UpdateTenant(t.Context(), name, func(Tenant) (TenantEdit, error) {
				return TenantEdit{Tenant: Tenant{Name: name, Limits: Limits{RequestsPerMinute: limit}}}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			r.shared.tell()
			time.Sleep(pollGap)
			synctest.Wait()
		}
		set("acme", 60)
		set("gone", 60)
		r.shared.mu.Lock()
		r.shared.version, r.shared.moved = 1000, nil
		r.shared.tenants = []Tenant{{Name: "acme", Limits: Limits{RequestsPerMinute: 30}, Version: 999}}
		r.shared.mu.Unlock()
		r.shared.tell()
		synctest.Wait()
		if r.TenantLimits("gone").RequestsPerMinute == 0 && r.TenantLimits("acme").RequestsPerMinute == 60 {
			t.Error("limits were dropped before others were read")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if acme, gone := r.TenantLimits("acme"), r.TenantLimits("gone"); acme.RequestsPerMinute != 30 || gone != (Limits{}) {
			t.Errorf("got %+v and %+v, want 30 a minute and none", acme, gone)
		}
	})
}

// The end of a key is made again as soon as the store can be written to, however long that takes, and once.
func TestRepairGoesOn(t *testing.T) {
	fed(t, "while the new master refuses to be written to", func(t *testing.T, r replica) {
		r.shared.change(contractRecord(2))
		r.finds(1, "ci", 0, 1)
		gone := revoked()
		gone.Key.Severed = true
		r.shared.change(gone)
		time.Sleep(pollGap)
		synctest.Wait()
		r.shared.mu.Lock()
		r.shared.version, r.shared.changed, r.shared.refuses = 1001, nil, errors.New("NOREPLICAS Not enough good replicas to write")
		r.shared.byDigest[contractRecord(1).Secrets[0].Digest] = contractRecord(1)
		r.shared.mu.Unlock()
		time.Sleep(10 * time.Minute)
		r.shared.mu.Lock()
		r.shared.refuses = nil
		r.shared.mu.Unlock()
		time.Sleep(maxRepairPause + time.Second)
		synctest.Wait()
		r.shared.mu.Lock()
		defer r.shared.mu.Unlock()
		if key := r.shared.byDigest[contractRecord(1).Secrets[0].Digest].Key; key.RevokedAt.IsZero() || !key.Severed {
			t.Error("the store was not told again")
		}
		if len(r.shared.changed) != 1 || len(r.repairs.lost) != 0 {
			t.Errorf("%d changes, %d left; want one and none", len(r.shared.changed), len(r.repairs.lost))
		}
	})
}

func TestEndedAgainTakesNothingBack(t *testing.T) {
	early, late := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	f := func(stored, heard Key, wantDeleted, wantRevoked time.Time, wantErr error) {
		t.Helper()
		edit, err := endedAgain(Record{Key: &stored}, &heard)
		if !errors.Is(err, wantErr) {
			t.Errorf("got %v, want %v", err, wantErr)
		}
		if err == nil && (!edit.Record.Key.DeletedAt.Equal(wantDeleted) || !edit.Record.Key.RevokedAt.Equal(wantRevoked)) {
			t.Errorf("got %+v", edit.Record.Key)
		}
	}
	f(Key{RevokedAt: late, DeletedAt: late}, Key{RevokedAt: early, Severed: true}, late, late, nil)
	f(Key{RevokedAt: late, DeletedAt: late, Severed: true}, Key{RevokedAt: early}, late, late, errUnchanged)
	f(Key{}, Key{RevokedAt: early}, time.Time{}, early, nil)
	f(Key{RevokedAt: early}, Key{RevokedAt: early, DeletedAt: late}, late, early, nil)
}

// A replica without a feed learns of a revocation by a question: open answers end all the same.
func TestSeveredByAQuestion(t *testing.T) {
	inBubble(t, "without a feed", func(t *testing.T, r replica) {
		watch := r.Cuts().Watch(contractRecord(1).Key.ID)
		r.finds(1, "ci", 0, 1)
		gone := revoked()
		gone.Key.Severed = true
		r.shared.set(contractRecord(1).Secrets[0].Digest, gone)
		time.Sleep(time.Second)
		if !r.isRevoked() || !watch.Severed() {
			t.Error("not severed")
		}
	})
}

// One tenant of a newer binary does not take the limits of the others away, nor the index.
func TestUnreadableTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newFakeShared(contractRecord(1))
		shared.fed = true
		shared.tenants, shared.tenantsErr = []Tenant{{Name: "acme", Limits: Limits{RequestsPerMinute: 7}, Version: 5}}, ErrUnreadable
		s := cached(t, shared, DefaultConfig())
		time.Sleep(time.Second)
		synctest.Wait()
		if got := s.TenantLimits("acme").RequestsPerMinute; got != 7 || !s.feed.index.ready() {
			t.Errorf("%d a minute, index ready: %v; want 7 and true", got, s.feed.index.ready())
		}
	})
}

// A list that was read before the store lost its changes does not bring them back.
func TestOldListOfTenants(t *testing.T) {
	var l tenantLimits
	reading := l.reading()
	l.distrust()
	l.replace([]Tenant{{Name: "acme", Limits: Limits{RequestsPerMinute: 60}, Version: 9}}, reading)
	l.heed(Tenant{Name: "acme", Limits: Limits{RequestsPerMinute: 30}, Version: 8})
	if got := l.of("acme").RequestsPerMinute; got != 30 {
		t.Errorf("%d a minute, want 30", got)
	}
}
