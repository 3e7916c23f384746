package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// TestConfigCheck reads the configuration of this repository, and one with mistakes.
func TestConfigCheck(t *testing.T) {
	wantOutput(t, "../../config.yaml is valid: 3 providers, 4 models\n", "config", "check", "-c", "../../config.yaml")

	path := writeFile(t, "server:\n  listen: nowhere\n  drain_timout: 5s\nlimits:\n  default: {requests_per_minute: many}\n")
	got := tollgate(t, "config", "check", "-c", path)
	want := "tollgate: " + path + `:3:3: server.drain_timout: unknown option; known here: ...
  2 |   listen: nowhere
> 3 |   drain_timout: [redacted]
    |   ^
` + path + `:5:34: limits.default.requests_per_minute: must be a whole number in plain digits, got "many"
  4 | limits:
> 5 |   default: {requests_per_minute: many}
    |                                  ^
`
	got.stderr = regexp.MustCompile(`known here: .*`).ReplaceAllString(got.stderr, "known here: ...")
	if got != (outcome{exitUsage, "", want}) {
		t.Errorf("exit code %d, printed %q and complained\n%s\nwant\n%s", got.code, got.stdout, got.stderr, want)
	}

	path = writeFile(t, "server: {listen: nowhere}\n")
	got = tollgate(t, "config", "check", "-c", path)
	if got.code != exitUsage || !strings.HasPrefix(got.stderr, "tollgate: "+path+":1:") || !strings.Contains(got.stderr, "server.listen: must be host:port") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	got = tollgate(t, "config", "check", "-c", path+".missing")
	if got.code != exitUsage || !strings.Contains(got.stderr, path+".missing: no such file") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}

// TestConfigSchema prints a JSON Schema that knows the sections.
func TestConfigSchema(t *testing.T) {
	got := tollgate(t, "config", "schema")
	var schema struct {
		Schema     string         `json:"$schema"`
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &schema); err != nil || got.code != exitDone {
		t.Fatalf("exit code %d: %v: %s", got.code, err, got.stdout)
	}
	if !strings.HasPrefix(schema.Schema, "https://json-schema.org/") {
		t.Errorf("$schema is %q", schema.Schema)
	}
	for _, section := range []string{"server", "admin", "data_dir", "keys", "providers", "models", "prices", "costs", "limits", "telemetry"} {
		if schema.Properties[section] == nil {
			t.Errorf("the schema does not know the section %s", section)
		}
	}
}
