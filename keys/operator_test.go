package keys

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUpdate(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci", Models: []string{"gpt-*"}, ExpiresAt: clock.at.Add(time.Hour)})
	cidrs := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	clock.at = clock.at.Add(time.Minute)
	updated, err := d.By("test").Update(t.Context(), key.ID, func(s *Spec) {
		s.Name, s.Models, s.CIDRs, s.Disabled = "new", nil, cidrs, true
		s.Limits = Limits{RequestsPerMinute: 60, Burst: 10, TokensPerMinute: 1000, Concurrent: 4, Shadow: true}
		s.Budget = Budget{NanoUSD: 25_500_000_000, Per: PerMonth}
		s.ExpiresAt = clock.at.Add(2 * time.Hour).In(time.FixedZone("", 3600))
	})
	if err != nil {
		t.Fatal(err)
	}
	cidrs[0] = netip.MustParsePrefix("0.0.0.0/0")
	want := &Key{
		ID: key.ID, Tenant: "acme", Name: "new", Last4: key.Last4, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Limits:   Limits{RequestsPerMinute: 60, Burst: 10, TokensPerMinute: 1000, Concurrent: 4, Shadow: true},
		Budget:   Budget{NanoUSD: 25_500_000_000, Per: PerMonth},
		Disabled: true, CreatedAt: key.CreatedAt, UpdatedAt: time.Date(2026, 3, 1, 12, 1, 0, 123_000_000, time.UTC),
		ExpiresAt: time.Date(2026, 3, 1, 14, 1, 0, 123_456_789, time.UTC), Version: updated.Version,
	}
	shown, err := d.Show(t.Context(), key.ID)
	if diff := cmp.Diff([]*Key{want, want}, []*Key{updated, shown}, prefixes()); err != nil || diff != "" {
		t.Errorf("Update: %v (-want +got):\n%s", err, diff)
	}
	if updated.Version <= key.Version {
		t.Errorf("version %d came after %d", updated.Version, key.Version)
	}
	wantRefused(t, d, secret, ErrDisabled)
	if _, err := d.By("test").Update(t.Context(), key.ID, func(s *Spec) { s.Disabled = false }); err != nil {
		t.Fatal(err)
	}
	wantIn(t, d, secret)

	// An expired key can be changed, and brought back.
	clock.at = want.ExpiresAt.Add(time.Minute)
	wantRefused(t, d, secret, ErrExpired)
	if _, err := d.By("test").Update(t.Context(), key.ID, func(s *Spec) { s.Name = "late" }); err != nil {
		t.Error(err)
	}
	wantRefused(t, d, secret, ErrExpired)
	if _, err := d.By("test").Update(t.Context(), key.ID, func(s *Spec) { s.ExpiresAt = time.Time{} }); err != nil {
		t.Error(err)
	}
	wantIn(t, d, secret)
}

func prefixes() cmp.Option {
	return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
}

func TestUpdateThatChangesNothing(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	key, _ := create(t, d, Spec{Tenant: "acme", Name: "ci", ExpiresAt: clock.at.Add(time.Hour)})
	f := func(change func(*Spec)) {
		t.Helper()
		updated, err := d.By("test").Update(t.Context(), key.ID, change)
		if diff := cmp.Diff(key, updated); err != nil || diff != "" {
			t.Errorf("Update: %v (-want +got):\n%s", err, diff)
		}
	}
	f(func(*Spec) {})
	f(func(s *Spec) { s.Models, s.CIDRs = []string{}, []netip.Prefix{} })
	f(func(s *Spec) { s.ExpiresAt = s.ExpiresAt.In(time.FixedZone("", 3600)) })
	if lines, _, err := d.Audit(t.Context(), AuditQuery{}); err != nil || len(lines) != 1 {
		t.Errorf("%d lines in the audit, %v; want 1", len(lines), err)
	}
}

