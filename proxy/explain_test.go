package proxy

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/upstream"
	"tollgate/usage"
)

// explained is an explanation as operators get it, without what changes from run to run.
func (r *rig) explained(key *keys.Key, body string) string {
	r.t.Helper()
	e := r.gateway.Explain(r.t.Context(), key, []byte(body))
	text, err := json.MarshalIndent(e, "", "  ")
	must(r.t, err)
	return strings.NewReplacer(key.ID, "KEY").Replace(string(text))
}

func TestExplainX(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, perMinute: 60, upstream: func(c *upstream.Config) {
		turbo := c.Providers["theturbo"]
		turbo.Unsupported = "drop"
		c.Providers["theturbo"] = turbo
	}})
	t.Log(r.explained(r.key, `{"model":"gemini-flash","messages":[{"role":"user","content":"hello there"}],"seed":7,"max_completion_tokens":100,"user":"u"}`))
	t.Log(r.explained(r.key, `{"model":"gemini-2.0-flash","messages":[{"role":"user","content":"hello there"}],"response_format":{"type":"json_object"}}`))
	t.Log(r.explained(r.key, `{"model":"nope","messages":[{"role":"user","content":"hello there"}]}`))
	got := r.ask(`{"model":"gemini-flash","messages":[{"role":"user","content":"hello there"}],"seed":7,"max_completion_tokens":100,"user":"u"}`)
	t.Log(r.record(got).Trail)
	_, _, _, _ = context.Background, time.Now, usage.KindSettle, got
}
