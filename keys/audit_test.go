package keys

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// said in one line each, the newest first; ids, last characters and versions are replaced by names.
func auditText(t *testing.T, d *Directory, q AuditQuery, names *strings.Replacer) string {
	t.Helper()
	entries, _, err := d.Audit(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&text, "%s %s %s %s %s", e.At.Format(time.TimeOnly), e.By, e.Action, e.KeyID, e.Tenant)
		for _, c := range e.Changes {
			fmt.Fprintf(&text, " %s:%q->%q", c.Field, c.From, c.To)
		}
		text.WriteString("\n")
	}
	return names.Replace(text.String())
}

func TestAuditSaysWhoDidWhat(t *testing.T) {
	d, clock := newDirectory(t, newBoltStore(t, openBolt(t, t.TempDir())), testPepper)
	at := func(minute int) { clock.at = time.Date(2026, 3, 1, 12, minute, 0, 0, time.UTC) }
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at(0)
	key, first := create(t, d, Spec{
		Tenant: "acme", Name: "ci", Models: []string{"a", "b*"}, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Limits: Limits{RequestsPerMinute: 60, Burst: 5, TokensPerMinute: 1000, Concurrent: 2, Shadow: true},
		Budget: Budget{NanoUSD: 500_000_000, Per: PerDay}, ExpiresAt: clock.at.Add(24 * time.Hour), Disabled: true,
	})
	at(1)
	must(d.By("alice").Update(t.Context(), key.ID, func(s *Spec) { s.Models, s.Disabled, s.Shadow, s.Budget = nil, false, false, Budget{} }))
	at(2)
	_, second, err := d.By("ci").Rotate(t.Context(), key.ID, time.Hour)
	must(nil, err)
	at(3)
	must(d.By("ci").RotateTo(t.Context(), key.ID, 0, existing(foreignSecret(1))))
	at(4)
	must(d.By("alice").Revoke(t.Context(), key.ID, Soon))
	at(5)
	must(d.By("bob").Revoke(t.Context(), key.ID, AtOnce))
	at(6)
	must(d.By("bob").Delete(t.Context(), key.ID))
	at(7)
	imported, _, err := d.By("ci").Import(t.Context(), Spec{Tenant: "globex", Name: "old"}, existing(foreignSecret(2)))
	must(imported, err)
	at(8)
	must(d.By("alice").SetTenant(t.Context(), "acme", func(s *TenantSpec) { s.Concurrent, s.Shadow, s.Budget = 9, true, Budget{NanoUSD: 1, Per: InTotal} }))
	at(9)
	must(d.By("alice").DeleteTenant(t.Context(), "acme"))

	names := strings.NewReplacer(key.ID, "KEY", imported.ID, "IMPORTED", string(first[37:]), "1111", second.Reveal()[37:], "2222")
	const want = `12:09:00 alice tenant.delete  acme concurrent:"9"->"" shadow:"true"->"" budget_usd:"0.000000001"->"" budget_period:"total"->""
12:08:00 alice tenant.set  acme concurrent:""->"9" shadow:""->"true" budget_usd:""->"0.000000001" budget_period:""->"total"
12:07:00 ci key.import IMPORTED globex name:""->"old" last4:""->"se-2"
12:06:00 bob key.delete KEY acme deleted_at:""->"2026-03-01T12:06:00Z"
12:05:00 bob key.revoke KEY acme severed:""->"true"
12:04:00 alice key.revoke KEY acme revoked_at:""->"2026-03-01T12:04:00Z"
12:03:00 ci key.rotate KEY acme last4:"2222"->"se-1" rotated_at:"2026-03-01T12:02:00Z"->"2026-03-01T12:03:00Z" previous_until:"2026-03-01T13:02:00Z"->""
12:02:00 ci key.rotate KEY acme last4:"1111"->"2222" rotated_at:""->"2026-03-01T12:02:00Z" previous_until:""->"2026-03-01T13:02:00Z"
12:01:00 alice key.update KEY acme models:"a,b*"->"" shadow:"true"->"" budget_usd:"0.5"->"" budget_period:"day"->"" disabled:"true"->""
12:00:00 test key.create KEY acme name:""->"ci" last4:""->"1111" models:""->"a,b*" cidrs:""->"10.0.0.0/8" requests_per_minute:""->"60" burst:""->"5" tokens_per_minute:""->"1000" concurrent:""->"2" shadow:""->"true" budget_usd:""->"0.5" budget_period:""->"day" disabled:""->"true" expires_at:""->"2026-03-02T12:00:00Z"
`
	if diff := cmp.Diff(want, auditText(t, d, AuditQuery{}, names)); diff != "" {
		t.Errorf("the audit (-want +got):\n%s", diff)
	}

	lines := strings.SplitAfter(want, "\n")
	f := func(q AuditQuery, numbers ...int) {
		t.Helper()
		var some strings.Builder
		for _, n := range numbers {
			some.WriteString(lines[n])
		}
		if diff := cmp.Diff(some.String(), auditText(t, d, q, names)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", q, diff)
		}
	}
	f(AuditQuery{KeyID: imported.ID}, 2)
	f(AuditQuery{By: "bob"}, 3, 4)
	f(AuditQuery{Tenant: "globex"}, 2)
	f(AuditQuery{Tenant: "acme", By: "alice"}, 0, 1, 5, 8)
	f(AuditQuery{By: "alice", KeyID: key.ID}, 5, 8)
	f(AuditQuery{By: "mallory"})
	f(AuditQuery{Limit: 2}, 0, 1)
	f(AuditQuery{By: "ci", Limit: 2}, 2, 6)
}