func TestUpdateIsRefused(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci", Models: []string{"gpt-4"}})
	f := func(change func(*Spec), want ...string) {
		t.Helper()
		if updated, err := d.By("test").Update(t.Context(), key.ID, change); updated != nil || fmt.Sprint(err) != strings.Join(want, "\n") {
			t.Errorf("got  %v\nwant %s", err, strings.Join(want, "\n"))
		}
	}
	const tenant = "tenant: cannot change: create a key for the other tenant, and revoke this one"
	f(func(s *Spec) { s.Tenant = "globex" }, tenant)
	f(func(s *Spec) { s.Tenant = "NOT A TENANT" }, tenant)
	f(func(s *Spec) { s.ExpiresAt = time.Unix(0, 0) }, "expires: must be in the future, got 1970-01-01T00:00:00Z")
	f(func(s *Spec) { s.Tenant, s.Name, s.Burst, s.Models[0] = "globex", "", 10, "a b" }, tenant,
		`name: must be 1 to 64 printable characters without a space at either end, got ""`,
		`models: each must be a model name or a prefix and "*", 1 to 128 letters, digits and . _ : / @ + -, got "a b"`,
		"burst: must come with requests_per_minute, whose bucket it sizes")
	wantAdmitted(t, d, secret, key)
	if _, err := d.By("test").Revoke(t.Context(), key.ID, Soon); err != nil {
		t.Fatal(err)
	}
	f(func(s *Spec) { s.Name = "new" }, "the key is revoked for good: create another")
	if _, err := d.By("test").Update(t.Context(), "key_doesnotexist", func(*Spec) {}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// Whoever changes a key at the same time as others changes what they have made of it.
func TestUpdatesAtTheSameTime(t *testing.T) {
	db := openBolt(t, t.TempDir())
	db.NoSync = true
	d, _ := newDirectory(t, newBoltStore(t, db), "")
	key, _ := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := d.By("test").Update(t.Context(), key.ID, func(s *Spec) { s.RequestsPerMinute++ }); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			if _, _, err := d.By("test").Rotate(t.Context(), key.ID, time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	shown, err := d.Show(t.Context(), key.ID)
	if err != nil || shown.RequestsPerMinute != 20 {
		t.Errorf("got %+v, %v; want 20 requests per minute", shown, err)
	}
	if lines, _, err := d.Audit(t.Context(), AuditQuery{}); err != nil || len(lines) != 41 {
		t.Errorf("%d lines in the audit, %v; want 41", len(lines), err)
	}
}

// What changes is told once; what is as it was, or is refused, is not.
func TestOnChange(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	var told []string
	alice := d.By("alice").OnChange(func(e Entry) { told = append(told, string(e.Action)) })
	spec := Spec{Tenant: "acme", Name: "ci"}
	key, _, err := alice.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, _, imported := alice.Import(t.Context(), spec, existing(foreignSecret(1)))
		_, updated := alice.Update(t.Context(), key.ID, func(s *Spec) { s.Disabled = true })
		_, rotated := alice.RotateTo(t.Context(), key.ID, 0, existing(foreignSecret(2)))
		_, set := alice.SetTenant(t.Context(), "acme", func(s *TenantSpec) { s.Concurrent = 1 })
		if err := errors.Join(imported, updated, rotated, set); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		_, unset := alice.DeleteTenant(t.Context(), "acme")
		_, revoked := alice.Revoke(t.Context(), key.ID, Soon)
		if err := errors.Join(unset, revoked); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := alice.Delete(t.Context(), key.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := alice.Update(t.Context(), key.ID, func(s *Spec) { s.Name = "gone" }); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, _, err := alice.Create(t.Context(), Spec{}); err == nil {
		t.Error("an empty spec was taken")
	}
	want := []string{"key.create", "key.import", "key.update", "key.rotate", "tenant.set", "tenant.delete", "key.revoke", "key.delete"}
	if !slices.Equal(told, want) {
		t.Errorf("got  %v\nwant %v", told, want)
	}
	entries, _, err := d.Audit(t.Context(), AuditQuery{})
	if err != nil || len(entries) != len(want) {
		t.Errorf("%d lines in the audit, %v", len(entries), err)
	}
}
