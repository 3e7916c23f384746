package e2e

import (
	"net/http"
	"testing"
	"time"

	"tollgate/store/redistest"

	"github.com/google/go-cmp/cmp"
)

// redisPassword is the password of the tests' Redis. Its marks look different
// where they are escaped.
const redisPassword = "redis+1f8e/7c2a~90d4"

// TestReplicas runs two gateways on one Redis: a key is the same thing at both,
// from its making to its end, and each keeps the bill of what it served itself.
func TestReplicas(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.WithPassword(redisPassword))
	one := newFleet(t, environment{"REDIS": redis.Address(), "REDIS_PASSWORD": redisPassword})
	two := one.beside(t)

	key, other := one.issue(t), two.issue(t, "--tenant", "umbrella")
	atTwo := two.call(t, key.Secret).plain(t.Context(), ask("gemini-2.5-flash-lite", "Do you know me, two?"))
	atOne := one.call(t, key.Secret).stream(t.Context(), ask("gemini-2.0-flash", "Do you know me, one?"))
	atTwo.complete(t)
	atOne.complete(t)
	one.call(t, other.Secret).plain(t.Context(), ask("gemini-flash", "Do you know the other one?")).complete(t)

	one.billed(t, atOne, "gemini-2.0-flash", key)
	two.billed(t, atTwo, "gemini-2.5-flash-lite", key)
	one.notBilled(t, atTwo)
	two.notBilled(t, atOne)

	for _, replica := range []*fleet{one, two} {
		replica.lists(t, keyRow{key.ID, "acme", "active"}, keyRow{other.ID, "umbrella", "active"})
	}
	one.operate(t, "keys", "revoke", key.ID)
	two.turnsAway(t, key.Secret)
	one.turnsAway(t, key.Secret)
	for _, replica := range []*fleet{one, two} {
		replica.lists(t, keyRow{key.ID, "acme", "revoked"}, keyRow{other.ID, "umbrella", "active"})
	}
	two.call(t, other.Secret).plain(t.Context(), ask("gemini-flash", "Am I still welcome?")).complete(t)

	search(t, map[string]string{"Redis": redis.Everything(t), "the log of one": one.stderr.String(), "the log of two": two.stderr.String()}, map[string]string{
		"a tenant's secret": key.Secret, "another tenant's secret": other.Secret, "the provider's key": providerKey, "Redis' password": redisPassword,
	})
}

// keyRow is what lists and shows say of a key.
type keyRow struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	State  string `json:"state"`
}

// lists holds the list of keys, and each key shown by itself, against the keys wanted.
func (g *gateway) lists(t *testing.T, want ...keyRow) {
	t.Helper()
	var list struct {
		Keys []keyRow `json:"keys"`
	}
	g.operateJSON(t, &list, "keys", "list")
	if diff := cmp.Diff(want, list.Keys); diff != "" {
		t.Errorf("the list of keys (-want +got):\n%s", diff)
	}
	for _, row := range want {
		var shown keyRow
		g.operateJSON(t, &shown, "keys", "show", row.ID)
		if shown != row {
			t.Errorf("the key shown is %+v, want %+v", shown, row)
		}
	}
}

// billed looks for the one record of an answer that this replica gave, and for it in the totals.
func (g *gateway) billed(t *testing.T, a *answer, model string, key issued) {
	t.Helper()
	if r := g.record(t, a.id()); r.KeyID != key.ID || r.Model != model || r.EndReason != "completed" || r.CompletionTokens == 0 {
		t.Errorf("the record is %+v", r)
	}
	var total usageRows
	g.operateJSON(t, &total, "usage", "--by", "model", "--key", key.ID)
	if len(total.Rows) != 1 || total.Rows[0].Model != model || total.Rows[0].Requests != 1 {
		t.Errorf("the key's bill is %+v, want one request of %s", total.Rows, model)
	}
}

// notBilled makes sure that nobody pays twice for what another replica served.
func (g *gateway) notBilled(t *testing.T, a *answer) {
	t.Helper()
	if status, body := g.get(t, "/admin/v1/requests/"+a.id()); status != http.StatusNotFound {
		t.Errorf("a replica has a record of what another one served: %d %s", status, body)
	}
}

// turnsAway waits until a revoked key is refused, which takes keys.cache_ttl, a second, at most.
func (g *gateway) turnsAway(t *testing.T, secret string) {
	t.Helper()
	client := g.bare(t)
	took := until(t, "the end of a revoked key", patience, func() bool {
		r := client.send(t.Context(), wish{method: http.MethodGet, path: "/v1/models", secret: secret})
		if r.status != http.StatusOK && (r.status != http.StatusUnauthorized || r.code() != "invalid_api_key") {
			t.Fatalf("a revoked key is answered %s", r)
		}
		return r.status == http.StatusUnauthorized
	})
	t.Logf("a revoked key was refused after %s", took.Round(time.Millisecond))
}
