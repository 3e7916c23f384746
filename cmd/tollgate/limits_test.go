package main

import (
	"fmt"
	"log/slog"
	"testing"

	"tollgate/config"
	"tollgate/keys"
)

// TestLimitsFollowTheConfiguration reloads what may change of limits, in a gateway that runs.
func TestLimitsFollowTheConfiguration(t *testing.T) {
	data := t.TempDir()
	parse := func(limits string) *config.Config {
		t.Helper()
		text := "server: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\ndata_dir: '" + data + "'\n" + serving("m") + "limits: " + limits + "\n"
		c, err := config.Parse("config.yaml", []byte(text), config.SystemEnvironment())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p, err := start(parse("{}"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}()
	key := &keys.Key{ID: "key_1", Tenant: "acme"}
	f := func(limits, want string) {
		t.Helper()
		if err := p.follow(parse(limits)); err != nil {
			t.Fatal(err)
		}
		e := p.gateway.Explain(t.Context(), key, []byte(`{"model":"m","max_tokens":5000,"messages":[{"role":"user","content":"Say hello"}]}`))
		got := fmt.Sprint("reserves ", e.Request.ReservedTokens)
		for _, l := range e.Limits {
			got += fmt.Sprintf("; %d of %d %s, shadow %t", l.Remaining, l.Limit, l.Name, l.Shadow)
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", limits, got, want)
		}
	}
	f("{}", "reserves 0; 600 of 600 requests, shadow false")
	f("{default: {requests_per_minute: 6, burst: 3, tokens_per_minute: 9000, concurrent: 2}, max_completion_tokens: 100}",
		"reserves 128; 3 of 6 requests, shadow false; 9000 of 9000 tokens, shadow false; 2 of 2 concurrent, shadow false")
	f("{default: {requests_per_minute: 0, tokens_per_minute: 9000}, shadow: true}", "reserves 5028; 9000 of 9000 tokens, shadow true")
}
