package keys

import (
	"errors"
	"iter"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// setTenant is an UpdateTenant's change to these limits.
func setTenant(l Limits) func(Tenant) (TenantEdit, error) {
	return func(t Tenant) (TenantEdit, error) {
		t.Limits, t.UpdatedAt = l, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		return TenantEdit{Tenant: t, Entry: Entry{At: t.UpdatedAt, By: "alice", Action: ActionSetTenant, Tenant: t.Name}}, nil
	}
}

func deleteTenant(t Tenant) (TenantEdit, error) {
	gone := Tenant{Name: t.Name, UpdatedAt: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), Deleted: true}
	return TenantEdit{Tenant: gone, Entry: Entry{At: gone.UpdatedAt, By: "alice", Action: ActionDeleteTenant, Tenant: t.Name}}, nil
}

// sooner is a store as it is, and later as it is found again.
func sooner(s Records, reopen func() Records) iter.Seq[Records] {
	return func(yield func(Records) bool) {
		if yield(s) {
			yield(reopen())
		}
	}
}

// deleted makes a tombstone.
func deleted(at time.Time) func(*Record) {
	return func(r *Record) { r.Key.RevokedAt, r.Key.DeletedAt = at, at }
}

// wantAudit wants these lines, latest first, each an action and what was changed, with versions that fall.
func wantAudit(t *testing.T, s Auditor, want ...string) {
	t.Helper()
	entries, err := s.Audit(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	got, last := []string{}, uint64(1<<63)
	for _, e := range entries {
		what := e.KeyID
		if what == "" {
			what = e.Tenant
		}
		got = append(got, string(e.Action)+" "+what)
		if e.Version >= last || e.Version == 0 {
			t.Errorf("version %d of the audit comes after %d", e.Version, last)
		}
		last = e.Version
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

func wantTenants(t *testing.T, s TenantRegistry, want ...Tenant) {
	t.Helper()
	got, err := s.Tenants(t.Context())
	if diff := cmp.Diff(want, got, likeStored()); err != nil || diff != "" {
		t.Errorf("Tenants: %v (-want +got):\n%s", err, diff)
	}
}

func storeRotates(t *testing.T, s Records, reopen func() Records) {
	until := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	mustInsert(t, s, contractRecord(1))
	old := contractSecret(1)
	old.Until = until
	want := contractRecord(1)
	want.Key.PreviousUntil = until
	want.Secrets = []StoredSecret{contractSecret(2), old}
	mustUpdate(t, s, 1, func(r *Record) { r.Secrets, r.Key.PreviousUntil = want.Secrets, until })
	wantStored(t, s, want)
	wantStored(t, reopen(), want)
	s = reopen()
	want.Secrets = []StoredSecret{contractSecret(3), contractSecret(2)}
	mustUpdate(t, s, 1, func(r *Record) { r.Secrets = want.Secrets })
	wantStored(t, s, want)
	wantNoDigest(t, s, old)
	other := contractRecord(4) // what was dropped is anybody's
	other.Secrets = []StoredSecret{contractSecret(1)}
	mustInsert(t, s, other)
	s = reopen()
	wantStored(t, s, want)
	wantStored(t, s, other)
}

func storeDeletes(t *testing.T, s Records, reopen func() Records) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	mustInsert(t, s, contractRecord(1), contractRecord(2))
	mustUpdate(t, s, 1, func(r *Record) { r.Secrets = []StoredSecret{contractSecret(3), contractSecret(1)} })
	tombstone := mustUpdate(t, s, 1, deleted(at))
	for s := range sooner(s, reopen) {
		wantNoDigest(t, s, contractSecret(1), contractSecret(3))
		got, err := s.ByID(t.Context(), tombstone.Key.ID)
		if diff := cmp.Diff(tombstone, got, likeStored()); err != nil || diff != "" || !got.Key.DeletedAt.Equal(at) || len(got.Secrets) != 2 {
			t.Errorf("tombstone: %v (-want +got):\n%s", err, diff)
		}
		if all, err := s.List(t.Context()); err != nil || len(all) != 1 || all[0].Key.ID != contractRecord(2).Key.ID {
			t.Errorf("list: got %d keys, %v", len(all), err)
		}
		if _, err := s.Insert(t.Context(), created(contractRecord(1))); !errors.Is(err, ErrDuplicate) {
			t.Errorf("insert over a tombstone: got %v, want ErrDuplicate", err)
		}
	}
}

func storeEmptiesGraves(t *testing.T, s Records, reopen func() Records) {
	mustInsert(t, s, contractRecord(1), contractRecord(2), contractRecord(3))
	mustUpdate(t, s, 1, deleted(time.Now().Add(-graveTime-time.Minute)))
	mustUpdate(t, s, 2, deleted(time.Now().Add(-graveTime+time.Minute)))
	heir := contractRecord(4) // its digest is that of a tombstone
	heir.Secrets = contractRecord(2).Secrets
	mustInsert(t, s, heir)
	for s := range sooner(s, reopen) {
		if _, err := s.ByID(t.Context(), contractRecord(1).Key.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("a week later: got %v, want ErrNotFound", err)
		}
		if r, err := s.ByID(t.Context(), contractRecord(2).Key.ID); err != nil || r.Key.DeletedAt.IsZero() {
			t.Errorf("a minute before: got %+v, %v", r.Key, err)
		}
		wantStored(t, s, heir)
	}
	s = reopen()
	mustUpdate(t, s, 2, deleted(time.Now().Add(-graveTime-time.Minute)))
	wantStored(t, s, heir)
	mustUpdate(t, s, 3, func(r *Record) { r.Key.Name = "any change" })
	wantStored(t, s, heir)
	if _, err := s.ByID(t.Context(), contractRecord(2).Key.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a week later: got %v, want ErrNotFound", err)
	}
	again := contractRecord(1)
	mustInsert(t, s, again)
	wantStored(t, s, again)
}

// fullRecord has a value in every field.
func fullRecord() Record {
	return Record{
		Key: &Key{
			ID: "key_000000000001", Tenant: "acme", Name: `née "ci" <build> 東京`, Last4: `"\<>`,
			Models:        []string{"gemini-flash", "gpt-*"},
			CIDRs:         []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")},
			Limits:        Limits{RequestsPerMinute: 1_000_000_000, Burst: 7, TokensPerMinute: 1_000_000_000_000, Concurrent: 1_000_000, Shadow: true},
			Budget:        Budget{NanoUSD: 1<<63 - 1, Per: PerMonth},
			Disabled:      true,
			CreatedAt:     time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC),
			UpdatedAt:     time.Date(2026, 1, 2, 3, 4, 5, 679_000_000, time.UTC),
			RotatedAt:     time.Date(2026, 1, 2, 3, 4, 5, 680_000_000, time.UTC),
			PreviousUntil: time.Date(2026, 1, 2, 3, 4, 5, 681_000_000, time.UTC),
			ExpiresAt:     time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
			RevokedAt:     time.Date(2026, 1, 2, 3, 4, 5, 682_000_000, time.UTC),
			Severed:       true,
		},
		Secrets: []StoredSecret{
			{Digest: contractSecret(1).Digest, Scheme: "hmac-sha256-2:00112233"},
			{Digest: contractSecret(2).Digest, Scheme: schemePlain, Until: time.Date(2026, 1, 2, 3, 4, 5, 683_000_000, time.UTC)},
			{Digest: contractSecret(3).Digest, Scheme: schemePlain, Until: time.Date(2026, 1, 2, 3, 4, 5, 684_000_000, time.UTC)},
		},
	}
}

func storeKeepsEveryField(t *testing.T, s Records, reopen func() Records) {
	r := fullRecord()
	entry := Entry{
		At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), By: "al ice", Action: ActionRotate, KeyID: r.Key.ID, Tenant: "acme",
		Changes: []FieldChange{{Field: "name", From: "a b", To: "<c>"}, {Field: "disabled", To: "true"}, {Field: "models", From: "gpt-*"}},
	}
	tenant := Tenant{
		Name: "acme", Limits: r.Key.Limits, Budget: Budget{NanoUSD: 1, Per: InTotal}, UpdatedAt: time.Date(2026, 1, 2, 3, 4, 5, 7, time.UTC),
	}
	if _, err := s.Insert(t.Context(), Edit{Record: r, Entry: entry}); err != nil {
		t.Fatal(err)
	}
	change := Entry{At: tenant.UpdatedAt, By: "bob", Action: ActionSetTenant, Tenant: "acme", Changes: []FieldChange{{Field: "burst", To: "7"}}}
	_, err := s.UpdateTenant(t.Context(), "acme", func(Tenant) (TenantEdit, error) { return TenantEdit{Tenant: tenant, Entry: change}, nil })
	if err != nil {
		t.Fatal(err)
	}
	for s := range sooner(s, reopen) {
		wantStored(t, s, r)
		wantTenants(t, s, tenant)
		got, err := s.Audit(t.Context(), 0, 10)
		if diff := cmp.Diff([]Entry{change, entry}, got, likeStored()); err != nil || diff != "" {
			t.Errorf("audit: %v (-want +got):\n%s", err, diff)
		}
	}
}