// linesStore has nothing but an audit: n lines, the older half of them alice's.
type linesStore struct {
	Store
	n uint64
}

func (s linesStore) Audit(_ context.Context, before uint64, limit int) ([]Entry, error) {
	if before == 0 {
		before = s.n + 1
	}
	lines := []Entry{}
	for version := before - 1; version > 0 && len(lines) < limit; version-- {
		by := "ci"
		if version <= s.n/2 {
			by = "alice"
		}
		lines = append(lines, Entry{Version: version, By: by})
	}
	return lines, nil
}

// Every page goes on where the one before ended, however many lines lie between.
func TestAuditByPages(t *testing.T) {
	const n = 6000 // so that there are several questions to the store
	d, _ := newDirectory(t, linesStore{n: n}, "")
	f := func(q AuditQuery, first, last, pages int) {
		t.Helper()
		got, want := []uint64{}, []uint64{}
		for more := true; more; pages-- {
			var page []Entry
			var err error
			page, more, err = d.Audit(t.Context(), q)
			if err != nil || more && len(page) != q.Limit {
				t.Fatalf("a page of %d, more %v, %v", len(page), more, err)
			}
			for _, e := range page {
				got = append(got, e.Version)
				q.Before = e.Version
			}
		}
		for i := first; i > last; i-- {
			want = append(want, uint64(i))
		}
		if !slices.Equal(got, want) || pages != 0 {
			t.Errorf("%+v: got %d lines, want %d; %d pages are missing", q, len(got), len(want), pages)
		}
	}
	f(AuditQuery{}, n, 0, 1)
	f(AuditQuery{Limit: 1000}, n, 0, 6)
	f(AuditQuery{Limit: 999}, n, 0, 7)
	f(AuditQuery{By: "alice"}, n/2, 0, 1)
	f(AuditQuery{By: "alice", Limit: 700}, n/2, 0, 5)
	f(AuditQuery{By: "ci", Limit: n / 2}, n, n/2, 1)
	f(AuditQuery{By: "ci", Limit: 1000}, n, n/2, 3)
	f(AuditQuery{By: "ci", Before: n/2 + 2}, n/2+1, n/2, 1)
	f(AuditQuery{By: "mallory", Limit: 1}, 0, 0, 1)
}
