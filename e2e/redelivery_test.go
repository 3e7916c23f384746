package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRedelivery gives the ledger everything once more, three times over: no total changes.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	m := newMortal(t, 5)
	m.killed(t, 700*time.Millisecond)
	m.judged(t)
	if !m.revive(t, "") {
		t.Fatal("the gateway does not start any more")
	}
	totals := func() string {
		t.Helper()
		status, body := m.get(t, "/admin/v1/usage?by=tenant,key,model,provider,day")
		if status != http.StatusOK || !strings.Contains(body, `"charge_usd"`) {
			t.Fatalf("the totals are %d %s", status, body)
		}
		return body
	}
	before := totals()
	m.stop(t)
	for range 3 {
		var done struct {
			Reshipped int `json:"reshipped"`
		}
		m.journal(t, &done, "ship", "--all")
		if least := len(m.evidence.ledger); done.Reshipped < least {
			t.Errorf("%d records were shipped once more, want the %d settles at least", done.Reshipped, least)
		}
	}
	if !m.revive(t, "") {
		t.Fatal("the gateway does not start any more")
	}
	if after := totals(); after != before {
		t.Errorf("the totals are\n%s\nbefore they were\n%s", after, before)
	}
	m.stop(t)
}

// journal runs one of the journal's commands on the data of a gateway that is stopped.
func (f *fleet) journal(t *testing.T, into any, args ...string) {
	t.Helper()
	args = slices.Concat([]string{"journal"}, args, []string{"-c", writeConfig(t, configuration), "-o", "json"})
	p := launch(t, f.env, args...)
	if code := p.exit(t, patience); code != 0 {
		t.Fatalf("tollgate %s: exit code %d: %s", strings.Join(args, " "), code, p.stderr.String())
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), into); err != nil {
		t.Fatalf("tollgate %s printed no JSON: %v\n%s", strings.Join(args, " "), err, p.stdout.String())
	}
}