func storeCounts(t *testing.T, s Records, reopen func() Records) {
	began := time.Now().Add(-time.Minute).UnixMicro()
	var versions []uint64
	for n := range 5 {
		r, err := s.Insert(t.Context(), created(contractRecord(n)))
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, r.Key.Version)
		tenant, err := s.UpdateTenant(t.Context(), "acme", setTenant(Limits{Concurrent: n + 1}))
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, tenant.Version)
		s = reopen()
	}
	gone, err := s.UpdateTenant(t.Context(), "acme", deleteTenant)
	if err != nil || !gone.Deleted {
		t.Fatal(gone, err)
	}
	s = reopen()
	versions = append(versions, gone.Version, mustUpdate(t, s, 1, func(r *Record) { r.Key.Name = "x" }).Key.Version)
	last := uint64(began)
	for i, v := range versions {
		if v <= last {
			t.Errorf("version %d: got %d after %d", i, v, last)
		}
		last = v
	}
	if most := uint64(time.Now().Add(time.Minute).UnixMicro()); last > most {
		t.Errorf("version %d is not about the microsecond of the present", last)
	}
}

func storeAudits(t *testing.T, s Records, reopen func() Records) {
	const count = 7
	for n := range count {
		mustInsert(t, s, contractRecord(n))
	}
	s = reopen()
	seen, before := []string{}, uint64(0)
	for page := 0; ; page++ {
		entries, err := s.Audit(t.Context(), before, 3)
		if err != nil || page > count {
			t.Fatal(page, err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if r, err := s.ByID(t.Context(), e.KeyID); err != nil || r.Key.Version != e.Version {
				t.Errorf("%s: got version %d in the audit, %d in the key, %v", e.KeyID, e.Version, r.Key.Version, err)
			}
			seen = append(seen, e.KeyID)
			before = e.Version
		}
	}
	want := []string{}
	for n := range count {
		want = append(want, contractRecord(count-1-n).Key.ID)
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if entries, err := s.Audit(t.Context(), 1, 3); err != nil || len(entries) != 0 {
		t.Errorf("before everything: got %d entries, %v", len(entries), err)
	}
}

func storeKeepsTenants(t *testing.T, s Records, reopen func() Records) {
	if _, err := s.Tenant(t.Context(), "acme"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a stranger: got %v, want ErrNotFound", err)
	}
	wantTenants(t, s)
	for i, name := range []string{"zeta", "acme", "beta"} {
		got, err := s.UpdateTenant(t.Context(), name, setTenant(Limits{RequestsPerMinute: i + 1}))
		if err != nil || got.Name != name || got.Version == 0 {
			t.Fatal(got, err)
		}
	}
	acme, err := s.UpdateTenant(t.Context(), "acme", func(t Tenant) (TenantEdit, error) {
		limits := t.Limits
		limits.Burst = 9
		edit, err := setTenant(limits)(t)
		edit.Tenant.Name = "other" // that cannot change
		return edit, err
	})
	if err != nil || acme.Name != "acme" || acme.RequestsPerMinute != 2 || acme.Burst != 9 {
		t.Errorf("got %+v, %v", acme, err)
	}
	if _, err := s.UpdateTenant(t.Context(), "zeta", deleteTenant); err != nil {
		t.Fatal(err)
	}
	for s := range sooner(s, reopen) {
		got, err := s.Tenant(t.Context(), "acme")
		if diff := cmp.Diff(acme, got); err != nil || diff != "" {
			t.Errorf("Tenant: %v (-want +got):\n%s", err, diff)
		}
		if _, err := s.Tenant(t.Context(), "zeta"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a deleted tenant: got %v, want ErrNotFound", err)
		}
		beta := Tenant{Name: "beta", Limits: Limits{RequestsPerMinute: 3}, UpdatedAt: acme.UpdatedAt}
		wantTenants(t, s, acme, beta)
		wantAudit(t, s, "tenant.delete zeta", "tenant.set acme", "tenant.set beta", "tenant.set acme", "tenant.set zeta")
	}
	s = reopen()
	again, err := s.UpdateTenant(t.Context(), "zeta", func(before Tenant) (TenantEdit, error) {
		if before != (Tenant{Name: "zeta"}) {
			t.Errorf("a deleted tenant is given as %+v", before)
		}
		return setTenant(Limits{Concurrent: 1})(before)
	})
	if err != nil || again.Concurrent != 1 {
		t.Errorf("got %+v, %v", again, err)
	}
}
