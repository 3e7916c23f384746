package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/store/redistest"
)

// plan is what `keys apply -o json` prints, as far as scripts need it.
type plan struct {
	Changes []struct {
		Action string `json:"action"`
		Result string `json:"result"`
		Tenant string `json:"tenant"`
		Name   string `json:"name"`
		ID     string `json:"id"`
	} `json:"changes"`
}

func (p plan) String() string {
	var lines []string
	for _, c := range p.Changes {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", c.Result, c.Action, c.Tenant, c.Name)))
	}
	return strings.Join(lines, "\n")
}

// TestApply makes the keys of two replicas those of a file, as a pipeline does that runs
// again and again: what it says is what is done, and once done there is nothing left to do.
func TestApply(t *testing.T) {
	t.Parallel()
	one := newFleet(t, environment{"REDIS": redistest.Start(t).Address()})
	two := one.beside(t)
	folder := t.TempDir()
	file, secrets := filepath.Join(folder, "keys.yaml"), filepath.Join(folder, "secrets.jsonl")
	apply := func(want string, text string, flags ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var got plan
		one.operateJSON(t, &got, append([]string{"keys", "apply", "-f", file, "--secrets", secrets}, flags...)...)
		if got.String() != want {
			t.Errorf("apply %v did\n%s\nwant\n%s", flags, got, want)
		}
	}
	const brought = "sk-legacy/7Qx+93kd~Wp2m.Zt51bNrV8c"
	const acme = `tenants:
  - {name: acme, requests_per_minute: 3000}
keys:
  - {tenant: acme, name: batch, models: [gemini-flash], requests_per_minute: 60}
`
	both := acme + `  - {tenant: acme, name: legacy, ` + strings.ReplaceAll(strings.ReplaceAll(digestOf(brought), `"`, ""), ":", ": ") + "}\n"
	apply("planned tenant.set acme\nplanned key.create acme batch\nplanned key.import acme legacy", both, "--dry-run")
	if out := two.operate(t, "keys", "list", "-o", "json"); strings.Contains(out, `"id"`) {
		t.Errorf("a dry run has made keys: %s", out)
	}
	apply("done tenant.set acme\ndone key.create acme batch\ndone key.import acme legacy", both)
	apply("", both)

	made := secretOf(t, secrets, "batch")
	checkSecret(t, made)
	for _, replica := range []*fleet{one, two} {
		replica.secrets = append(replica.secrets, made, brought)
		for _, secret := range []string{made, brought} {
			replica.call(t, secret).plain(t.Context(), ask("gemini-flash", "Do you know me?")).complete(t)
		}
		replica.call(t, made).plain(t.Context(), ask("gemini-2.0-flash", "May I?")).refused(t, refused{404, "invalid_request_error", "model_not_found", "model"})
	}

	apply("", acme) // nothing is taken away unasked
	apply("planned key.revoke acme legacy", acme, "--prune", "--dry-run")
	two.call(t, brought).plain(t.Context(), ask("gemini-flash", "Am I still here?")).complete(t)
	apply("done key.revoke acme legacy", acme, "--prune")
	apply("", acme, "--prune")
	one.turnsAway(t, brought)
	two.turnsAway(t, brought)
	two.call(t, made).plain(t.Context(), ask("gemini-flash", "And I?")).complete(t)
}

// secretOf is the secret of the key with this name in a file of --secrets, which nobody else can read.
func secretOf(t *testing.T, path, name string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of secrets has the mode %s (%v), want 0600", info.Mode(), err)
	}
	lines := bufio.NewScanner(file)
	for found := ""; lines.Scan(); {
		var line struct{ ID, Name, Secret string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if found = line.Secret; line.Name == name && line.ID != "" {
			return found
		}
	}
	t.Fatalf("no secret of %s", name)
	return ""
}
