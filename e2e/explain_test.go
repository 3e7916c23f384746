package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// foreseeable is the configuration with a model that is answered by all three in
// turn, and with a provider that harmless fields are dropped for.
func foreseeable() string {
	return strings.NewReplacer(
		"providers:\n", `providers:
  lenient: {contract: theturbo, unsupported: drop, endpoints: [{url: "${SIMULATOR}/theturbo/v1", api_keys: ["${PROVIDER_KEY}"]}]}
`,
		"models:\n", `models:
  lenient: {targets: [{provider: lenient, model: gemini-2.0-flash}]}
  anyone:
    policy: weighted
    targets:
      - {provider: starmagic, model: gemini-2.5-flash-lite}
      - {provider: theturbo,  model: gemini-2.0-flash}
      - {provider: evolink,   model: gemini-3-pro-preview}
`,
		"prices:\n", `prices:
  - {model: anyone, from: 2026-01-01, input: "0.20", cached_input: "0.05", output: "0.80"}
`).Replace(configuration)
}

// with starts another gateway in front of the same providers, with another configuration.
func (f *fleet) with(t *testing.T, config string, changes environment) *fleet {
	t.Helper()
	other := &fleet{providers: f.providers, env: environment{"DATA_DIR": t.TempDir()}}
	for _, from := range []environment{f.env, changes} {
		for name, value := range from {
			if name != "DATA_DIR" {
				other.env[name] = value
			}
		}
	}
	other.gateway = serve(t, config, other.env)
	return other
}

// foresight holds explanations against what then happens.
type foresight struct {
	*fleet
	operators operators
	client    bare
	keys      map[string]issued
}

func newForesight(t *testing.T) *foresight {
	t.Helper()
	f := newFleet(t, nil).with(t, foreseeable(), environment{"MAX_REQUEST_BODY": "64KiB", "REQUESTS_PER_MINUTE": "0"})
	c := &foresight{f, f.operators(t), f.bare(t), map[string]issued{
		"":        f.issue(t),
		"narrow":  f.issue(t, "--models", "gemini-2.0-flash"),
		"revoked": f.issue(t),
		"expired": f.issue(t, "--expires", "1s"),
		"spent":   f.issue(t, "--requests-per-minute", "1"),
	}}
	f.operate(t, "keys", "revoke", c.keys["revoked"].ID)
	f.untilExpired(t, c.keys["expired"])
	f.call(t, c.keys["spent"].Secret).plain(t.Context(), ask("gemini-flash", "This is the one of this minute")).complete(t)
	return c
}

// TestExplainIsWhatHappens asks what would become of a request, and then sends
// it: who answers, what they are sent, what the client is told and what it costs
// is what was foretold.
func TestExplainIsWhatHappens(t *testing.T) {
	t.Parallel()
	c := newForesight(t)
	for _, one := range append(sentCases(), refusedCases()...) {
		t.Run(one.name, func(t *testing.T) {
			body := one.bytes()
			before := len(c.providers.Truth())
			e := c.operators.explain(t, c.keys[one.key].ID, body)
			if got := e.outcome(); got != one.want {
				t.Errorf("it is foretold: %s\nwant: %s", got, one.want)
			}
			if !e.Sent {
				c.refused(t, e, c.client.send(t.Context(), wish{secret: c.keys[one.key].Secret, body: body}))
				if after := len(c.providers.Truth()); after != before {
					t.Errorf("%d requests were sent upstream", after-before)
				}
				return
			}
			if after := len(c.providers.Truth()); after != before {
				t.Errorf("the explanation was asked of a provider")
			}
			e.checkOrder(t)
			c.sent(t, e, one)
		})
	}
}

// TestExplainOversized is about a body that clients may not send: operators may
// not either, and both are told by the same code.
func TestExplainOversized(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"MAX_REQUEST_BODY": "64KiB"})
	key, o := f.issue(t), f.operators(t)
	body := question("gemini-flash", strings.Repeat("x", 64<<10))
	for name, r := range map[string]reply{
		"the explanation": o.send(t.Context(), wish{path: "/admin/v1/explain?key=" + key.ID, secret: o.token, body: body}),
		"the completion":  f.bare(t).send(t.Context(), wish{secret: key.Secret, body: body}),
	} {
		if r.status != http.StatusRequestEntityTooLarge || r.code() != "request_too_large" {
			t.Errorf("%s: %.200s", name, r)
		}
	}
	// One byte less than too much is explained.
	body = question("gemini-flash", strings.Repeat("x", 64<<10-len(question("gemini-flash", ""))))
	if e := o.explain(t, key.ID, body); !e.Sent || len(body) != 64<<10 {
		t.Errorf("%d bytes: %s", len(body), e.outcome())
	}
}

// TestExplainSpendsNothing explains more often than the key may ask: all of its
// requests are left, nothing is in the ledger, and no provider was asked.
func TestExplainSpendsNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key, o := f.issue(t, "--requests-per-minute", "20"), f.operators(t)
	all := []limitLeft{{"requests", 20, 20}}
	for n := range 60 {
		body := question("gemini-flash", "What would it be?")
		if n%2 == 1 {
			body = inStream(body)
		}
		if e := o.explain(t, key.ID, body); !e.Sent || !slices.Equal(e.Limits, all) {
			t.Fatalf("explanation %d: %s, left are %+v", n, e.outcome(), e.Limits)
		}
	}
	if sum := f.ledger(t); sum.Requests != 0 || sum.PromptTokens != 0 || sum.Charge != "0.00" {
		t.Errorf("the ledger has %+v", sum)
	}
	if asked := f.providers.Truth(); len(asked) != 0 {
		t.Errorf("%d requests were sent upstream", len(asked))
	}
	r := f.bare(t).send(t.Context(), wish{secret: key.Secret, body: question("gemini-flash", "And now in earnest")})
	if got := r.header.Get("X-Ratelimit-Remaining-Requests"); r.status != http.StatusOK || got != "19" {
		t.Errorf("%q are left after the first request: %s", got, r)
	}
	if sum := f.ledger(t); sum.Requests != 1 {
		t.Errorf("the ledger has %+v", sum)
	}
}

// TestExplainOutage is about a model whose only endpoint does not answer.
func TestExplainOutage(t *testing.T) {
	t.Parallel()
	c := newForesight(t)
	body := question("fourth", "Is anybody there?")
	var r reply
	for range 30 {
		if r = c.client.send(t.Context(), wish{secret: c.keys[""].Secret, body: body}); r.code() == "upstream_unavailable" {
			break
		}
	}
	e := c.operators.explain(t, c.keys[""].ID, body)
	if got := e.outcome(); got != "route: 503 upstream_unavailable" && got != "attempt: 503 upstream_unavailable" {
		t.Fatalf("it is foretold: %s\nwhile clients are told %s", got, r)
	}
	c.refused(t, e, c.client.send(t.Context(), wish{secret: c.keys[""].Secret, body: body}))
	if o := e.Candidates[0]; o.Excluded == nil || o.Excluded.Param != "" || o.Excluded.Why == "" {
		t.Errorf("the candidate is %+v", o)
	}
}
