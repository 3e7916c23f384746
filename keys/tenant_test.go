package keys

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLifeOfATenant(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	if _, err := d.Tenant(t.Context(), "acme"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	set, err := d.By("test").SetTenant(t.Context(), "acme", func(s *TenantSpec) {
		s.RequestsPerMinute, s.Budget = 600, Budget{NanoUSD: 1, Per: InTotal}
	})
	want := Tenant{
		Name: "acme", Limits: Limits{RequestsPerMinute: 600}, Budget: Budget{NanoUSD: 1, Per: InTotal},
		UpdatedAt: time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC), Version: set.Version,
	}
	f := func(what string, got Tenant, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
		if limits := d.TenantLimits("acme"); limits != want.Limits {
			t.Errorf("%s: limits %v, want %v", what, limits, want.Limits)
		}
	}
	f("SetTenant", set, err)
	clock.at = clock.at.Add(time.Minute)
	again, err := d.By("test").SetTenant(t.Context(), "acme", func(s *TenantSpec) { s.RequestsPerMinute = 600 })
	f("the same again", again, err)

	changed, err := d.By("test").SetTenant(t.Context(), "acme", func(s *TenantSpec) { s.Burst, s.Shadow = 50, true })
	if changed.Version <= set.Version {
		t.Errorf("version %d came after %d", changed.Version, set.Version)
	}
	want.Burst, want.Shadow, want.UpdatedAt, want.Version = 50, true, time.Date(2026, 3, 1, 12, 1, 0, 123_000_000, time.UTC), changed.Version
	f("a field", changed, err)
	shown, err := d.Tenant(t.Context(), "acme")
	f("Tenant", shown, err)
	if all, err := d.Tenants(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("Tenants: %v, %v", all, err)
	}

	key, secret := create(t, d, Spec{Tenant: "acme", Name: "ci"})
	deleted, err := d.By("test").DeleteTenant(t.Context(), "acme")
	if err != nil || !deleted.Deleted || deleted.Version <= changed.Version {
		t.Errorf("DeleteTenant: %+v, %v", deleted, err)
	}
	for _, name := range []string{"acme", "globex"} { // as it is already, and leaves no line in the audit
		if got, err := d.By("test").DeleteTenant(t.Context(), name); err != nil || got != (Tenant{Name: name}) {
			t.Errorf("DeleteTenant of a tenant without limits: %+v, %v", got, err)
		}
	}
	if _, err := d.By("test").DeleteTenant(t.Context(), "Acme"); len(FieldErrors(err)) != 1 {
		t.Errorf("DeleteTenant of a bad name: %v", err)
	}
	if limits := d.TenantLimits("acme"); limits != (Limits{}) {
		t.Errorf("a deleted tenant has %v", limits)
	}
	wantAdmitted(t, d, secret, key)
	if lines, _, err := d.Audit(t.Context(), AuditQuery{}); err != nil || len(lines) != 4 {
		t.Errorf("%d lines in the audit, %v; want 4", len(lines), err)
	}
}

func TestSetTenantIsRefused(t *testing.T) {
	d, _ := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), "")
	f := func(name string, spec TenantSpec, want ...string) {
		t.Helper()
		_, err := d.By("test").SetTenant(t.Context(), name, func(s *TenantSpec) { *s = spec })
		if fmt.Sprint(err) != strings.Join(want, "\n") {
			t.Errorf("got  %v\nwant %s", err, strings.Join(want, "\n"))
		}
	}
	const (
		badName  = "tenant: must be 1 to 32 lower-case letters, digits and inner hyphens, got "
		badBurst = "burst: must come with requests_per_minute, whose bucket it sizes"
	)
	f("", TenantSpec{}, badName+`""`)
	f("tenant:acme", TenantSpec{Limits: Limits{Burst: 1}}, badName+`"tenant:acme"`, badBurst)
	f("acme", TenantSpec{Limits: Limits{Burst: 1, Concurrent: -1}, Budget: Budget{NanoUSD: 1}},
		badBurst, "concurrent: must be 0 (none of its own) to 1000000, got -1", "budget_period: must be day, month or total where budget_usd is given")
	if all, err := d.Tenants(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("Tenants: %v, %v", all, err)
	}
}
