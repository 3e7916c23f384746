package keys

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func storeInsertsOnce(t *testing.T, s Records, _ func() Records) {
	const callers = 8
	won := make(chan int, callers)
	record := func(n int) Record {
		r := contractRecord(n)
		r.Secrets = []StoredSecret{contractSecret(99)}
		return r
	}
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			switch _, err := s.Insert(t.Context(), created(record(n))); {
			case err == nil:
				won <- n
			case !errors.Is(err, ErrDuplicate):
				t.Errorf("got %v, want ErrDuplicate", err)
			}
		})
	}
	group.Wait()
	if len(won) != 1 {
		t.Fatalf("%d inserts of one digest succeeded, want 1", len(won))
	}
	wantStored(t, s, record(<-won))
}

func storeUpdatesAtomically(t *testing.T, s Records, _ func() Records) {
	mustInsert(t, s, contractRecord(1))
	const callers = 8
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			if _, err := s.Update(t.Context(), contractRecord(1).Key.ID, changed(func(r *Record) { r.Key.RequestsPerMinute++ })); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want := contractRecord(1)
	want.Key.RequestsPerMinute = callers
	wantStored(t, s, want)
}

func storeHonoursContext(t *testing.T, s Records, _ func() Records) {
	mustInsert(t, s, contractRecord(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, insert := s.Insert(ctx, created(contractRecord(2)))
	_, update := s.Update(ctx, contractRecord(1).Key.ID, changed(func(r *Record) { r.Key.Name = "changed" }))
	_, tenant := s.UpdateTenant(ctx, "acme", setTenant(Limits{Concurrent: 1}))
	for i, err := range []error{insert, update, tenant} {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("call %d: got %v, want ErrUnavailable and context.Canceled", i, err)
		}
	}
	wantStored(t, s, contractRecord(1))
	wantNoKey(t, s, 2)
	wantTenants(t, s)
	wantAudit(t, s, "key.create key_000000000001")
}

func storeSharesSafely(t *testing.T, s Records, _ func() Records) {
	mustInsert(t, s, contractRecord(1))
	before, err := s.ByDigest(t.Context(), contractSecret(1).Digest, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, s, 1, func(r *Record) {
		r.Key.RevokedAt = time.Now()
		r.Secrets = []StoredSecret{contractSecret(2), contractSecret(1)}
	})
	if diff := cmp.Diff(contractRecord(1), before, likeStored()); diff != "" {
		t.Errorf("a key in use was modified (-want +got):\n%s", diff)
	}
}

func storeUpdatesTenantsAtomically(t *testing.T, s Records, _ func() Records) {
	const callers = 8
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			_, err := s.UpdateTenant(t.Context(), "acme", func(t Tenant) (TenantEdit, error) {
				return setTenant(Limits{Concurrent: t.Concurrent + 1})(t)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got, err := s.Tenant(t.Context(), "acme"); err != nil || got.Concurrent != callers {
		t.Errorf("got %+v, %v, want %d", got, err, callers)
	}
	if entries, err := s.Audit(t.Context(), 0, 100); err != nil || len(entries) != callers {
		t.Errorf("got %d lines of the audit, %v, want %d", len(entries), err, callers)
	}
}
