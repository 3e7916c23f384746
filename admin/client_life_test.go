package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"tollgate/keys"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// hashOf is what an operator sends of a secret.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// TestClientKeyLife takes a key through its life: every call does what it says, and
// those that may be repeated change nothing the second time.
func TestClientKeyLife(t *testing.T) {
	h := newHouse(t)
	c := NewClient(h.serve(), testToken)
	ctx := t.Context()
	twice := func(call func() (Key, error)) Key {
		t.Helper()
		first, err := call()
		if err != nil {
			t.Fatal(err)
		}
		again, err := call()
		if diff := cmp.Diff(first, again); err != nil || diff != "" {
			t.Errorf("the second time: %v (-first +second):\n%s", err, diff)
		}
		return first
	}
	works := func(secret string) bool {
		_, err := h.keys.Authenticate(ctx, []byte(secret), netip.Addr{})
		return err == nil
	}
	const one, two = "an-older-secret-of-somebody", "another-secret-of-somebody"
	asked := NewKey{
		Tenant: "acme", Name: "ci", Models: []string{"a*"}, CIDRs: []string{"203.0.113.0/24"}, RequestsPerMinute: 5, Burst: 2, TokensPerMinute: 7,
		Concurrent: 3, Shadow: true, BudgetUSD: "0.50", BudgetPeriod: "day", Expires: "2035-01-31T00:00:00Z", SHA256: hashOf(one), Last4: "body",
	}
	k := twice(func() (Key, error) { issued, err := c.CreateKey(ctx, asked); return issued.Key, err })
	if !works(one) || k.Burst != 2 || !k.Shadow || k.BudgetUSD != "0.5" || !cmp.Equal(k.CIDRs, asked.CIDRs) {
		t.Errorf("imported: works %v: %+v", works(one), k)
	}
	rate, none, text, no := 9, []string{}, "batch", false
	k = twice(func() (Key, error) {
		return c.UpdateKey(ctx, k.ID, KeyPatch{RequestsPerMinute: &rate, Models: &none, Name: &text, Shadow: &no})
	})
	if k.RequestsPerMinute != 9 || len(k.Models) != 0 || k.Name != "batch" || k.Shadow || k.Burst != 2 || len(k.CIDRs) != 1 {
		t.Errorf("updated: %+v", k)
	}
	k = twice(func() (Key, error) {
		issued, err := c.RotateKey(ctx, k.ID, Rotation{Grace: "1h", SHA256: hashOf(two), Last4: "body"})
		return issued.Key, err
	})
	if !works(one) || !works(two) || k.PreviousUntil.IsZero() {
		t.Errorf("rotated: the old works %v, the new %v: %+v", works(one), works(two), k)
	}
	rotated, err := c.RotateKey(ctx, k.ID, Rotation{})
	if err != nil || works(one) || works(two) || !works(rotated.Secret.Reveal()) {
		t.Errorf("rotated there: %v: the old work %v and %v", err, works(one), works(two))
	}
	k = twice(func() (Key, error) { return c.RevokeKey(ctx, k.ID, Revocation{}) })
	if k.State != keys.StateRevoked {
		t.Errorf("revoked: %+v", k)
	}
	if cut := h.keys.Cuts().Watch(k.ID); cut.Severed() {
		t.Error("a revocation without Now ends answers in progress")
	}
	twice(func() (Key, error) { return c.RevokeKey(ctx, k.ID, Revocation{Now: true}) })
	if cut := h.keys.Cuts().Watch(k.ID); !cut.Severed() {
		t.Error("a revocation with Now does not end answers in progress")
	}
	k = twice(func() (Key, error) { return c.DeleteKey(ctx, k.ID) })
	if _, err := c.ShowKey(ctx, k.ID); err == nil {
		t.Error("a deleted key is shown")
	}
}

func TestClientTenants(t *testing.T) {
	h := newHouse(t)
	c := NewClient(h.serve(), testToken)
	ctx := t.Context()
	same := func(got any, err error, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Tenant{}, "UpdatedAt", "Version")); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	budget, period := "12.5", "month"
	got, err := c.UpdateTenant(ctx, "acme", TenantPatch{BudgetUSD: &budget, BudgetPeriod: &period})
	same(got, err, Tenant{Name: "acme", TenantLimits: TenantLimits{BudgetUSD: "12.5", BudgetPeriod: "month"}})
	limits := TenantLimits{RequestsPerMinute: 600, Burst: 9, TokensPerMinute: 8, Concurrent: 7, Shadow: true}
	want := Tenant{Name: "acme", TenantLimits: limits}
	got, err = c.SetTenant(ctx, "acme", limits)
	same(got, err, want)
	got, err = c.ShowTenant(ctx, "acme")
	same(got, err, Tenant{Name: "acme", TenantLimits: limits, Standing: []Standing{}})
	list, err := c.Tenants(ctx)
	same(list, err, []Tenant{want})
	got, err = c.DeleteTenant(ctx, "acme")
	same(got, err, Tenant{Name: "acme"})
	if list, err := c.Tenants(ctx); err != nil || len(list) != 0 {
		t.Errorf("after all: %+v, %v", list, err)
	}
}

// TestClientFollowsPages lists more than fits on a page, which is made small by asking for less.
func TestClientFollowsPages(t *testing.T) {
	h := newHouse(t)
	c := NewClient(h.serve(), testToken)
	var want []string
	for i := range 7 {
		k, _, err := h.keys.By("alice").Create(t.Context(), keys.Spec{Tenant: []string{"acme", "umbrella"}[i%2], Name: fmt.Sprint("n", i)})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, k.ID)
	}
	listed := func(q KeyQuery) (ids []string) {
		for k, err := range c.Keys(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, k.ID)
		}
		return ids
	}
	f := func(got, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	f(listed(KeyQuery{}), want)
	f(listed(KeyQuery{Tenant: "acme"}), []string{want[0], want[2], want[4], want[6]})
	f(listed(KeyQuery{Name: "n3", State: keys.StateActive}), want[3:4])
	f(listed(KeyQuery{State: keys.StateRevoked}), nil)
	if got := listed(KeyQuery{Limit: 3}); len(got) != 3 {
		t.Errorf("at most 3 keys: %q", got)
	}
	changed := 0
	for change, err := range c.Audit(t.Context(), AuditQuery{Tenant: "acme", By: "alice", Limit: 3}) {
		if err != nil || change.By != "alice" || change.Tenant != "acme" {
			t.Fatalf("%+v, %v", change, err)
		}
		changed++
	}
	if changed != 3 {
		t.Errorf("%d changes, want 3", changed)
	}
	for _, err := range c.Keys(t.Context(), KeyQuery{State: "sold"}) {
		if err == nil {
			t.Error("a state that there is not finds keys")
		}
	}
}

// TestPages follows marks until there are no more, until there is enough, and never for ever.
func TestPages(t *testing.T) {
	ask := func(mark string, _ int) ([]string, string, error) { // which gives more than it is asked for
		switch mark {
		case "":
			return []string{"a", "b"}, "b", nil
		case "b":
			return []string{"c"}, "loop", nil
		case "loop":
			return []string{"d"}, "loop", nil
		}
		return nil, "", fmt.Errorf("asked for the page behind %s", mark)
	}
	f := func(limit int, want ...string) {
		t.Helper()
		var got []string
		for item, err := range pages(limit, ask) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, item)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
	f(0, "a", "b", "c", "d")
	f(1, "a")
	f(3, "a", "b", "c")
	for range pages(0, ask) {
		break // a caller may stop
	}
}
